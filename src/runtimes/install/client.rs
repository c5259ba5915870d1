//! Runs the programs that an installation needs: the registries' clients, Python, tar. They run as the user who installs, with that
//! user's environment: where their proxies and mirrors are, their own settings say.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::error::InstallError;

/// How Python's client is called.
pub(in crate::runtimes) const PIP: &str = "python3 -m pip";
/// How long one program may run.
const RUN_MAX: Duration = Duration::from_secs(15 * 60);
/// How often is looked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How much of what it wrote is told when it fails, in bytes.
const OUTPUT_BYTES_MAX: u64 = 2_000;

/// A program to run once.
pub(in crate::runtimes) struct Program {
    pub(in crate::runtimes) name: &'static str,
    /// What it does here: "fetches Ruby".
    pub(in crate::runtimes) role: &'static str,
    /// What is being done: "fetch ruby 1.0".
    pub(in crate::runtimes) purpose: String,
    pub(in crate::runtimes) command: Command,
}

impl Program {
    /// Runs the program to its end. Errors: it is not there, it fails, or it takes longer than [`RUN_MAX`].
    pub(in crate::runtimes) fn run(self) -> Result<(), InstallError> {
        self.run_within(RUN_MAX)
    }

    fn run_within(mut self, within: Duration) -> Result<(), InstallError> {
        let mut output = tempfile::tempfile().map_err(InstallError::files("make a file in", std::env::temp_dir()))?;
        let clone = |file: &File| file.try_clone().map_err(InstallError::files("make a file in", std::env::temp_dir()));
        self.command.stdin(Stdio::null()).stdout(clone(&output)?).stderr(clone(&output)?);
        let mut child =
            self.command.spawn().map_err(|source| InstallError::NoProgram { program: self.name, purpose: self.role, source })?;
        let started = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ended::By(status),
                Ok(None) if started.elapsed() < within => thread::sleep(LOOK_EVERY),
                Ok(None) => break Ended::TooLate,
                Err(source) => {
                    return Err(InstallError::NoProgram { program: self.name, purpose: self.role, source });
                }
            }
        };
        match status {
            Ended::By(status) if status.success() => return Ok(()),
            Ended::By(_) => {}
            // What cannot be killed has ended.
            Ended::TooLate => drop(child.kill().and_then(|()| child.wait())),
        }
        let status = match status {
            Ended::By(status) => status.to_string(),
            Ended::TooLate => format!("no result after {within:?}"),
        };
        Err(InstallError::Program { program: self.name, purpose: self.purpose, status, output: end_of(&mut output) })
    }
}

enum Ended {
    By(ExitStatus),
    TooLate,
}

/// The last lines of what a program wrote, each on a line of its own.
fn end_of(output: &mut File) -> String {
    let mut text = Vec::new();
    let read = output
        .seek(SeekFrom::End(0))
        .and_then(|length| output.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_BYTES_MAX))))
        .and_then(|_| output.read_to_end(&mut text));
    match read {
        Ok(_) => String::from_utf8_lossy(&text).lines().map(|line| format!("\n  {line}")).collect(),
        Err(error) => format!("\n  (what it wrote cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str) -> Program {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Program { name: "sh", role: "runs scripts", purpose: "run a script".to_owned(), command }
    }

    #[test]
    fn a_failure_tells_what_the_program_wrote() {
        assert!(program("true").run().is_ok());
        let error = program("echo out; echo no such package >&2; exit 3").run().unwrap_err();
        assert_eq!(error.to_string(), "cannot run a script: sh ended with exit status: 3\n  out\n  no such package");
    }

    #[test]
    fn the_deadline_obeyed_and_violated() {
        assert!(program("sleep 0.05").run_within(Duration::from_secs(20)).is_ok());
        let started = Instant::now();
        let error = program("echo waiting; exec sleep 20").run_within(Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.to_string(), "cannot run a script: sh ended with no result after 200ms\n  waiting");
        assert!(started.elapsed() < Duration::from_secs(10), "it was ended, not waited for");
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let missing = Program { command: Command::new("/nonexistent/npm"), name: "npm", ..program("") };
        let error = missing.run().unwrap_err();
        assert_eq!(error.to_string(), "cannot run npm, which runs scripts");
        assert!(error.hint().unwrap().contains("npm"));
    }
}
