//! `citadel key`: API keys. A key's text goes to standard output once, so that it can be put where it belongs.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::joined;
use crate::{
    cli::{
        Failure,
        client::Method,
        output::note,
        remote::{ListArguments, Remote, RemoteArguments, field, items},
        table::Table,
    },
    clock,
    config::{Flags, Loaded},
    model::duration::DurationMs,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Lists keys: one's own, and for administrators all of the workspace.
    List {
        #[command(flatten)]
        list: ListArguments,
    },
    /// Shows a key, never its text.
    Get { id: String },
    /// Makes a key that acts for you, and shows its text once.
    Create {
        name: String,
        /// What it may do at most: `workflow:read`; repeatable. Everything that you may do, unless it says.
        #[arg(long = "permission", value_name = "PERMISSION", value_delimiter = ',')]
        permissions: Vec<String>,
        /// How long it is good: `90d`; for ever, unless it says.
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<DurationMs>,
    },
    /// Gives a key another text, and shows that once.
    Rotate {
        id: String,
        /// How long the earlier text works, too: `1h`.
        #[arg(long, value_name = "DURATION")]
        grace: Option<String>,
    },
    /// Deletes a key.
    Delete { id: String },
}

impl KeyArguments {
    pub(in crate::cli) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(in crate::cli) async fn key(arguments: KeyArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    match arguments.command {
        KeyCommand::List { list } => {
            let found = remote.list(&["api-keys"], &[], &list).await?;
            remote.output.show_list(&found, || table(items(&found)))?;
        }
        KeyCommand::Get { id } => {
            let found = remote.client.get(&["api-keys", &id]).await?;
            remote.output.show(&found, || table([&found]))?;
        }
        KeyCommand::Create { name, permissions, expires_in } => {
            let permissions = if permissions.is_empty() { Value::Null } else { json!(permissions) };
            let expires_at = expires_in.map(|DurationMs(ms)| clock::rfc3339(clock::now_ms().saturating_add(ms)));
            let body = json!({ "name": name, "permissions": permissions, "expires_at": expires_at });
            show_secret(&remote, &remote.client.post(&["api-keys"], &body).await?)?;
        }
        KeyCommand::Rotate { id, grace } => {
            let rotated = remote.client.post(&["api-keys", &id, "rotate"], &json!({ "grace": grace })).await?;
            show_secret(&remote, &rotated)?;
        }
        KeyCommand::Delete { id } => {
            remote.client.api(Method::DELETE, &["api-keys", &id]).await?.send().await?;
            note(format_args!("the key {id} opens nothing any more"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show_secret(remote: &Remote, made: &Value) -> Result<(), Failure> {
    remote.output.show(made, || field(made, "secret"))?;
    note(format_args!("this is the text of the key {}: it is not shown again", field(&made["key"], "id")));
    Ok(())
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["ID", "NAME", "ENDS WITH", "EXPIRES", "USED", "PERMISSIONS"]);
    for row in rows {
        table.push([
            field(row, "id"),
            field(row, "name"),
            field(row, "last_characters"),
            field(row, "expires_at"),
            field(row, "used_at"),
            joined(&row["permissions"]),
        ]);
    }
    table.to_string()
}
