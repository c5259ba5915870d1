//! How a command fails: an exit code, a line that starts with `error:`, and a line that starts with `hint:`.

use std::process::ExitCode;

use super::output::note;

/// Something went wrong.
const ERROR: u8 = 1;
/// The command was not understood.
const USAGE: u8 = 2;
/// The execution failed or was cancelled.
const RUN_FAILED: u8 = 3;
/// The time was up.
const TIMEOUT: u8 = 4;
/// The server wants a login, or another one.
const AUTH: u8 = 5;

/// A failed command.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
    /// Whether it may pass by itself: a server that cannot be reached.
    transient: bool,
}

impl Failure {
    /// Something went wrong.
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self { code: ERROR, message: message.into(), hint: None, transient: false }
    }

    /// Something went wrong that may pass by itself.
    pub(super) fn transient(message: impl Into<String>) -> Self {
        Self { transient: true, ..Self::error(message) }
    }

    /// The command or the settings were not understood.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, ..Self::error(message) }
    }

    /// The execution did not succeed.
    pub(super) fn run_failed(message: impl Into<String>) -> Self {
        Self { code: RUN_FAILED, ..Self::error(message) }
    }

    /// The time was up.
    pub(super) fn timeout(message: impl Into<String>) -> Self {
        Self { code: TIMEOUT, ..Self::error(message) }
    }

    /// The server wants a login, or another one.
    pub(super) fn auth(message: impl Into<String>) -> Self {
        Self { code: AUTH, ..Self::error(message) }
    }

    /// The message, for a caller that reports several failures at once.
    pub(super) fn into_message(self) -> String {
        self.message
    }

    /// Whether it may pass by itself.
    pub(super) fn is_transient(&self) -> bool {
        self.transient
    }

    #[must_use]
    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the failure and answers its exit code.
    pub(super) fn report(&self) -> ExitCode {
        note(format_args!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            note(format_args!("hint: {hint}"));
        }
        ExitCode::from(self.code)
    }
}

/// With every cause, and with what to do if that is known.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let hint = crate::app::process::hint(&error).map(str::to_owned);
        Self { hint, ..Self::error(format!("{error:#}")) }
    }
}

/// Prints what clap has to say: help and version are no failures.
pub(super) fn report_usage(error: &clap::Error) -> ExitCode {
    if error.print().is_err() {
        return ExitCode::from(ERROR);
    }
    if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}
