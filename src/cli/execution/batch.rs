//! One action on many executions.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::list::FilterArguments;
use crate::cli::{
    Failure, flag_value,
    remote::{Remote, field},
};

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
}

pub(super) async fn batch(remote: &Remote, arguments: BatchArguments) -> Result<(), Failure> {
    let BatchArguments { action, ids, filter, dry_run } = arguments;
    let filter: Map<String, Value> =
        filter.query(remote).await?.into_iter().map(|(name, value)| (name.to_owned(), filter_value(name, value))).collect();
    let body = body(action, ids, filter, dry_run)?;
    let made = remote.client.post(&["executions", "batch"], &body).await?;
    remote.output.show(&made, || {
        let fields = made.as_object().into_iter().flat_map(Map::keys).map(|name| format!("{name:<12} {}", field(&made, name)));
        fields.map(|line| super::printable(&line)).collect::<Vec<_>>().join("\n")
    })
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
}
