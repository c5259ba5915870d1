//! Why something about people, roles, workspaces or keys is refused, and the checks that most of it has in common.

use std::fmt;

use uuid::Uuid;

use super::{AccountsService, Caller, LoginError, access::permissions_of};
use crate::{
    auth::{
        password::PasswordError,
        permissions::{BuiltInRole, PermissionSet},
    },
    clock,
    model::{
        ids::{UserId, WorkspaceId},
        limits::NAME_CHARS_MAX,
        problem::Problem,
    },
    store::{ChangeMember, StoreError},
};

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    User,
    Member,
    Workspace,
    Invitation,
    Role,
    ApiKey,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Member => "member",
            Self::Workspace => "workspace",
            Self::Invitation => "invitation",
            Self::Role => "role",
            Self::ApiKey => "API key",
        })
    }
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("there is no such {0}")]
    NotFound(Thing),
    #[error("there is such a {0} already")]
    Exists(Thing),
    /// A field of the body.
    #[error("{}", .0.detail)]
    Invalid(Problem),
    /// The request gives what the caller may not do itself, or changes somebody who may do more.
    #[error("the caller may not do all of this itself")]
    Above { missing: PermissionSet },
    /// Whatever the caller's permissions are.
    #[error("{0}")]
    Refused(&'static str),
    #[error("the workspace would have no owner")]
    LastOwner,
    /// Somebody has the role, something is in the workspace.
    #[error("the {0} is in use")]
    InUse(Thing),
    #[error("every workspace has this role")]
    BuiltIn,
    #[error("there are as many of this kind as there may be: {0}")]
    Full(Thing),
    #[error("it has changed")]
    Stale { version: u32 },
    #[error("the idempotency key was used for another request")]
    KeyMismatch,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a request has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made<T> {
    pub made: T,
    /// Whether an earlier request with the same key made it.
    pub replayed: bool,
}

impl AccountsService {
    /// What a role may do; `None` if the workspace has none of this name.
    pub(super) async fn permissions_of_role(
        &self,
        workspace: WorkspaceId,
        role: &str,
    ) -> Result<Option<PermissionSet>, StoreError> {
        if let Some(role) = BuiltInRole::find(role) {
            return Ok(Some(role.permissions()));
        }
        let row = self.inner.store.find_role(workspace, role).await?;
        Ok(row.map(|row| permissions_of(&row.permissions)))
    }

    /// Nobody gives a role that may do more than they may.
    ///
    /// Errors: `Invalid`, `Above`, `Store`.
    pub(super) async fn check_grant(&self, caller: &Caller, role: &str) -> Result<(), PeopleError> {
        let permissions = self.permissions_of_role(caller.workspace, role).await?.ok_or_else(unknown_role)?;
        within(caller, permissions)
    }

    /// Nobody changes somebody who may do more than they may.
    ///
    /// Errors: `Above`, `Store`.
    pub(super) async fn check_rank(&self, caller: &Caller, role: &str) -> Result<(), PeopleError> {
        let permissions = self.permissions_of_role(caller.workspace, role).await?;
        within(caller, permissions.unwrap_or(PermissionSet::NONE))
    }
}

/// Errors: `Above` if the caller may not do all of it.
pub(super) fn within(caller: &Caller, permissions: PermissionSet) -> Result<(), PeopleError> {
    let missing = permissions.without(caller.permissions);
    if missing.is_empty() { Ok(()) } else { Err(PeopleError::Above { missing }) }
}

/// The person behind the caller: what is made for people has to have somebody who made it.
///
/// Errors: `Refused` for the setup token.
pub(super) fn person(caller: &Caller) -> Result<UserId, PeopleError> {
    caller.user.ok_or(PeopleError::Refused("the setup token belongs to nobody: make the first owner with it, POST /api/v1/setup"))
}

/// A name for people, without space around it.
///
/// Errors: `Invalid`.
pub(super) fn check_name(name: &str) -> Result<String, PeopleError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(invalid("/name", "invalid_name", format!("a name has 1 to {NAME_CHARS_MAX} printable characters")));
    }
    Ok(name.to_owned())
}

pub(super) fn invalid(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> PeopleError {
    PeopleError::Invalid(Problem::new(pointer, code, detail))
}

pub(super) fn unknown_role() -> PeopleError {
    invalid("/role", "unknown_role", "the workspace has no such role: GET /api/v1/roles lists them")
}

/// An id that is the same for every repetition under an idempotency key.
pub(super) fn id_under(workspace: WorkspaceId, kind: &str, key: Option<&str>) -> Uuid {
    key.map_or_else(clock::new_uuid, |key| Uuid::new_v5(&workspace.uuid(), format!("{kind}:{key}").as_bytes()))
}

/// What a change of a member says about a `thing`.
pub(super) fn changed(outcome: ChangeMember, thing: Thing) -> Result<(), PeopleError> {
    match outcome {
        ChangeMember::Changed => Ok(()),
        ChangeMember::NotFound => Err(PeopleError::NotFound(thing)),
        ChangeMember::NoRole => Err(unknown_role()),
        ChangeMember::LastOwner => Err(PeopleError::LastOwner),
    }
}
