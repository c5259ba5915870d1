//! `citadel workflow apply`: makes a server's workflows what files say. All files are checked first; with a problem in any of them,
//! nothing is changed.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde_json::{Value, json};

use super::files::{Candidate, Candidates, FileProblem, candidates, failure_of};
use crate::cli::{
    Failure,
    client::Method,
    remote::{Remote, field},
    table::Table,
};

#[derive(Debug, Args)]
pub(super) struct ApplyArguments {
    /// A workflow file, or a directory of them: YAML or JSON.
    #[arg(short = 'f', long = "file", value_name = "FILE_OR_DIRECTORY")]
    path: PathBuf,
    /// Publishes the latest version of each, too.
    #[arg(long)]
    activate: bool,
    /// Deletes workflows of the server that no file stands for.
    #[arg(long)]
    prune: bool,
}

/// What was done about one workflow. **Shape**: `{ action, name, id, version, active_version, file }`.
fn done(action: &str, workflow: &Value, file: Option<&Path>) -> Value {
    json!({
        "action": action,
        "name": workflow["name"],
        "id": workflow["id"],
        "version": workflow["version"],
        "active_version": workflow["active_version"],
        "file": file.map(|file| file.display().to_string()),
    })
}

pub(super) async fn apply(arguments: ApplyArguments, remote: &Remote) -> Result<ExitCode, Failure> {
    let Candidates { found, others } = candidates(remote, &arguments.path).await?;
    let (mut actions, mut problems) = (Vec::new(), Vec::new());
    for candidate in &found {
        match apply_one(remote, candidate, arguments.activate).await {
            Ok(action) => actions.push(action),
            Err(failure) => problems.push(FileProblem::new(&candidate.path, failure.into_message())),
        }
    }
    // What failed may be what stands for one of the others under a new name.
    if arguments.prune && problems.is_empty() {
        for workflow in &others {
            let id = field(workflow, "id");
            remote.client.api(Method::DELETE, &["workflows", &id]).await?.send().await?;
            actions.push(done("deleted", workflow, None));
        }
    }
    remote.output.show(&json!({ "items": actions }), || table(&actions))?;
    if problems.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    Err(failure_of(&problems, "not everything was applied").with_hint("apply again: what is done already is left alone"))
}

async fn apply_one(remote: &Remote, candidate: &Candidate, activate: bool) -> Result<Value, Failure> {
    let (action, workflow) = match &candidate.existing {
        None => ("created", remote.client.post(&["workflows"], &candidate.definition).await?),
        Some(existing) => update(remote, &field(existing, "id"), &candidate.definition).await?,
    };
    let is_latest = workflow["active_version"] == workflow["version"];
    if !activate || is_latest {
        return Ok(done(action, &workflow, Some(&candidate.path)));
    }
    let body = json!({ "version": workflow["version"] });
    let activated = remote.client.post(&["workflows", &field(&workflow, "id"), "activate"], &body).await?;
    let action = if action == "unchanged" { "activated" } else { action };
    Ok(done(action, &activated, Some(&candidate.path)))
}

/// Stores a new version, unless the latest one says the same.
async fn update(remote: &Remote, id: &str, definition: &Value) -> Result<(&'static str, Value), Failure> {
    let latest = remote.client.api(Method::GET, &["workflows", id]).await?.send().await?;
    if latest.body["definition"] == *definition {
        return Ok(("unchanged", latest.body));
    }
    // Somebody who changes it at the same moment is told so, not overwritten.
    let call = remote.client.api(Method::PUT, &["workflows", id]).await?.header("if-match", latest.etag()?).json(definition);
    Ok(("updated", call.send().await?.body))
}

fn table(actions: &[Value]) -> String {
    let mut table = Table::new(&["ACTION", "NAME", "ID", "VERSION", "ACTIVE", "FILE"]);
    for row in actions {
        let cells = ["action", "name", "id", "version", "active_version", "file"];
        table.push(cells.map(|name| field(row, name)));
    }
    table.to_string()
}
