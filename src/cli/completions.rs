//! `citadel completions`.

use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Arguments, Failure, output::print_raw};

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// bash, elvish, fish, powershell or zsh.
    shell: Shell,
}

pub(super) fn completions(arguments: &CompletionsArguments) -> Result<ExitCode, Failure> {
    // Into memory first: the library panics where a pipe has been closed.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "citadel", &mut script);
    print_raw(&script);
    Ok(ExitCode::SUCCESS)
}
