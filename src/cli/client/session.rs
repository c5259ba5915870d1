//! Keeps a login alive: access tokens last minutes, and a refresh token works once. Two commands at the same time must not both
//! use it, so it is exchanged while the file of contexts is locked.

use serde_json::json;

use super::{Client, ContextFile, Credentials, Method};
use crate::{cli::Failure, clock, config::Secret};

/// How long before its end an access token is not used any more, in milliseconds: a request takes time to arrive.
const MARGIN_MS: u64 = 30_000;

/// An access token that is good for the next request.
///
/// Errors: the session has ended: log in again.
pub(super) async fn access_token(client: &Client, file: &ContextFile, context: &str) -> Result<Secret, Failure> {
    if let Some(token) = usable(&file.read()?.get(context)?.credentials) {
        return Ok(token);
    }
    let locked = file.lock()?;
    let mut contexts = locked.read()?;
    // Another command may have been faster.
    let credentials = &contexts.get(context)?.credentials;
    if let Some(token) = usable(credentials) {
        return Ok(token);
    }
    let Credentials::Session { refresh_token, .. } = credentials else { unreachable!("a token is always usable") };
    let call = client.anonymous(Method::POST, &["api", "v1", "auth", "refresh"]).json(&json!({ "refresh_token": refresh_token }));
    let answer = call.attempt().await?.map_err(|problem| {
        Failure::auth(format!("the session of the context {context} has ended: {}", problem.summary()))
            .with_hint("`citadel login`")
    })?;
    let renewed = read_tokens(&answer.body)?;
    let token =
        usable(&renewed).ok_or_else(|| Failure::error("the server's tokens end at once").with_hint("check the clocks"))?;
    contexts.renew(context, renewed);
    locked.write(&contexts)?;
    Ok(token)
}

/// What a login or a renewal hands out.
///
/// Errors: the answer has another form.
pub(in crate::cli) fn read_tokens(body: &serde_json::Value) -> Result<Credentials, Failure> {
    let text = |field: &str| body[field].as_str().map(str::to_owned);
    let tokens = text("access_token").zip(text("refresh_token")).zip(body["expires_in"].as_u64());
    let ((access_token, refresh_token), expires_in) =
        tokens.ok_or_else(|| Failure::error("the server's answer has no tokens"))?;
    let expires_at_ms = clock::now_ms().saturating_add(expires_in.saturating_mul(1_000));
    Ok(Credentials::Session { access_token, refresh_token, expires_at_ms })
}

fn usable(credentials: &Credentials) -> Option<Secret> {
    match credentials {
        Credentials::Token { token } => Some(Secret::new(token.clone())),
        Credentials::Session { access_token, expires_at_ms, .. } => {
            (clock::now_ms().saturating_add(MARGIN_MS) < *expires_at_ms).then(|| Secret::new(access_token.clone()))
        }
    }
}
