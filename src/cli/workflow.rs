//! `citadel workflow`: workflows of a server, and files of them.

mod apply;
mod diff;
mod files;
mod find;
mod start;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

pub(super) use self::find::find;
use self::{apply::ApplyArguments, diff::DiffArguments, start::StartArguments};
use super::{
    Failure,
    client::Method,
    output::{print, yaml},
    remote::{ListArguments, Remote, RemoteArguments, field, items},
    table::Table,
};
use crate::{
    app::definition_file::check_file,
    config::{Config, Flags, Loaded},
    model::problem::{Problem, counted},
};

#[derive(Debug, Args)]
pub(super) struct WorkflowArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: WorkflowCommand,
}

#[derive(Debug, Subcommand)]
enum WorkflowCommand {
    /// Lists workflows, newest first.
    List(ListArguments),
    /// Shows a workflow.
    Get {
        /// An id or a name.
        workflow: String,
        /// Prints the definition alone, as YAML (`-o json`: JSON): what `apply` reads.
        #[arg(long)]
        definition: bool,
    },
    /// Makes the server's workflows what files say; what has not changed is left alone.
    Apply(ApplyArguments),
    /// Shows how files differ from the server's workflows; exit code 1 if they do.
    Diff(DiffArguments),
    /// Starts an execution.
    Run(StartArguments),
    /// Checks a workflow file without a server.
    Validate {
        /// JSON or YAML.
        file: PathBuf,
    },
    /// Lists the versions of a workflow, newest first.
    Versions {
        /// An id or a name.
        workflow: String,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Publishes a version: its webhooks and schedules begin to start executions.
    Activate {
        /// An id or a name.
        workflow: String,
        /// The latest one by default.
        #[arg(long, value_name = "NUMBER")]
        version: Option<u32>,
    },
    /// Takes back what is published.
    Deactivate {
        /// An id or a name.
        workflow: String,
    },
    /// Deletes a workflow with its versions; its executions stay.
    Delete {
        /// An id or a name.
        workflow: String,
    },
}

impl WorkflowArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(super) async fn workflow(arguments: WorkflowArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let WorkflowArguments { remote: arguments, command } = arguments;
    let connect = || arguments.connect(loaded);
    match command {
        WorkflowCommand::Validate { file } => return validate(&file, &loaded.config).await,
        WorkflowCommand::Apply(arguments) => return apply::apply(arguments, &connect()?).await,
        WorkflowCommand::Diff(arguments) => return diff::diff(arguments, &connect()?).await,
        WorkflowCommand::Run(arguments) => return start::start(arguments, &connect()?).await,
        WorkflowCommand::List(list) => show_list(&connect()?, &list).await?,
        WorkflowCommand::Get { workflow, definition } => get(&connect()?, &workflow, definition).await?,
        WorkflowCommand::Versions { workflow, list } => versions(&connect()?, &workflow, &list).await?,
        WorkflowCommand::Activate { workflow, version } => {
            let body = version.map_or_else(|| json!({}), |version| json!({ "version": version }));
            publish(&connect()?, &workflow, "activate", &body).await?;
        }
        WorkflowCommand::Deactivate { workflow } => publish(&connect()?, &workflow, "deactivate", &json!({})).await?,
        WorkflowCommand::Delete { workflow } => delete(&connect()?, &workflow).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn show_list(remote: &Remote, list: &ListArguments) -> Result<(), Failure> {
    let found = remote.list(&["workflows"], &[], list).await?;
    remote.output.show_list(&found, || table(items(&found)))
}

async fn get(remote: &Remote, workflow: &str, only_definition: bool) -> Result<(), Failure> {
    let id = find(remote, workflow).await?;
    let found = remote.client.get(&["workflows", &id]).await?;
    if only_definition {
        let definition = &found["definition"];
        return remote.output.show_document(definition);
    }
    // Written first, since a table may not fail.
    let definition = yaml(&found["definition"])?;
    remote.output.show(&found, || format!("{}\n{definition}", table([&found])))
}

async fn versions(remote: &Remote, workflow: &str, list: &ListArguments) -> Result<(), Failure> {
    let id = find(remote, workflow).await?;
    let found = remote.list(&["workflows", &id, "versions"], &[], list).await?;
    remote.output.show_list(&found, || {
        let mut table = Table::new(&["VERSION", "CREATED"]);
        for row in items(&found) {
            table.push([field(row, "version"), field(row, "created_at")]);
        }
        table.to_string()
    })
}

/// Activates or deactivates.
async fn publish(remote: &Remote, workflow: &str, verb: &str, body: &Value) -> Result<(), Failure> {
    let id = find(remote, workflow).await?;
    let changed = remote.client.post(&["workflows", &id, verb], body).await?;
    remote.output.show(&changed, || table([&changed]))
}

async fn delete(remote: &Remote, workflow: &str) -> Result<(), Failure> {
    let id = find(remote, workflow).await?;
    remote.client.api(Method::DELETE, &["workflows", &id]).await?.send().await?;
    remote.output.show(&json!({ "id": id, "deleted": true }), || format!("{id} is deleted"))
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["ID", "NAME", "VERSION", "ACTIVE", "UPDATED"]);
    for row in rows {
        let active = field(row, "active_version");
        table.push([field(row, "id"), field(row, "name"), field(row, "version"), active, field(row, "updated_at")]);
    }
    table.to_string()
}

async fn validate(file: &Path, config: &Config) -> Result<ExitCode, Failure> {
    let problems = check_file(file, config).await?;
    if problems.is_empty() {
        print(format_args!("{}: valid", file.display()));
        return Ok(ExitCode::SUCCESS);
    }
    Err(invalid(&problems))
}

/// The failure of a definition with problems: one line each.
pub(super) fn invalid(problems: &[Problem]) -> Failure {
    let lines: String = problems.iter().map(|problem| format!("\n  {}", super::client::line(problem))).collect();
    Failure::error(format!("the workflow has {}:{lines}", counted(problems.len(), "problem")))
        .with_hint("the first column points into the document: /nodes/0 is its first node")
}
