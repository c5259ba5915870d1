//! The agreement of a person (RFC 6749, section 4.1, with PKCE, RFC 7636): makes the URL that a person opens, and takes what the
//! service sends them back with. What has to be remembered meanwhile is in the `state`, sealed: any node can take the answer, and the
//! verifier is seen by nobody. A state is good once: the grant that it leads to changes the number that it names.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    CredentialError, CredentialsHandle, Result,
    oauth::{self, Flow, Proof, TokenError},
    sealing,
};
use crate::{
    auth::{
        egress::Url,
        keyring::{KEY_BYTES, OpenError},
        sealed,
    },
    clock,
    model::ids::{CredentialId, WorkspaceId},
    store::CredentialRow,
};

/// How long a person may take, in milliseconds.
pub const AUTHORIZATION_MS_MAX: u64 = 10 * 60_000;
/// Bytes of a state and of a code that are looked at.
const TEXT_BYTES_MAX: usize = 8 * 1024;
/// What states are sealed for.
const CONTEXT: &str = "oauth2 state";

/// What a person opens.
#[derive(Debug)]
pub struct Authorization {
    pub url: String,
    /// Unix milliseconds.
    pub expires_at: u64,
}

/// What has to be known when the person comes back.
#[derive(Serialize, Deserialize)]
struct State {
    workspace: WorkspaceId,
    credential: CredentialId,
    /// The number of the grant that this one follows.
    rev: u32,
    verifier: String,
    redirect_uri: String,
    expires_at: u64,
}

impl CredentialsHandle {
    /// Makes the URL that a person opens to agree. `redirect_uri` is where the service sends them.
    ///
    /// Errors: `NotFound`, `NoAuthorization`, `Unreadable`; those of the store.
    pub async fn authorize(&self, (workspace, id): (WorkspaceId, CredentialId), redirect_uri: String) -> Result<Authorization> {
        let row = self.find(workspace, id).await?;
        if Flow::of(&row.kind) != Some(Flow::AuthorizationCode) {
            return Err(CredentialError::NoAuthorization { kind: row.kind });
        }
        let fields = sealing::open_fields(self.keys(), &row)?;
        let field = |name: &str| fields.get(name).map(|value| value.as_str());
        let url = field("authorize_url").and_then(|url| Url::parse(url).ok());
        let mut url = url.ok_or(TokenError::NoToken("its `authorize_url` is no URL"))?;
        let verifier = draw_verifier();
        let expires_at = clock::now_ms().saturating_add(AUTHORIZATION_MS_MAX);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let state = State {
            workspace,
            credential: id,
            rev: row.grant_rev,
            verifier: verifier.to_string(),
            redirect_uri: redirect_uri.clone(),
            expires_at,
        };
        if let Some(more) = field("authorize_params") {
            url.query_pairs_mut().extend_pairs(form_urlencoded::parse(more.as_bytes()));
        }
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", field("client_id").unwrap_or_default())
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", &self.seal_state(&state))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        if let Some(scope) = field("scope") {
            url.query_pairs_mut().append_pair("scope", scope);
        }
        Ok(Authorization { url: url.into(), expires_at })
    }

    /// Takes a person's agreement: asks for the tokens that its code is good for, and keeps them.
    ///
    /// Errors: `UnknownAuthorization`, `Token`, `Unreadable`; those of the store.
    pub async fn complete_authorization(&self, state: &str, code: &str) -> Result<CredentialRow> {
        let state = self.open_state(state)?;
        if code.is_empty() || code.len() > TEXT_BYTES_MAX {
            return Err(CredentialError::UnknownAuthorization("there is no code"));
        }
        let found = self.store().find_credential(state.workspace, state.credential).await?;
        let row = found.filter(|row| row.grant_rev == state.rev);
        let row = row.ok_or(CredentialError::UnknownAuthorization("the credential has changed since"))?;
        let fields = sealing::open_fields(self.keys(), &row)?;
        let proof = Proof::Code { code, verifier: &state.verifier, redirect_uri: &state.redirect_uri };
        let granted = oauth::request(&self.egress_of(row.workspace), &fields, proof).await?;
        let is_kept = self.keep((row.workspace, row.id), row.grant_rev, &granted).await?;
        self.written(row.workspace, &row.name);
        if is_kept { Ok(row) } else { Err(CredentialError::UnknownAuthorization("the credential has changed since")) }
    }

    /// Checks that a person who comes back without a code belongs to a request of ours.
    ///
    /// Errors: `UnknownAuthorization`.
    pub fn check_authorization(&self, state: &str) -> Result<()> {
        self.open_state(state).map(drop)
    }

    fn seal_state(&self, state: &State) -> String {
        let text = Zeroizing::new(serde_json::to_vec(state).expect("plain data can be written as JSON"));
        URL_SAFE_NO_PAD.encode(sealed::seal(self.keys(), &text, CONTEXT))
    }

    fn open_state(&self, text: &str) -> Result<State> {
        let bytes = Some(text).filter(|text| text.len() <= TEXT_BYTES_MAX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let opened = bytes.ok_or(OpenError::UnknownForm).and_then(|bytes| sealed::open(self.keys(), &bytes, CONTEXT));
        let state = opened.ok().and_then(|text| serde_json::from_slice::<State>(&text).ok());
        let state = state.ok_or(CredentialError::UnknownAuthorization("the state is not one of this installation"))?;
        if state.expires_at < clock::now_ms() {
            return Err(CredentialError::UnknownAuthorization("it took too long: begin again"));
        }
        Ok(state)
    }
}

/// A secret that proves that whoever shows the code has begun.
fn draw_verifier() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    clock::fill_random(&mut *bytes);
    Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes))
}
