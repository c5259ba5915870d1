//! Asks a person at a terminal.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::{Command, Stdio},
};

use super::Failure;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Asks for a line.
///
/// Errors: nobody is there to answer.
pub(super) fn ask(question: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!("there is nobody to ask for: {question}")));
    }
    show(question);
    read_line()
}

/// Asks for a secret, which is not shown; where standard input is no terminal, reads a line of it without a question.
///
/// Errors: nobody answers, or the terminal cannot hide what is typed.
pub(super) async fn ask_secret(question: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let hidden = HiddenInput::start()?;
    show(question);
    let typed = tokio::select! {
        typed = tokio::task::spawn_blocking(read_line) => typed,
        // Waited for, so that the terminal does not stay silent for the next command.
        _ = tokio::signal::ctrl_c() => Ok(Err(Failure::error("interrupted"))),
    };
    drop(hidden);
    show("\n");
    typed.map_err(|error| Failure::error(format!("cannot read the answer: {error}")))?
}

/// Reads one line of standard input.
pub(super) fn read_line() -> Result<String, Failure> {
    read_line_of(io::stdin().lock())
}

fn read_line_of(source: impl BufRead) -> Result<String, Failure> {
    let limit = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = String::new();
    let read = source.take(limit).read_line(&mut line);
    read.map_err(|error| Failure::error(format!("cannot read standard input: {error}")))?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err(Failure::usage("standard input has no line"));
    }
    Ok(line.to_owned())
}

fn show(text: &str) {
    let mut err = io::stderr().lock();
    if let Err(error) = write!(err, "{text}").and_then(|()| err.flush()) {
        tracing::debug!(cause = %error, "cannot print");
    }
}

/// A terminal that does not show what is typed; dropping it makes it as it was. `stty` does it, since the system call would take
/// unsafe code or a crate.
struct HiddenInput {
    before: String,
}

impl HiddenInput {
    fn start() -> Result<Self, Failure> {
        let hint = "pipe the password into the command, or set CITADEL__CLIENT__PASSWORD_FILE";
        let failed = |what: String| Failure::error(format!("cannot hide what is typed: {what}")).with_hint(hint);
        let output = stty(&["-g"]).output().map_err(|error| failed(error.to_string()))?;
        let before = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || before.is_empty() {
            return Err(failed("stty fails".to_owned()));
        }
        let hidden = Self { before };
        let status = stty(&["-echo"]).status().map_err(|error| failed(error.to_string()))?;
        if status.success() { Ok(hidden) } else { Err(failed("stty fails".to_owned())) }
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        if let Err(error) = stty(&[&self.before]).status() {
            tracing::warn!(cause = %error, "the terminal may not show what is typed: `stty sane` helps");
        }
    }
}

fn stty(arguments: &[&str]) -> Command {
    let mut command = Command::new("stty");
    command.args(arguments).stdin(Stdio::inherit()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_line_without_its_end() {
        assert_eq!(read_line_of(&b"secret words\r\nmore\n"[..]).unwrap(), "secret words");
        assert_eq!(read_line_of(&b"secret"[..]).unwrap(), "secret");
        assert!(read_line_of(&b"\n"[..]).is_err() && read_line_of(&b""[..]).is_err());
    }
}
