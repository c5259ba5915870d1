//! `citadel workspace`: the workspaces that one is in.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::current_workspace;
use crate::{
    cli::{
        Failure,
        client::Method,
        output::note,
        remote::{ListArguments, RemoteArguments, field, items},
        table::Table,
    },
    config::{Flags, Loaded},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct WorkspaceArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: WorkspaceCommand,
}

#[derive(Debug, Subcommand)]
enum WorkspaceCommand {
    /// Lists the workspaces that you are in.
    List {
        #[command(flatten)]
        list: ListArguments,
    },
    /// Makes a workspace, whose owner you are.
    Create { name: String },
    /// Gives the workspace another name.
    Rename { name: String },
    /// Deletes the workspace, if nothing but people is in it.
    Delete {
        /// Its id, so that no other one is meant.
        id: String,
    },
}

impl WorkspaceArguments {
    pub(in crate::cli) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(in crate::cli) async fn workspace(arguments: WorkspaceArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    match arguments.command {
        WorkspaceCommand::List { list } => {
            let found = remote.list(&["workspaces"], &[], &list).await?;
            remote.output.show_list(&found, || table(items(&found)))?;
        }
        WorkspaceCommand::Create { name } => {
            let made = remote.client.post(&["workspaces"], &json!({ "name": name })).await?;
            remote.output.show(&made, || table([&made]))?;
        }
        WorkspaceCommand::Rename { name } => {
            let id = current_workspace(&remote).await?;
            let call = remote.client.api(Method::PUT, &["workspaces", &id]).await?.json(&json!({ "name": name }));
            let renamed = call.send().await?.body;
            remote.output.show(&renamed, || table([&renamed]))?;
        }
        WorkspaceCommand::Delete { id } => {
            // The server deletes only the workspace that a request acts in.
            let client = remote.client.in_workspace(Some(id.clone()));
            client.api(Method::DELETE, &["workspaces", &id]).await?.send().await?;
            note(format_args!("the workspace {id} is deleted"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["ID", "NAME", "ROLE", "CREATED"]);
    for row in rows {
        table.push([field(row, "id"), field(row, "name"), field(row, "role"), field(row, "created_at")]);
    }
    table.to_string()
}
