//! Whose request it is. Holding a [`Caller`] proves who asks and in which workspace, holding a [`May`] the right to do it there.

use std::{marker::PhantomData, net::IpAddr, ops::Deref};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, header, request::Parts},
};

use super::origin::of_caller;
use crate::{
    actors::{
        accounts::{self, TokenError},
        audit::{AuditEvent, Origin},
    },
    auth::permissions::{Permission, Permit},
    http::{AppState, error::ApiError, problem},
    model::ids::WorkspaceId,
};

/// The header that names the workspace to act in.
const WORKSPACE: &str = "citadel-workspace";

/// An authenticated caller, whatever it may do.
pub(in crate::http) struct Caller(pub(in crate::http) accounts::Caller, Origin);

/// What an outer layer has found out about the token of a request: whose it is, or that it is not good.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Authenticated(pub(in crate::http) Option<accounts::Caller>);

/// The text of the token that the request carries, valid or not, if it carries one.
pub(in crate::http) struct OptionalBearer(pub(in crate::http) Option<String>);

/// The address of the client's end of the connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct ClientAddress(pub(in crate::http) IpAddr);

/// Marks a request whose connection is encrypted up to this server.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct OverTls;

impl Caller {
    /// The workspace to act in.
    pub(in crate::http) fn workspace(&self) -> WorkspaceId {
        self.0.workspace
    }

    /// Who asks, and from where, for the audit log.
    pub(in crate::http) fn origin(&self) -> Origin {
        self.1.clone()
    }

    /// Asks for a permission that only the body of the request tells.
    ///
    /// Errors: `permission_denied`.
    pub(in crate::http) fn require(&self, permission: Permission) -> Result<(), ApiError> {
        if self.0.permissions.contains(permission) {
            return Ok(());
        }
        let detail = format!("this needs `{permission}`: GET /api/v1/auth/me shows what you may do");
        Err(ApiError::new(&problem::PERMISSION_DENIED, detail))
    }
}

/// A caller that has the permission `P`.
pub(in crate::http) struct May<P> {
    caller: Caller,
    permission: PhantomData<P>,
}

impl<P> Deref for May<P> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl<P: Permit> FromRequestParts<AppState> for May<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, app).await?;
        caller.require(P::PERMISSION).inspect_err(|_| note_refusal(app, &caller.1, P::PERMISSION))?;
        Ok(Self { caller, permission: PhantomData })
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let caller = match parts.extensions.get::<Authenticated>() {
            Some(Authenticated(Some(caller))) => *caller,
            Some(Authenticated(None)) => return Err(refuse_token(TokenError::Invalid)),
            None => app.accounts.authenticate(bearer(&parts.headers)?).await.map_err(refuse_token)?,
        };
        match parts.headers.get(WORKSPACE) {
            Some(wanted) if wanted.as_bytes() != caller.workspace.to_string().as_bytes() => {
                Err(ApiError::new(&problem::WORKSPACE_DENIED, "the token belongs to another workspace"))
            }
            Some(_) | None => Ok(Self(caller, of_caller(&parts.extensions, &caller))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OptionalBearer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(Self(None));
        }
        bearer(&parts.headers).map(|text| Self(Some(text.to_owned())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().copied().ok_or_else(ApiError::internal_without_source)
    }
}

/// Somebody asked for what a role does not have: worth a row of the audit log, once in a while.
fn note_refusal(app: &AppState, origin: &Origin, permission: Permission) {
    let event = AuditEvent::PermissionDenied(permission.as_str().to_owned());
    app.audit.note_refusal(origin, event, format!("{} {permission}", origin.who));
}

/// The problem of a token that is not good.
pub(in crate::http) fn refuse_token(error: TokenError) -> ApiError {
    match error {
        TokenError::Invalid => unauthenticated("the token is unknown, expired or revoked"),
        TokenError::Store(source) => ApiError::unavailable(source),
    }
}

/// The token in `Authorization: Bearer`.
///
/// Errors: `unauthenticated`.
pub(in crate::http) fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| unauthenticated("send `Authorization: Bearer <token>`"))?;
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(token.trim());
    }
    Err(unauthenticated("the header Authorization has to be `Bearer <token>`"))
}

fn unauthenticated(detail: &str) -> ApiError {
    ApiError::new(&problem::UNAUTHENTICATED, detail).with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
