//! `citadel role`: what members may do.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::joined;
use crate::{
    cli::{
        Failure,
        client::Method,
        output::note,
        remote::{Remote, RemoteArguments, field, items},
        table::Table,
    },
    config::{Flags, Loaded},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct RoleArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Debug, Subcommand)]
enum RoleCommand {
    /// Lists the roles: those that every workspace has, then the workspace's own.
    List,
    /// Shows a role.
    Get { name: String },
    /// Makes a role, or changes what it may do.
    Set {
        name: String,
        /// What it may do: `workflow:read`; repeatable.
        #[arg(long = "permission", value_name = "PERMISSION", required = true, value_delimiter = ',')]
        permissions: Vec<String>,
        /// What it is for; where it is not said, what was said before stays.
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
    },
    /// Deletes a role that nobody has.
    Delete { name: String },
}

impl RoleArguments {
    pub(in crate::cli) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(in crate::cli) async fn role(arguments: RoleArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    match arguments.command {
        RoleCommand::List => {
            let found = remote.client.get(&["roles"]).await?;
            remote.output.show(&found, || table(items(&found)))?;
        }
        RoleCommand::Get { name } => show(&remote, &remote.client.get(&["roles", &name]).await?)?,
        RoleCommand::Set { name, permissions, description } => {
            let body = json!({ "permissions": permissions, "description": description });
            show(&remote, &set(&remote, &name, body).await?)?;
        }
        RoleCommand::Delete { name } => {
            remote.client.api(Method::DELETE, &["roles", &name]).await?.send().await?;
            note(format_args!("the role {name} is deleted"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes the role if it is there, and makes it otherwise.
async fn set(remote: &Remote, name: &str, mut body: Value) -> Result<Value, Failure> {
    let mut tag = "*".to_owned();
    if body["description"].is_null() {
        match remote.client.api(Method::GET, &["roles", name]).await?.attempt().await? {
            Ok(present) => {
                // A role that every workspace has bears no tag: the change is refused with the reason.
                tag = present.etag().map_or(tag, str::to_owned);
                body["description"] = present.body["description"].clone();
            }
            // The change finds out, and makes it.
            Err(problem) if problem.body.code == "role_not_found" => {}
            Err(problem) => return Err(problem.into_failure(remote.client.target())),
        }
    }
    let call = remote.client.api(Method::PUT, &["roles", name]).await?.header("if-match", &tag).json(&body);
    match call.attempt().await? {
        Ok(answer) => Ok(answer.body),
        Err(problem) if problem.body.code == "role_not_found" => {
            body["name"] = json!(name);
            remote.client.post(&["roles"], &body).await
        }
        Err(problem) => Err(problem.into_failure(remote.client.target())),
    }
}

fn show(remote: &Remote, role: &Value) -> Result<(), Failure> {
    remote.output.show(role, || table([role]))
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["NAME", "BUILT IN", "PERMISSIONS"]);
    for row in rows {
        table.push([field(row, "name"), field(row, "built_in"), joined(&row["permissions"])]);
    }
    table.to_string()
}
