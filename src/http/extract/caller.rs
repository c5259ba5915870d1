//! Whose request it is. Holding a [`Caller`] proves who asks and in which workspace, holding a [`May`] the right to do it there.

use std::{marker::PhantomData, net::IpAddr, ops::Deref, str::FromStr};

use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, HeaderValue, Uri, header, request::Parts},
};

use super::origin::of_caller;
use crate::{
    actors::{
        accounts::{self, Presented, TokenError},
        audit::{AuditEvent, Origin},
    },
    auth::permissions::{Permission, Permit},
    http::{AppState, cookies::Way, error::ApiError, problem},
    model::ids::WorkspaceId,
};

/// The header that names the workspace to act in.
const WORKSPACE: &str = "citadel-workspace";

/// An authenticated caller, whatever it may do.
pub(in crate::http) struct Caller(pub(in crate::http) accounts::Caller, Origin);

/// What an outer layer has found out about a request: whose it is, or why it is nobody's.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Authenticated(pub(in crate::http) Result<accounts::Caller, Denied>);

/// Why a request is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Denied {
    /// What it carries is not good.
    Token,
    /// It is not good for the workspace that the request names.
    Workspace,
    /// It is a key of somebody who is a member there, and good for another one.
    KeyElsewhere,
}

/// An authenticated caller, if the request carries anything to say who that is.
pub(in crate::http) struct MaybeCaller(pub(in crate::http) Option<Caller>);

/// The text of the token that the request carries, valid or not, if it carries one.
pub(in crate::http) struct OptionalBearer(pub(in crate::http) Option<String>);

/// How the client is connected.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Via(pub(in crate::http) Way);

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

    /// Asks for the first workspace of the installation, where what belongs to all of them is looked after.
    ///
    /// Errors: `workspace_denied`.
    pub(in crate::http) fn require_first(&self) -> Result<(), ApiError> {
        if self.workspace() == WorkspaceId::DEFAULT {
            return Ok(());
        }
        let detail = "this belongs to the whole installation: use its first workspace";
        Err(ApiError::new(&problem::WORKSPACE_DENIED, detail))
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
        let found = match parts.extensions.get::<Authenticated>() {
            Some(Authenticated(found)) => found.map_err(TokenError::from),
            None => {
                let presented = presented(&parts.headers, &parts.extensions)?;
                match wanted_workspace(&parts.headers, &parts.uri) {
                    Ok(wanted) => app.accounts.authenticate(presented, wanted).await,
                    Err(denied) => Err(denied.into()),
                }
            }
        };
        let caller = found.map_err(|error| match (&error, workspace_of(&parts.uri)) {
            (TokenError::Workspace, Some(_)) if !parts.headers.contains_key(WORKSPACE) => no_workspace(),
            _ => refuse_token(error),
        })?;
        Ok(Self(caller, of_caller(&parts.extensions, &caller)))
    }
}

impl From<Denied> for TokenError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Token => Self::Invalid,
            Denied::Workspace => Self::Workspace,
            Denied::KeyElsewhere => Self::KeyElsewhere,
        }
    }
}

impl FromRequestParts<AppState> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let found = Caller::from_request_parts(parts, app).await;
        if parts.headers.contains_key(header::AUTHORIZATION) {
            return found.map(|caller| Self(Some(caller)));
        }
        match found {
            // A cookie comes along unasked, also when its session has ended long ago.
            Err(error) if [&problem::UNAUTHENTICATED, &problem::WORKSPACE_DENIED].contains(&error.problem) => Ok(Self(None)),
            found => found.map(|caller| Self(Some(caller))),
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

impl<S: Send + Sync> FromRequestParts<S> for Via {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Ok(Self(Way::of(&parts.headers, &parts.extensions)))
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
        TokenError::Invalid | TokenError::Reused { .. } => unauthenticated("the token is unknown, expired or revoked"),
        TokenError::Workspace => ApiError::new(
            &problem::WORKSPACE_DENIED,
            "it is good for other workspaces, or for none: GET /api/v1/auth/me shows which",
        ),
        TokenError::KeyElsewhere => {
            ApiError::new(&problem::WORKSPACE_DENIED, "an API key is good for the workspace that it was made in: make one there")
        }
        TokenError::Store(source) => ApiError::unavailable(source),
    }
}

/// What the request carries to say whose it is: a token in a header, or else the cookie of a session.
///
/// Errors: `unauthenticated`.
pub(in crate::http) fn presented<'a>(headers: &'a HeaderMap, extensions: &Extensions) -> Result<Presented<'a>, ApiError> {
    if headers.contains_key(header::AUTHORIZATION) {
        return bearer(headers).map(Presented::Bearer);
    }
    let cookie = Way::of(headers, extensions).read(headers);
    cookie.map(Presented::Cookie).ok_or_else(|| unauthenticated("send `Authorization: Bearer <token>`"))
}

/// The workspace that the request names: by its header, else by its path.
///
/// Errors: there can be none of this name.
pub(in crate::http) fn wanted_workspace(headers: &HeaderMap, uri: &Uri) -> Result<Option<WorkspaceId>, Denied> {
    let Some(wanted) = headers.get(WORKSPACE) else { return Ok(workspace_of(uri)) };
    let wanted = wanted.to_str().ok().and_then(|text| WorkspaceId::from_str(text).ok());
    wanted.map(Some).ok_or(Denied::Workspace)
}

/// The workspace that a path is about.
fn workspace_of(uri: &Uri) -> Option<WorkspaceId> {
    let path = uri.path().strip_prefix("/api/v1").unwrap_or(uri.path());
    path.strip_prefix("/workspaces/")?.split('/').next()?.parse().ok()
}

/// The problem of a path about a workspace that is not there for the caller.
pub(in crate::http) fn no_workspace() -> ApiError {
    ApiError::new(&problem::WORKSPACE_NOT_FOUND, "GET /api/v1/workspaces lists yours")
}

/// The token in `Authorization: Bearer`.
///
/// Errors: `unauthenticated`.
fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let value = headers.get(header::AUTHORIZATION).ok_or_else(|| unauthenticated("send `Authorization: Bearer <token>`"))?;
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(token.trim());
    }
    Err(unauthenticated("the header Authorization has to be `Bearer <token>`"))
}

pub(in crate::http) fn unauthenticated(detail: &str) -> ApiError {
    ApiError::new(&problem::UNAUTHENTICATED, detail).with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
