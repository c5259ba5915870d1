//! `citadel secrets`: the master keys that everything secret is sealed with.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    output::print,
    remote::{Remote, RemoteArguments, field},
    table::Table,
};
use crate::config::{Flags, Loaded};

/// Calls of a rotation: each works off a thousand credentials.
const CALLS_MAX: u32 = 100_000;

#[derive(Debug, Args)]
pub(super) struct SecretsArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: SecretsCommand,
}

#[derive(Debug, Subcommand)]
enum SecretsCommand {
    /// Shows the ids of the master keys, and which are in use.
    Status,
    /// Seals everything with the current master key, while the server goes on.
    Rotate,
    /// Prints a new master key, for secrets.master_key. Talks to no server.
    Generate,
}

impl SecretsArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(super) async fn secrets(arguments: SecretsArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    match arguments.command {
        SecretsCommand::Generate => print(crate::app::new_master_key().as_str()),
        SecretsCommand::Status => {
            let remote = arguments.remote.connect(loaded)?;
            let status = remote.client.get(&["secrets"]).await?;
            remote.output.show(&status, || table(&status))?;
        }
        SecretsCommand::Rotate => {
            let remote = arguments.remote.connect(loaded)?;
            let rotated = rotate(&remote).await?;
            remote.output.show(&rotated, || {
                let (resealed, retired) = (field(&rotated, "resealed"), field(&rotated, "retired"));
                format!("values sealed with the current key: {resealed}; keys that went out of use: {retired}")
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Calls until nothing is left.
async fn rotate(remote: &Remote) -> Result<Value, Failure> {
    let (mut resealed, mut retired) = (0, 0);
    for _ in 0..CALLS_MAX {
        let answer = remote.client.post(&["secrets", "rotate"], &json!({})).await?;
        let count = |name: &str| answer[name].as_u64().unwrap_or_default();
        resealed += count("resealed");
        retired += count("retired");
        if answer["done"] == true {
            return Ok(json!({ "resealed": resealed, "retired": retired }));
        }
        if count("resealed") == 0 {
            break;
        }
    }
    let message = "some values could not be sealed with the current key: the server's log says which";
    Err(Failure::error(message).with_hint("keep the old keys behind the new one, and see `citadel secrets status`"))
}

fn table(status: &Value) -> String {
    let mut table = Table::new(&["KEY", "CURRENT", "IN USE", "HELD"]);
    for key in status["keys"].as_array().into_iter().flatten() {
        table.push([field(key, "id"), field(key, "current"), field(key, "in_use"), field(key, "held")]);
    }
    table.to_string()
}
