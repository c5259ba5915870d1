//! One action on many executions.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::list::FilterArguments;
use crate::{
    cli::{
        Failure, flag_value,
        output::{note, printable},
        remote::{Remote, field},
    },
    model::problem::counted,
};

/// Pause between two looks at how far a batch is.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What to do with each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Action {
    Cancel,
    Retry,
    Delete,
}

#[derive(Debug, Args)]
pub(super) struct BatchArguments {
    action: Action,
    /// The executions; without any, those that the filter finds.
    ids: Vec<String>,
    #[command(flatten)]
    filter: FilterArguments,
    /// Only says what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Follows the batch to its end; exit code 1 if not everything could be done.
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
}

pub(super) async fn batch(remote: &Remote, arguments: BatchArguments) -> Result<(), Failure> {
    let BatchArguments { action, ids, filter, dry_run, wait } = arguments;
    let filter: Map<String, Value> =
        filter.query(remote).await?.into_iter().map(|(name, value)| (name.to_owned(), filter_value(name, value))).collect();
    let body = body(action, ids, filter, dry_run)?;
    let made = remote.client.post(&["executions", "batch"], &body).await?;
    if !wait {
        return remote.output.show(&made, || described(&made));
    }
    let ended = follow(remote, made).await?;
    remote.output.show(&ended, || described(&ended))?;
    conclude(action, &ended)
}

/// Looks again and again until a batch has ended, and says how far it is.
async fn follow(remote: &Remote, mut batch: Value) -> Result<Value, Failure> {
    let id = field(&batch, "id");
    let mut told = String::new();
    loop {
        let progress = format!("{} of {} done", field(&batch, "done"), field(&batch, "total"));
        if told != progress {
            note(&progress);
            told = progress;
        }
        if batch["status"] != "running" {
            return Ok(batch);
        }
        sleep(LOOK_AGAIN).await;
        batch = remote.client.get(&["executions", "batch", &id]).await?;
    }
}

/// The end of a batch as the end of a command.
///
/// Errors: it was cancelled, or could not do everything.
fn conclude(action: Action, batch: &Value) -> Result<(), Failure> {
    if batch["status"] == "cancelled" {
        return Err(Failure::error("the batch was cancelled"));
    }
    let failed = count(&batch["failed"]);
    if failed == 0 {
        return Ok(());
    }
    let done = match action {
        Action::Cancel => "cancelled",
        Action::Retry => "retried",
        Action::Delete => "deleted",
    };
    let errors = batch["errors"].as_array().into_iter().flatten();
    let lines: String = errors
        .map(|error| {
            let [id, code, message] = ["execution_id", "code", "message"].map(|name| field(error, name));
            format!("\n  {}", printable(&format!("{id} {code}: {message}")))
        })
        .collect();
    let total = counted(count(&batch["total"]), "execution");
    Err(Failure::error(format!("{failed} of {total} could not be {done}:{lines}")))
}

fn count(value: &Value) -> usize {
    value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
}

/// A batch, or what one would do, for people: a line for each field, and for each thing of a list.
fn described(batch: &Value) -> String {
    let line = |(name, value): (&String, &Value)| match value {
        Value::Array(items) if items.is_empty() => format!("{name:<12} -"),
        Value::Array(items) => {
            let lines: String = items.iter().map(|item| format!("\n  {}", printable(&one_of_a_list(item)))).collect();
            format!("{name}{lines}")
        }
        _ => printable(&format!("{name:<12} {}", field(batch, name))),
    };
    batch.as_object().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// An id, or why something could not be done.
fn one_of_a_list(item: &Value) -> String {
    match item.as_str() {
        Some(id) => id.to_owned(),
        None => ["execution_id", "code", "message"].map(|name| field(item, name)).join("  "),
    }
}

/// In a body, the status is a list of them.
fn filter_value(name: &str, value: String) -> Value {
    if name == "status" { value.split(',').map(str::to_owned).collect() } else { Value::String(value) }
}

/// Errors: it is not clear which executions are meant.
fn body(action: Action, ids: Vec<String>, filter: Map<String, Value>, dry_run: bool) -> Result<Value, Failure> {
    let mut body = json!({ "action": flag_value(action), "dry_run": dry_run });
    match (ids.is_empty(), filter.is_empty()) {
        (false, true) => body["ids"] = json!(ids),
        (true, false) => body["filter"] = Value::Object(filter),
        (true, true) => return Err(Failure::usage("name executions, or a filter such as --status failed")),
        (false, false) => return Err(Failure::usage("name executions or a filter, not both")),
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wants_either_executions_or_a_filter() {
        let filter = || Map::from_iter([("status".to_owned(), filter_value("status", "failed".to_owned()))]);
        let of_ids = body(Action::Cancel, vec!["exe_1".to_owned()], Map::new(), false).unwrap();
        assert_eq!(of_ids, json!({ "action": "cancel", "dry_run": false, "ids": ["exe_1"] }));
        let of_filter = body(Action::Retry, Vec::new(), filter(), true).unwrap();
        assert_eq!(of_filter, json!({ "action": "retry", "dry_run": true, "filter": { "status": ["failed"] } }));
        assert!(body(Action::Delete, Vec::new(), Map::new(), false).is_err());
        assert!(body(Action::Delete, vec!["exe_1".to_owned()], filter(), false).is_err());
    }

    #[test]
    fn has_a_line_for_each_field_and_for_each_error() {
        let error = json!({ "execution_id": "exe_1", "code": "x", "message": "no" });
        let text = described(&json!({ "id": "bat_1", "total": 2, "finished_at": null, "errors": [error], "ids": ["exe_2"] }));
        assert_eq!(text, "id           bat_1\ntotal        2\nfinished_at  -\nerrors\n  exe_1  x  no\nids\n  exe_2");
        assert_eq!(described(&json!({ "errors": [] })), "errors       -");
    }

    #[test]
    fn ends_as_the_batch_did() {
        let ended = |status: &str, failed: u64| {
            let error = json!({ "execution_id": "exe_1", "code": "x", "message": "no" });
            let batch = json!({ "status": status, "total": 1, "failed": failed, "errors": [error] });
            conclude(Action::Retry, &batch).map_err(Failure::into_message)
        };
        assert_eq!(ended("finished", 0), Ok(()));
        assert_eq!(ended("finished", 1).unwrap_err(), "1 of 1 execution could not be retried:\n  exe_1 x: no");
        assert_eq!(ended("cancelled", 0).unwrap_err(), "the batch was cancelled");
    }
}
