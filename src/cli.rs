//! The command line: reads arguments, calls `app`, prints. Results go to standard output, everything else to standard error.

mod bench;
mod db;
mod failure;
mod output;
mod run;
mod serve;
mod version;
mod workflow;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::failure::Failure;
use crate::config::{self, Config, Flags, LogFormat};

/// A self-hosted workflow engine.
#[derive(Debug, Parser)]
#[command(name = "citadel", version, disable_help_subcommand = true)]
struct Arguments {
    /// Settings from this file, too; repeatable, later files win.
    #[arg(long = "config", value_name = "FILE", global = true)]
    config_files: Vec<PathBuf>,
    /// What to log: `info`, `citadel=debug`, ...
    #[arg(long, value_name = "FILTER", global = true)]
    log_filter: Option<String>,
    /// How to log.
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a server.
    Serve(serve::ServeArguments),
    /// Runs one workflow file to its end, without a server.
    Run(run::RunArguments),
    /// Measures this program under load, with the limits of the machine beside it.
    Bench(bench::BenchArguments),
    /// Looks after the database's schema.
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Looks after workflow files.
    #[command(subcommand)]
    Workflow(workflow::WorkflowCommand),
    /// Prints the OpenAPI document of the API.
    Openapi,
    /// Shows the version.
    Version(version::VersionArguments),
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return failure::report_usage(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::error(format!("cannot start the runtime: {error}")).report(),
    };
    let code = runtime.block_on(dispatch(arguments)).unwrap_or_else(|failure| failure.report());
    // The command has put away everything that matters; what still blocks a thread must not hold the process.
    runtime.shutdown_background();
    code
}

async fn dispatch(arguments: Arguments) -> Result<ExitCode, Failure> {
    let Arguments { config_files, log_filter, log_format, command } = arguments;
    let mut flags = Flags::default();
    flags.set("log.filter", log_filter);
    flags.set("log.format", log_format.map(flag_value));
    let load = |flags: Flags| load(&config_files, flags);
    // Boxed, since the largest of these futures would be the size of all.
    match command {
        Command::Serve(arguments) => {
            arguments.add_flags(&mut flags);
            Box::pin(serve::serve(arguments, &load(flags)?)).await
        }
        Command::Run(arguments) => {
            arguments.add_flags(&mut flags);
            Box::pin(run::run(arguments, load(flags)?)).await
        }
        Command::Bench(arguments) => {
            arguments.add_flags(&mut flags);
            Box::pin(bench::bench(arguments, &config_files, &load(flags)?)).await
        }
        Command::Db(command) => Box::pin(db::db(command, &load(flags)?)).await,
        Command::Workflow(command) => Box::pin(workflow::workflow(command)).await,
        Command::Openapi => Ok(openapi()),
        Command::Version(arguments) => version::version(&arguments),
    }
}

fn openapi() -> ExitCode {
    output::print(crate::app::openapi_document());
    ExitCode::SUCCESS
}

fn load(files: &[PathBuf], flags: Flags) -> Result<Config, Failure> {
    let config = config::load(files, flags).map_err(|error| {
        Failure::usage(error.to_string()).with_hint("settings are files, `CITADEL__SECTION__KEY` in the environment, and flags")
    })?;
    crate::app::process::prepare(&config)?;
    Ok(config)
}

/// The spelling of a value in the settings.
fn flag_value(value: impl clap::ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_are_spelt_like_settings() {
        assert_eq!(flag_value(LogFormat::Json), serde_json::to_value(LogFormat::Json).unwrap());
    }
}
