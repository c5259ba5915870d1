//! Prints. A reader that went away is no failure of the command: a closed pipe is ignored.

use std::{
    fmt,
    io::{self, Write},
};

/// Prints a line of the result on standard output.
pub(super) fn print(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    ignore_closed_pipe(writeln!(out, "{line}").and_then(|()| out.flush()));
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
