//! `citadel workflow diff`: what `apply` would change, as unified diffs of the definitions in YAML.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::{Value, json};

use super::files::{Candidate, Candidates, candidates};
use crate::cli::{
    Failure,
    output::{printable, yaml},
    remote::{Remote, field},
    unified::unified_diff,
};

#[derive(Debug, Args)]
pub(super) struct DiffArguments {
    /// A workflow file, or a directory of them: YAML or JSON.
    #[arg(short = 'f', long = "file", value_name = "FILE_OR_DIRECTORY")]
    path: PathBuf,
    /// Shows workflows of the server that no file stands for as deleted.
    #[arg(long)]
    prune: bool,
}

/// Exit code 0 if nothing differs, 1 if something does.
pub(super) async fn diff(arguments: DiffArguments, remote: &Remote) -> Result<ExitCode, Failure> {
    let Candidates { found, others } = candidates(remote, &arguments.path).await?;
    let mut rows = Vec::new();
    for candidate in &found {
        rows.push(compare(remote, candidate).await?);
    }
    for workflow in others.iter().filter(|_| arguments.prune) {
        let latest = remote.client.get(&["workflows", &field(workflow, "id")]).await?;
        rows.push(row("delete", &latest["name"], &server_side(&latest), &yaml(&latest["definition"])?, "/dev/null", ""));
    }
    let differs = rows.iter().any(|row| row["action"] != "unchanged");
    remote.output.show(&json!({ "items": rows }), || {
        let diffs = rows.iter().filter_map(|row| row["diff"].as_str()).map(|diff| {
            let lines: Vec<String> = diff.lines().map(printable).collect();
            lines.join("\n") + "\n"
        });
        let text: String = diffs.filter(|diff| diff.len() > 1).collect();
        if text.is_empty() { "no differences".to_owned() } else { text }
    })?;
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn compare(remote: &Remote, candidate: &Candidate) -> Result<Value, Failure> {
    let path = candidate.path.display().to_string();
    let new = yaml(&candidate.definition)?;
    let Some(existing) = &candidate.existing else {
        return Ok(row("create", &json!(candidate.name), "/dev/null", "", &path, &new));
    };
    let latest = remote.client.get(&["workflows", &field(existing, "id")]).await?;
    let action = if latest["definition"] == candidate.definition { "unchanged" } else { "update" };
    Ok(row(action, &latest["name"], &server_side(&latest), &yaml(&latest["definition"])?, &path, &new))
}

/// **Shape**: `{ action, name, file, diff }`.
fn row(action: &str, name: &Value, old_name: &str, old: &str, new_name: &str, new: &str) -> Value {
    json!({ "action": action, "name": name, "file": new_name, "diff": unified_diff(old_name, old, new_name, new) })
}

/// What the server has, as a diff names it.
fn server_side(workflow: &Value) -> String {
    format!("{} ({} version {})", field(workflow, "name"), field(workflow, "id"), field(workflow, "version"))
}
