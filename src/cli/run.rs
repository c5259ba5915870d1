//! `citadel run`.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use serde_json::Value;

use super::{Failure, execution::place, input::read_input, output::print, progress::Screen, workflow::invalid};
use crate::{
    app::{
        definition_file::read_file,
        embedded::{self, GivenUp, Job, Report},
    },
    config::Config,
    model::{duration::DurationMs, event::ExecutionError, execution::ExecutionStatus},
};

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The workflow: JSON or YAML.
    file: PathBuf,
    /// The start input: a JSON file (`input.json`, `@input.json`), `-` for standard input, or JSON itself.
    #[arg(short, long, value_name = "INPUT", allow_hyphen_values = true)]
    input: Option<String>,
    /// Prints every node run instead of the result.
    #[arg(long)]
    nodes: bool,
    /// Gives up after this time, with exit code 4: `30s`, `5m`.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<DurationMs>,
}

/// Runs the workflow. Exit codes: 0 it succeeded, 1 it could not be run, 3 it failed, 4 the time was up.
pub(super) async fn run(arguments: RunArguments, config: Config) -> Result<ExitCode, Failure> {
    let definition = read_file(&arguments.file).await?.map_err(|problems| invalid(&problems))?;
    let input = arguments.input.as_deref().map_or(Ok(Value::Null), read_input)?;
    let timeout = arguments.timeout.map(|timeout| Duration::from_millis(timeout.0));
    let job = Job { definition, input, timeout, with_nodes: arguments.nodes };
    let mut screen = Screen::on_stderr();
    let report = embedded::run(config, job, |step| screen.show(step)).await?;
    match report {
        Report::Invalid(problems) => Err(invalid(&problems)),
        Report::GivenUp(GivenUp::Timeout) => {
            Err(Failure::timeout("the time was up before the execution ended").with_hint("give it more with --timeout"))
        }
        Report::GivenUp(GivenUp::Signal) => Err(Failure::error("stopped before the execution ended")),
        Report::Ended { status, error, output } => {
            if status == ExecutionStatus::Succeeded || arguments.nodes {
                print(format_args!("{output:#}"));
            }
            end(status, error)
        }
    }
}

fn end(status: ExecutionStatus, error: Option<ExecutionError>) -> Result<ExitCode, Failure> {
    if status == ExecutionStatus::Succeeded {
        return Ok(ExitCode::SUCCESS);
    }
    let cause = error.map_or_else(String::new, |error| {
        let node = error.node_id.map_or_else(String::new, |node| format!(" at node `{node}`"));
        let place = error.details.map_or_else(String::new, |details| place(&error.code, &details));
        format!("{node}: {}: {place}{}", error.code, error.message)
    });
    let verb = if status == ExecutionStatus::Cancelled { "was cancelled" } else { status.as_str() };
    Err(Failure::run_failed(format!("the execution {verb}{cause}")).with_hint("--nodes shows every node run"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_the_line_of_code_that_failed() {
        let details = Some(json!({ "line": 3, "column": 9, "stack": null }));
        let error =
            ExecutionError { code: "code_exception".to_owned(), message: "boom".to_owned(), node_id: Some("c".into()), details };
        let failed = format!("{:?}", end(ExecutionStatus::Failed, Some(error)).unwrap_err());
        assert!(failed.contains("the execution failed at node `c`: code_exception: line 3, column 9: boom"), "{failed}");
    }
}
