//! Prints: results in the form that was asked for. A reader that went away is no failure of the command: a closed pipe is ignored.

use std::{
    fmt,
    io::{self, Write},
};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Failure;

/// How a command shows its result.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct OutputArguments {
    /// How to show the result.
    #[arg(short = 'o', long = "output", value_name = "FORM", value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people; may change between releases.
    Table,
    Json,
    Yaml,
}

impl OutputArguments {
    /// Prints a result; `table` writes it for people.
    ///
    /// Errors: it cannot be written as YAML.
    pub(super) fn show(self, value: &Value, table: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.output {
            Output::Table => print_lines(table().trim_end()),
            Output::Json => print(format_args!("{value:#}")),
            Output::Yaml => print(yaml(value)?.trim_end()),
        }
        Ok(())
    }

    /// Prints the beginning of a list. A table has no place for `next_cursor`: whether there is more is said behind it.
    ///
    /// Errors: as [`Self::show`].
    pub(super) fn show_list(self, page: &Value, table: impl FnOnce() -> String) -> Result<(), Failure> {
        self.show(page, table)?;
        if self.is_table() && !page["next_cursor"].is_null() {
            note("there is more: --all shows all of it, --limit COUNT the first so many");
        }
        Ok(())
    }

    /// Whether it is for people.
    pub(super) fn is_table(self) -> bool {
        self.output == Output::Table
    }

    /// Prints a document that has no table: YAML, unless JSON is asked for.
    ///
    /// Errors: it cannot be written as YAML.
    pub(super) fn show_document(self, value: &Value) -> Result<(), Failure> {
        match self.output {
            Output::Table | Output::Yaml => print(yaml(value)?.trim_end()),
            Output::Json => print(format_args!("{value:#}")),
        }
        Ok(())
    }
}

/// A value as YAML, with a line break at its end.
///
/// Errors: none is known; the library may have some.
pub(super) fn yaml(value: &Value) -> Result<String, Failure> {
    let mut text = serde_saphyr::to_string(value).map_err(|error| Failure::error(format!("cannot write YAML: {error}")))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Prints a line of the result on standard output.
pub(super) fn print(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    ignore_closed_pipe(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// Prints the lines of a result; of an empty one not even a line break.
fn print_lines(lines: &str) {
    if !lines.is_empty() {
        print(lines);
    }
}

/// Prints a result that brings its own line breaks.
pub(super) fn print_raw(text: &[u8]) {
    let mut out = io::stdout().lock();
    ignore_closed_pipe(out.write_all(text).and_then(|()| out.flush()));
}

/// Prints a line for people on standard error.
pub(super) fn note(line: impl fmt::Display) {
    ignore_closed_pipe(writeln!(io::stderr().lock(), "{line}"));
}

/// There is nowhere left to report a failed print to, but the log.
fn ignore_closed_pipe(printed: io::Result<()>) {
    if let Err(error) = printed {
        tracing::debug!(cause = %error, "cannot print");
    }
}

/// A text from a server or a file, fit for a terminal: control characters would move its cursor or change its title.
pub(super) fn printable(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn writes_yaml_that_reads_as_the_same_value() {
        let value = json!({
            "text": "plain", "number": 1, "float": 1.5, "none": null, "no": false, "list": [1, "2", []], "map": {},
            "tricky": ["yes", "no", "0755", "1_000", "null", "~", "", " x", "a: b", "# no", "{{ $json.x }}", "a\nb\n", "é", "1e3", "-"],
        });
        let read: Value = serde_saphyr::from_str(&yaml(&value).unwrap()).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn keeps_escape_sequences_off_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
