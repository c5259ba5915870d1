//! `citadel user`, `member`, `role`, `key`, `workspace`: who may do what on a server.

mod key;
mod member;
mod role;
mod user;
mod workspace;

use serde_json::Value;

pub(super) use self::{
    key::{KeyArguments, key},
    member::{MemberArguments, member},
    role::{RoleArguments, role},
    user::{UserArguments, user},
    workspace::{WorkspaceArguments, workspace},
};
use super::{Failure, remote::Remote};
use crate::model::{ids::UserId, problem::suggestion};

/// The id of a person who is named by id or e-mail address.
///
/// Errors: nobody in the workspace has this address.
async fn find_user(remote: &Remote, wanted: &str) -> Result<String, Failure> {
    if wanted.parse::<UserId>().is_ok() {
        return Ok(wanted.to_owned());
    }
    let users = remote.list_all(&["users"]).await?;
    let found = users.iter().find(|row| row["email"].as_str().is_some_and(|email| email.eq_ignore_ascii_case(wanted)));
    match found.and_then(|row| row["id"].as_str()) {
        Some(id) => Ok(id.to_owned()),
        None => {
            let hint = suggestion(wanted, users.iter().filter_map(|row| row["email"].as_str()));
            Err(Failure::error(format!("nobody in the workspace is {wanted}")).with_hint(hint))
        }
    }
}

/// The workspace that requests act in.
///
/// Errors: those of the server.
async fn current_workspace(remote: &Remote) -> Result<String, Failure> {
    let me = remote.client.get(&["auth", "me"]).await?;
    let id = me["workspace_id"].as_str().ok_or_else(|| Failure::error("the server does not say which workspace this is"))?;
    Ok(id.to_owned())
}

/// Texts of a list, for people.
fn joined(value: &Value) -> String {
    let texts: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if texts.is_empty() { "-".to_owned() } else { texts.join(",") }
}
