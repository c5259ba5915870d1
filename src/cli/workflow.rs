//! `citadel workflow`.

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use super::{Failure, output::print};
use crate::{app::definition_file::check_file, model::problem::Problem};

#[derive(Debug, Subcommand)]
pub(super) enum WorkflowCommand {
    /// Checks a workflow file without a server.
    Validate {
        /// JSON or YAML.
        file: PathBuf,
    },
}

pub(super) async fn workflow(command: WorkflowCommand) -> Result<ExitCode, Failure> {
    let WorkflowCommand::Validate { file } = command;
    let problems = check_file(&file).await?;
    if problems.is_empty() {
        print(format_args!("{}: valid", file.display()));
        return Ok(ExitCode::SUCCESS);
    }
    Err(invalid(&problems))
}

/// The failure of a definition with problems: one line each.
pub(super) fn invalid(problems: &[Problem]) -> Failure {
    let lines = problems.iter().map(|problem| format!("\n  {} {}: {}", shown(&problem.pointer), problem.code, problem.detail));
    Failure::error(format!("the workflow has {} problems:{}", problems.len(), lines.collect::<String>()))
        .with_hint("the first column points into the document: /nodes/0 is its first node")
}

fn shown(pointer: &str) -> &str {
    if pointer.is_empty() { "/" } else { pointer }
}
