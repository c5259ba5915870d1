//! `citadel workflow run`: starts an execution, and follows it to its end if asked to.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use super::find::find;
use crate::{
    cli::{
        Failure,
        client::Method,
        execution::{conclude, follow},
        input::read_input,
        remote::{Remote, field},
        table::Table,
    },
    model::duration::DurationMs,
};

#[derive(Debug, Args)]
pub(super) struct StartArguments {
    /// An id or a name.
    workflow: String,
    /// The start input: a JSON file (`input.json`, `@input.json`), `-` for standard input, or JSON itself.
    #[arg(short, long, value_name = "INPUT", allow_hyphen_values = true)]
    input: Option<String>,
    /// Follows the execution to its end and prints the result.
    #[arg(long)]
    wait: bool,
    /// Stops following after this time, with exit code 4; the execution goes on.
    #[arg(long, value_name = "DURATION", requires = "wait")]
    timeout: Option<DurationMs>,
    /// The trigger to start at; the first one by default.
    #[arg(long, value_name = "NODE")]
    start_node: Option<String>,
    /// A key to find the execution by.
    #[arg(long, value_name = "KEY")]
    business_key: Option<String>,
    /// The version to run; the active one by default, else the latest.
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    /// Makes a repeated command answer with the execution of the first one.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// Exit codes: 0 it was started, or it succeeded; 3 it failed; 4 the time was up.
pub(super) async fn start(arguments: StartArguments, remote: &Remote) -> Result<ExitCode, Failure> {
    let body = body(&arguments)?;
    let id = find(remote, &arguments.workflow).await?;
    let mut call = remote.client.api(Method::POST, &["workflows", &id, "executions"]).await?.json(&body);
    if let Some(key) = &arguments.idempotency_key {
        call = call.header("idempotency-key", key);
    }
    let started = call.send().await?.body;
    if !arguments.wait {
        remote.output.show(&started, || {
            let mut table = Table::new(&["EXECUTION", "WORKFLOW", "VERSION", "STATUS"]);
            table.push(["id", "workflow_id", "workflow_version", "status"].map(|name| field(&started, name)));
            table.to_string()
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let limit = arguments.timeout.map(|limit| Duration::from_millis(limit.0));
    let execution = follow(remote, &field(&started, "id"), limit).await?;
    let ended = conclude(&execution);
    // The items of what did not fail are no result; who asks for JSON gets all there is.
    if ended.is_ok() || !remote.output.is_table() {
        remote.output.show(&execution, || format!("{:#}", execution["result"]))?;
    }
    ended
}

fn body(arguments: &StartArguments) -> Result<Value, Failure> {
    let input = arguments.input.as_deref().map(read_input).transpose()?;
    let mut body = json!({});
    let fields = [
        ("input", input),
        ("start_node", arguments.start_node.clone().map(Value::from)),
        ("business_key", arguments.business_key.clone().map(Value::from)),
        ("version", arguments.version.map(Value::from)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    Ok(body)
}
