//! `citadel run`.

use std::{
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use serde_json::Value;

use super::{
    Failure,
    output::{note, print},
    workflow::invalid,
};
use crate::{
    app::{
        definition_file::read_file,
        embedded::{self, GivenUp, Job, Progress, Report},
    },
    config::Config,
    model::{duration::DurationMs, event::ExecutionError, execution::ExecutionStatus, limits::INPUT_BYTES_MAX},
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
    let style = Style::of(std::io::stderr().is_terminal());
    let report = embedded::run(config, job, |progress| note(style.line(progress))).await?;
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
        format!("{node}: {}: {}", error.code, error.message)
    });
    Err(Failure::run_failed(format!("the execution {}{cause}", status.as_str())).with_hint("--nodes shows every node run"))
}

/// Reads the start input.
fn read_input(argument: &str) -> Result<Value, Failure> {
    let (text, origin) = match argument.strip_prefix('@') {
        Some(path) => (read_limited(open(Path::new(path))?)?, path),
        None if argument == "-" => (read_limited(std::io::stdin())?, "standard input"),
        None if argument.starts_with(['{', '[', '"']) => (argument.as_bytes().to_vec(), "--input"),
        None => (read_limited(open(Path::new(argument))?)?, argument),
    };
    serde_json::from_slice(&text).map_err(|error| Failure::usage(format!("{origin} is not JSON: {error}")))
}

fn open(path: &Path) -> Result<std::fs::File, Failure> {
    let hint = "an input is a file, `-` for standard input, or JSON itself";
    std::fs::File::open(path).map_err(|error| Failure::usage(format!("cannot open {}: {error}", path.display())).with_hint(hint))
}

fn read_limited(source: impl Read) -> Result<Vec<u8>, Failure> {
    let limit = u64::try_from(INPUT_BYTES_MAX).unwrap_or(u64::MAX);
    let mut text = Vec::new();
    let read = source.take(limit.saturating_add(1)).read_to_end(&mut text);
    read.map_err(|error| Failure::error(format!("cannot read the input: {error}")))?;
    if text.len() > INPUT_BYTES_MAX {
        return Err(Failure::usage(format!("an input has {INPUT_BYTES_MAX} bytes at most")));
    }
    Ok(text)
}

/// How progress looks: coloured on a terminal, plain else.
#[derive(Debug, Clone, Copy)]
struct Style {
    done: &'static str,
    failed: &'static str,
    faint: &'static str,
    reset: &'static str,
}

impl Style {
    const PLAIN: Self = Self { done: "ok    ", failed: "failed", faint: "", reset: "" };
    const COLOURED: Self = Self { done: "\x1b[32m✓\x1b[0m", failed: "\x1b[31m✗\x1b[0m", faint: "\x1b[2m", reset: "\x1b[0m" };

    fn of(terminal: bool) -> Self {
        if terminal { Self::COLOURED } else { Self::PLAIN }
    }

    /// One line for one attempt.
    fn line(self, progress: &Progress) -> String {
        let Self { faint, reset, .. } = self;
        let mark = if progress.failure.is_none() { self.done } else { self.failed };
        let run = if progress.run > 0 { format!(" #{}", progress.run) } else { String::new() };
        let attempt = if progress.attempt > 1 { format!(" attempt {}", progress.attempt) } else { String::new() };
        let failure = progress.failure.as_ref().map_or_else(String::new, |failure| format!("  {failure}"));
        format!("{mark} {}{run}{attempt} {faint}{}{reset}{failure}", progress.node, DurationMs(progress.duration_ms))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shows_one_line_per_attempt() {
        let mut progress = Progress { node: "fetch".into(), run: 0, attempt: 1, duration_ms: 1_250, failure: None };
        assert_eq!(Style::PLAIN.line(&progress), "ok     fetch 1s250ms");
        progress = Progress { run: 2, attempt: 3, failure: Some("timeout: too slow".to_owned()), ..progress };
        assert_eq!(Style::PLAIN.line(&progress), "failed fetch #2 attempt 3 1s250ms  timeout: too slow");
        assert!(Style::COLOURED.line(&progress).contains('✗'));
    }

    #[test]
    fn reads_json_itself_and_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input.json");
        std::fs::write(&path, "[1, 2]").unwrap();
        assert_eq!(read_input("{\"a\": 1}").unwrap(), json!({ "a": 1 }));
        assert_eq!(read_input(path.to_str().unwrap()).unwrap(), json!([1, 2]));
        assert_eq!(read_input(&format!("@{}", path.display())).unwrap(), json!([1, 2]));
    }

    #[test]
    fn input_bytes_obeyed_and_violated() {
        assert_eq!(read_limited(vec![b'x'; INPUT_BYTES_MAX].as_slice()).unwrap().len(), INPUT_BYTES_MAX);
        assert!(read_limited(vec![b'x'; INPUT_BYTES_MAX + 1].as_slice()).is_err());
    }
}
