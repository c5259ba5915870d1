//! Which problem each refusal about people, roles, workspaces and keys becomes.

use axum::http::header;

use super::ApiError;
use crate::{
    actors::accounts::{PeopleError, Thing},
    auth::{
        password::PasswordError,
        permissions::{Permission, PermissionSet},
    },
    http::{
        extract::etag,
        problem::{self, ProblemType},
    },
    model::problem::Problem,
    store::{API_KEYS_MAX, INVITATIONS_MAX, MEMBERS_MAX, ROLES_MAX, WORKSPACES_MAX},
};

/// Advice where too many passwords are hashed at once, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;

impl From<PeopleError> for ApiError {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::NotFound(thing) => Self::new(not_found(thing), "check the id, or list what there is"),
            PeopleError::Exists(thing) => exists(thing),
            PeopleError::Invalid(problem) => Self::new(&problem::INVALID_BODY, problem.detail.clone()).with_errors(vec![problem]),
            PeopleError::Above { missing } => {
                let detail = format!("nobody gives or changes what they may not do themselves: you lack {}", listed(missing));
                Self::new(&problem::PERMISSION_DENIED, detail)
            }
            PeopleError::Refused(why) => Self::new(&problem::PERMISSION_DENIED, why),
            PeopleError::LastOwner => Self::new(&problem::LAST_OWNER, "make somebody else an owner first"),
            PeopleError::InUse(Thing::Role) => {
                Self::new(&problem::ROLE_IN_USE, "give those who have it, or are invited with it, another role first")
            }
            PeopleError::InUse(_) => Self::new(
                &problem::WORKSPACE_IN_USE,
                "delete its workflows, executions, variables and credentials first; the first workspace stays",
            ),
            PeopleError::BuiltIn => Self::new(&problem::ROLE_BUILT_IN, "choose another name: every workspace has this role"),
            PeopleError::Full(thing) => Self::new(&problem::LIMIT_REACHED, limit_of(thing)),
            PeopleError::Stale { version } => {
                let detail = format!("it is at version {version}: read it, and apply your change to it");
                Self::new(&problem::STALE, detail).with_header(header::ETAG, etag(version))
            }
            PeopleError::KeyMismatch => Self::new(&problem::KEY_MISMATCH, "use a new key for a new request"),
            PeopleError::Password(PasswordError::Length) => {
                let wrong = Problem::new("/password", "invalid_password", error.to_string());
                Self::new(&problem::INVALID_BODY, wrong.detail.clone()).with_errors(vec![wrong])
            }
            PeopleError::Password(PasswordError::Busy) => {
                Self::new(&problem::OVERLOADED, "too many passwords at once").with_retry_after_ms(RETRY_AFTER_MS)
            }
            PeopleError::Password(PasswordError::Hash(_)) => Self::internal(error),
            PeopleError::Login(source) => source.into(),
            PeopleError::Store(source) => source.into(),
        }
    }
}

fn not_found(thing: Thing) -> &'static ProblemType {
    match thing {
        Thing::User => &problem::USER_NOT_FOUND,
        Thing::Member => &problem::MEMBER_NOT_FOUND,
        Thing::Workspace => &problem::WORKSPACE_NOT_FOUND,
        Thing::Invitation => &problem::INVITATION_NOT_FOUND,
        Thing::Role => &problem::ROLE_NOT_FOUND,
        Thing::ApiKey => &problem::API_KEY_NOT_FOUND,
    }
}

fn exists(thing: Thing) -> ApiError {
    match thing {
        Thing::User => ApiError::new(
            &problem::USER_EXISTS,
            "somebody has this address: invite them, and they accept when they are logged in",
        ),
        Thing::Role => ApiError::new(&problem::ROLE_EXISTS, "change it with PUT, or choose another name"),
        Thing::Member | Thing::Workspace | Thing::Invitation | Thing::ApiKey => {
            ApiError::new(&problem::MEMBER_EXISTS, "change the role of the member instead")
        }
    }
}

fn limit_of(thing: Thing) -> String {
    match thing {
        Thing::User | Thing::Member => format!("a workspace has {MEMBERS_MAX} members at most"),
        Thing::Workspace => format!("a server has {WORKSPACES_MAX} workspaces at most"),
        Thing::Invitation => format!("a workspace has {INVITATIONS_MAX} open invitations at most"),
        Thing::Role => format!("a workspace has {ROLES_MAX} roles of its own at most"),
        Thing::ApiKey => format!("a workspace has {API_KEYS_MAX} API keys at most"),
    }
}

fn listed(permissions: PermissionSet) -> String {
    permissions.iter().map(Permission::as_str).collect::<Vec<_>>().join(", ")
}
