//! `citadel schedule`: what starts executions by the time.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    client::Method,
    remote::{ListArguments, Remote, RemoteArguments, field, items},
    table::Table,
    workflow::find,
};
use crate::config::{Flags, Loaded};

#[derive(Debug, Args)]
pub(super) struct ScheduleArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    /// Lists schedules.
    List {
        /// Of this workflow: an id or a name.
        #[arg(long, value_name = "WORKFLOW")]
        workflow: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Shows a schedule.
    Get { id: String },
    /// Shows when a schedule will fire.
    Next {
        id: String,
        /// So many times.
        #[arg(long, value_name = "NUMBER", default_value_t = 5)]
        count: u32,
    },
    /// Keeps a schedule from firing until it is resumed.
    Pause { id: String },
    /// Lets a paused schedule go on.
    Resume { id: String },
}

impl ScheduleArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(super) async fn schedule(arguments: ScheduleArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    match arguments.command {
        ScheduleCommand::List { workflow, list } => {
            let query = match workflow {
                Some(workflow) => vec![("workflow_id", find(&remote, &workflow).await?)],
                None => Vec::new(),
            };
            let found = remote.list(&["schedules"], &query, &list).await?;
            remote.output.show_list(&found, || table(items(&found)))?;
        }
        ScheduleCommand::Get { id } => show(&remote, &remote.client.get(&["schedules", &id]).await?)?,
        ScheduleCommand::Next { id, count } => {
            let call = remote.client.api(Method::GET, &["schedules", &id, "next"]).await?;
            let found = call.query(&[("count", count)]).send().await?.body;
            let times = || items(&found).filter_map(Value::as_str).map(super::output::printable).collect::<Vec<_>>().join("\n");
            remote.output.show(&found, times)?;
        }
        ScheduleCommand::Pause { id } => show(&remote, &remote.client.post(&["schedules", &id, "pause"], &json!({})).await?)?,
        ScheduleCommand::Resume { id } => show(&remote, &remote.client.post(&["schedules", &id, "resume"], &json!({})).await?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(remote: &Remote, schedule: &Value) -> Result<(), Failure> {
    remote.output.show(schedule, || table([schedule]))
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["ID", "WORKFLOW", "WHEN", "TIMEZONE", "PAUSED", "NEXT", "LAST"]);
    for row in rows {
        table.push([
            field(row, "id"),
            field(row, "workflow_id"),
            when(row),
            field(row, "timezone"),
            field(row, "paused"),
            field(row, "next_at"),
            field(row, "last_fired_at"),
        ]);
    }
    table.to_string()
}

/// One of three ways to say when.
fn when(row: &Value) -> String {
    let set = ["cron", "every", "at"].into_iter().find(|name| !row[*name].is_null());
    set.map_or_else(|| "-".to_owned(), |name| format!("{name} {}", field(row, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_when_in_the_way_that_is_set() {
        assert_eq!(when(&json!({ "cron": null, "every": "15m", "at": null })), "every 15m");
        assert_eq!(when(&json!({ "cron": "0 9 * * *" })), "cron 0 9 * * *");
        assert_eq!(when(&json!({})), "-");
    }
}
