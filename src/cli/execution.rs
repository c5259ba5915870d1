//! `citadel execution`: what executions do, and commands to them.

mod batch;
mod follow;
mod list;
mod logs;
mod retry;
mod steps;

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

pub(super) use self::follow::follow;
use self::{batch::BatchArguments, list::FilterArguments, logs::LogsArguments, retry::RetryArguments};
use super::{
    Failure,
    client::Method,
    input::read_input,
    output::printable,
    remote::{ListArguments, Remote, RemoteArguments, duration, field, items},
    table::Table,
};
use crate::{
    config::{Flags, Loaded},
    model::{duration::DurationMs, execution::ExecutionStatus},
};

#[derive(Debug, Args)]
pub(super) struct ExecutionArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: ExecutionCommand,
}

#[derive(Debug, Subcommand)]
enum ExecutionCommand {
    /// Lists executions, newest first.
    List {
        #[command(flatten)]
        filter: FilterArguments,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Shows an execution, with its result once it has ended.
    Get { id: String },
    /// Lists the runs of an execution's nodes.
    Nodes {
        id: String,
        /// With the items that they put out (`-o json` shows them).
        #[arg(long)]
        data: bool,
    },
    /// Follows an execution to its end; exit code 3 if it does not succeed.
    Watch {
        id: String,
        /// Stops following after this time, with exit code 4.
        #[arg(long, value_name = "DURATION")]
        timeout: Option<DurationMs>,
    },
    /// Prints what the code of an execution wrote on its console.
    Logs(LogsArguments),
    /// Runs an execution that has ended again, from its start, from what failed or from a node.
    Retry(RetryArguments),
    /// Does one thing to many executions.
    Batch(BatchArguments),
    /// Asks an execution to stop.
    Cancel {
        id: String,
        /// Why; it is kept with the execution.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Sends a signal to an execution that waits for it, such as a decision.
    Signal {
        id: String,
        name: String,
        /// The payload: a JSON file (`@file.json`), `-` for standard input, or JSON itself.
        #[arg(short, long, value_name = "INPUT", allow_hyphen_values = true)]
        data: Option<String>,
        /// Makes a repeated command count once.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Deletes an execution that has ended.
    Delete { id: String },
}

impl ExecutionArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(super) async fn execution(arguments: ExecutionArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    match arguments.command {
        ExecutionCommand::List { filter, list } => list::show(&remote, filter, &list).await?,
        ExecutionCommand::Get { id } => {
            let found = remote.client.get(&["executions", &id]).await?;
            remote.output.show(&found, || described(&found))?;
        }
        ExecutionCommand::Nodes { id, data } => nodes(&remote, &id, data).await?,
        ExecutionCommand::Watch { id, timeout } => {
            let ended = follow(&remote, &id, timeout.map(|limit| Duration::from_millis(limit.0))).await?;
            remote.output.show(&ended, || described(&ended))?;
            return conclude(&ended);
        }
        ExecutionCommand::Logs(arguments) => logs::show(&remote, &arguments).await?,
        ExecutionCommand::Retry(arguments) => return retry::retry(&remote, &arguments).await,
        ExecutionCommand::Batch(arguments) => batch::batch(&remote, arguments).await?,
        ExecutionCommand::Cancel { id, reason } => {
            let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
            accepted(&remote, &remote.client.post(&["executions", &id, "cancel"], &body).await?)?;
        }
        ExecutionCommand::Signal { id, name, data, idempotency_key } => {
            let payload = data.as_deref().map(read_input).transpose()?;
            let mut call = remote.client.api(Method::POST, &["executions", &id, "signal", &name]).await?;
            call = payload.iter().fold(call, |call, payload| call.json(payload));
            call = idempotency_key.iter().fold(call, |call, key| call.header("idempotency-key", key));
            accepted(&remote, &call.send().await?.body)?;
        }
        ExecutionCommand::Delete { id } => {
            remote.client.api(Method::DELETE, &["executions", &id]).await?.send().await?;
            remote.output.show(&json!({ "id": id, "deleted": true }), || format!("{} is deleted", printable(&id)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows that a command is durable.
fn accepted(remote: &Remote, body: &Value) -> Result<(), Failure> {
    remote.output.show(body, || format!("{}: accepted", field(body, "id")))
}

async fn nodes(remote: &Remote, id: &str, with_data: bool) -> Result<(), Failure> {
    let call = remote.client.api(Method::GET, &["executions", id, "nodes"]).await?;
    let call = if with_data { call.query(&[("include", "data")]) } else { call };
    let found = call.send().await?.body;
    remote.output.show(&found, || {
        let mut table = Table::new(&["NODE", "RUN", "STATUS", "ATTEMPTS", "DURATION", "ITEMS", "ERROR"]);
        for run in items(&found) {
            let outputs = run["outputs"].as_array().into_iter().flatten();
            let counts: Vec<String> =
                outputs.map(|output| format!("{}:{}", field(output, "port"), field(output, "item_count"))).collect();
            table.push([
                field(run, "node_id"),
                field(run, "run_index"),
                field(run, "status"),
                field(run, "attempts"),
                duration(run, "duration_ms"),
                counts.join(" "),
                cause(&run["error"]),
            ]);
        }
        table.to_string()
    })
}

/// An execution for people.
fn described(execution: &Value) -> String {
    let mut lines = Vec::new();
    for (title, name) in [
        ("execution", "id"),
        ("workflow", "workflow_id"),
        ("version", "workflow_version"),
        ("status", "status"),
        ("trigger", "trigger"),
        ("created", "created_at"),
        ("finished", "finished_at"),
    ] {
        lines.push(format!("{title:<10} {}", printable(&field(execution, name))));
    }
    lines.push(format!("duration   {}", duration(execution, "duration_ms")));
    if !execution["error"].is_null() {
        lines.push(format!("error      {}", printable(&cause(&execution["error"]))));
    }
    if let Some(result) = execution.get("result") {
        lines.push(format!("result     {result:#}"));
    }
    lines.join("\n")
}

/// An error in a line: `code: message`, with the node that it happened at.
fn cause(error: &Value) -> String {
    let Some(code) = error["code"].as_str() else { return "-".to_owned() };
    let node = error["node_id"].as_str().map_or_else(String::new, |node| format!("at node `{node}`: "));
    let place = place(code, &error["details"]);
    let message = error["message"].as_str().map_or_else(String::new, |message| format!(": {place}{message}"));
    format!("{node}{code}{message}")
}

/// Where in the code of a node an error happened, as far as its details tell: `line 3, column 9: `. Those of an expression tell
/// where it stands in its text, which is no place in code.
pub(super) fn place(code: &str, details: &Value) -> String {
    match (code.starts_with("code_"), details["line"].as_u64(), details["column"].as_u64()) {
        (true, Some(line), Some(column)) => format!("line {line}, column {column}: "),
        (true, Some(line), None) => format!("line {line}: "),
        _ => String::new(),
    }
}

/// The end of an execution as the end of a command.
///
/// Errors: it did not succeed.
pub(super) fn conclude(execution: &Value) -> Result<ExitCode, Failure> {
    let status = field(execution, "status");
    if status == ExecutionStatus::Succeeded.as_str() {
        return Ok(ExitCode::SUCCESS);
    }
    let cause = match &execution["error"] {
        Value::Null => String::new(),
        error => format!(" {}", cause(error)),
    };
    let verb = if status == ExecutionStatus::Cancelled.as_str() { "was cancelled" } else { &status };
    let hint = format!("`citadel execution nodes {}` shows every node run", field(execution, "id"));
    Err(Failure::run_failed(printable(&format!("the execution {verb}{cause}"))).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_as_the_execution_did() {
        assert!(conclude(&json!({ "id": "exe_1", "status": "succeeded" })).is_ok());
        let error = json!({ "code": "timeout", "message": "too slow", "node_id": "fetch" });
        let failed = format!("{:?}", conclude(&json!({ "id": "exe_1", "status": "failed", "error": error })).unwrap_err());
        assert!(
            failed.contains("the execution failed at node `fetch`: timeout: too slow") && failed.contains("code: 3"),
            "{failed}"
        );
        let details = json!({ "line": 3, "column": null, "stack": null });
        let thrown = json!({ "code": "code_exception", "message": "boom", "node_id": "c", "details": details });
        assert_eq!(cause(&thrown), "at node `c`: code_exception: line 3: boom");
        let cancelled = format!("{:?}", conclude(&json!({ "id": "exe_1", "status": "cancelled", "error": null })).unwrap_err());
        assert!(cancelled.contains("the execution was cancelled"), "{cancelled}");
    }
}
