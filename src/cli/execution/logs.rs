//! What the code of an execution wrote on its console.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    cli::{
        Failure,
        output::{print, printable},
        remote::{Remote, field},
    },
    model::execution::ExecutionStatus,
};

/// Pause between two looks for new lines.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct LogsArguments {
    id: String,
    /// Goes on until the execution has ended.
    #[arg(short, long)]
    follow: bool,
    /// Of this node only.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
}

pub(super) async fn show(remote: &Remote, arguments: &LogsArguments) -> Result<(), Failure> {
    // A document has an end: programs get it once it is whole.
    let line_by_line = arguments.follow && remote.output.is_table();
    let mut printed = 0;
    loop {
        // The status first: lines that are read after the end are all.
        let goes_on = arguments.follow && !has_ended(remote, &arguments.id).await?;
        if line_by_line || !goes_on {
            let lines = read(remote, arguments).await?;
            if !line_by_line {
                return remote.output.show(&json!({ "items": lines }), || lines.iter().map(line).collect::<Vec<_>>().join("\n"));
            }
            lines.iter().skip(printed).for_each(|found| print(line(found)));
            printed = lines.len();
        }
        if !goes_on {
            return Ok(());
        }
        sleep(LOOK_AGAIN).await;
    }
}

async fn has_ended(remote: &Remote, id: &str) -> Result<bool, Failure> {
    let status = field(&remote.client.get(&["executions", id]).await?, "status");
    Ok(ExecutionStatus::ALL.iter().any(|known| known.is_terminal() && known.as_str() == status))
}

async fn read(remote: &Remote, arguments: &LogsArguments) -> Result<Vec<Value>, Failure> {
    let query: Vec<(&str, String)> = arguments.node.iter().map(|node| ("node_id", node.clone())).collect();
    remote.list_all_of(&["executions", &arguments.id, "logs"], &query).await
}

fn line(found: &Value) -> String {
    let cut = if found["truncated"] == true { "  (more was not kept)" } else { "" };
    let [at, level, node, message] = ["at", "level", "node_id", "message"].map(|name| field(found, name));
    printable(&format!("{at} {level:<5} {node}  {message}{cut}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_a_line_on_one_line() {
        let found =
            json!({ "at": "2026-01-31T12:00:00.000Z", "level": "warn", "node_id": "a", "message": "x\ny", "truncated": true });
        assert_eq!(line(&found), "2026-01-31T12:00:00.000Z warn  a  x\u{fffd}y  (more was not kept)");
    }
}
