//! `citadel user`: accounts of the people in a workspace.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::find_user;
use crate::{
    cli::{
        Failure,
        client::Method,
        output::note,
        prompt,
        remote::{ListArguments, Remote, RemoteArguments, field, items},
        table::Table,
    },
    config::{Flags, Loaded},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct UserArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Lists the accounts of the workspace's members.
    List {
        #[command(flatten)]
        list: ListArguments,
    },
    /// Shows an account.
    Get {
        /// An id or an e-mail address.
        user: String,
    },
    /// Makes an account; the password is asked for, or is a line of standard input.
    Create {
        email: String,
        #[arg(long)]
        name: String,
        /// What they are in this workspace.
        #[arg(long)]
        role: String,
    },
    /// Gives an account another name.
    Rename { user: String, name: String },
    /// Lets nothing open for somebody any more: no login, no session, no key.
    Disable { user: String },
    /// Lets somebody in again.
    Enable { user: String },
    /// Deletes an account with everything that is its own.
    Delete { user: String },
}

impl UserArguments {
    pub(in crate::cli) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(in crate::cli) async fn user(arguments: UserArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    match arguments.command {
        UserCommand::List { list } => {
            let found = remote.list(&["users"], &[], &list).await?;
            remote.output.show_list(&found, || table(items(&found)))?;
        }
        UserCommand::Get { user } => {
            let id = find_user(&remote, &user).await?;
            show(&remote, &remote.client.get(&["users", &id]).await?)?;
        }
        UserCommand::Create { email, name, role } => {
            let password = prompt::ask_secret("Password of the account: ").await?;
            let body = json!({ "email": email, "name": name, "role": role, "password": password });
            show(&remote, &remote.client.post(&["users"], &body).await?)?;
        }
        UserCommand::Rename { user, name } => change(&remote, &user, Some(name), None).await?,
        UserCommand::Disable { user } => change(&remote, &user, None, Some(true)).await?,
        UserCommand::Enable { user } => change(&remote, &user, None, Some(false)).await?,
        UserCommand::Delete { user } => {
            let id = find_user(&remote, &user).await?;
            remote.client.api(Method::DELETE, &["users", &id]).await?.send().await?;
            note(format_args!("{user} is deleted"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes what is given; the rest stays.
async fn change(remote: &Remote, user: &str, name: Option<String>, disabled: Option<bool>) -> Result<(), Failure> {
    let id = find_user(remote, user).await?;
    let stored = remote.client.get(&["users", &id]).await?;
    let name = name.unwrap_or_else(|| stored["name"].as_str().unwrap_or_default().to_owned());
    let disabled = disabled.unwrap_or(!stored["disabled_at"].is_null());
    let body = json!({ "name": name, "disabled": disabled });
    let changed = remote.client.api(Method::PUT, &["users", &id]).await?.json(&body).send().await?.body;
    show(remote, &changed)
}

fn show(remote: &Remote, account: &Value) -> Result<(), Failure> {
    remote.output.show(account, || table([account]))
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["ID", "EMAIL", "NAME", "ROLE", "DISABLED"]);
    for row in rows {
        table.push([field(row, "id"), field(row, "email"), field(row, "name"), field(row, "role"), field(row, "disabled_at")]);
    }
    table.to_string()
}
