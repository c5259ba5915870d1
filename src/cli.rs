//! The command line: reads arguments, calls `app` or a server, prints. Results go to standard output, everything else to standard
//! error. `serve`, `dev`, `run`, `db`, `admin` and `doctor` work in this process; client commands speak HTTP only.

mod actors;
mod admin;
mod audit;
mod bench;
mod client;
mod code;
mod completions;
mod context;
mod credential;
mod db;
mod dev;
mod doctor;
mod execution;
mod failure;
mod healthcheck;
mod init;
mod input;
mod login;
#[cfg(target_os = "linux")]
mod output;
mod people;
mod progress;
mod prompt;
mod remote;
mod run;
mod runtimes;
mod schedule;
mod secrets;
mod serve;
mod settings;
mod setup;
mod table;
mod unified;
mod version;
mod workflow;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::{failure::Failure, settings::Prepared};
use crate::config::{Flags, Loader, LogFormat};

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
    /// Starts a server to try things out: loopback only, its data in ./.citadel, with sample workflows.
    Dev(dev::DevArguments),
    /// Runs one workflow file to its end, without a server.
    Run(run::RunArguments),
    /// Measures this program under load, with the limits of the machine beside it.
    Bench(bench::BenchArguments),
    /// Writes a file with every setting, explained.
    Init(init::InitArguments),
    /// Looks at the settings.
    #[command(subcommand)]
    Config(settings::ConfigCommand),
    /// Looks for problems of this machine and its settings; exit code 1 if there is one.
    Doctor(doctor::DoctorArguments),
    /// Asks a server whether it is ready, for containers; exit code 1 if it is not.
    Healthcheck(healthcheck::HealthcheckArguments),
    /// Looks after languages: those that are installed beside the program, and processes of this machine's interpreters.
    Runtimes(runtimes::RuntimesArguments),
    /// Looks after the database's schema.
    #[command(subcommand)]
    Db(db::DbCommand),
    /// Looks after people on the database itself, for when nobody can log in.
    Admin(admin::AdminArguments),
    /// Makes the first owner of a server, and logs them in.
    Setup(setup::SetupArguments),
    /// Logs in to a server and keeps that as a context.
    Login(login::LoginArguments),
    /// Looks after the servers that one has logged in to.
    Context(context::ContextArguments),
    /// Looks after workflows of a server, and files of them.
    Workflow(workflow::WorkflowArguments),
    /// Looks after executions of a server.
    Execution(execution::ExecutionArguments),
    /// Looks after schedules of a server.
    Schedule(schedule::ScheduleArguments),
    /// Looks after accounts of people.
    User(people::UserArguments),
    /// Looks after the members of a workspace, and invitations to it.
    Member(people::MemberArguments),
    /// Looks after roles: what members may do.
    Role(people::RoleArguments),
    /// Looks after API keys.
    Key(people::KeyArguments),
    /// Looks after the workspaces that one is in.
    Workspace(people::WorkspaceArguments),
    /// Looks after credentials of a server.
    Credential(credential::CredentialArguments),
    /// Looks after the master keys of a server.
    Secrets(secrets::SecretsArguments),
    /// Runs code on a server, without a workflow.
    Code(code::CodeArguments),
    /// Shows who changed what on a server, and checks that the log of it is whole.
    Audit(audit::AuditArguments),
    /// Shows the live actors of a server.
    Actors(actors::ActorsArguments),
    /// Prints the OpenAPI document of the API.
    Openapi,
    /// Prints a script that completes commands in a shell.
    Completions(completions::CompletionsArguments),
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
    command.add_flags(&mut flags);
    flags.set("log.filter", log_filter);
    flags.set("log.format", log_format.map(flag_value));
    let loader = Loader::new(config_files.clone(), flags);
    let prepare = || Prepared::load(loader);
    // Boxed, since the largest of these futures would be the size of all.
    match command {
        Command::Serve(arguments) => Box::pin(serve::serve(arguments, prepare()?)).await,
        Command::Dev(arguments) => Box::pin(dev::dev(arguments, prepare()?)).await,
        Command::Run(arguments) => Box::pin(run::run(arguments, prepare()?.loaded.config)).await,
        Command::Bench(arguments) => Box::pin(bench::bench(arguments, &config_files, &prepare()?.loaded.config)).await,
        Command::Init(arguments) => init::init(&arguments),
        Command::Config(command) => settings::config(command, &prepare()?.loaded),
        Command::Doctor(arguments) => Box::pin(doctor::doctor(arguments, &prepare()?.loaded.config)).await,
        Command::Healthcheck(arguments) => Box::pin(healthcheck::healthcheck(arguments, &prepare()?.loaded.config)).await,
        Command::Runtimes(arguments) => Box::pin(runtimes::runtimes(arguments, &prepare()?.loaded.config)).await,
        Command::Db(command) => Box::pin(db::db(command, &prepare()?.loaded.config)).await,
        Command::Admin(arguments) => Box::pin(admin::admin(arguments, &prepare()?.loaded.config)).await,
        Command::Setup(arguments) => Box::pin(setup::setup(arguments, &prepare()?.loaded)).await,
        Command::Login(arguments) => Box::pin(login::login(arguments, &prepare()?.loaded)).await,
        Command::Context(arguments) => context::context(arguments, &prepare()?.loaded.config),
        Command::Workflow(arguments) => Box::pin(workflow::workflow(arguments, &prepare()?.loaded)).await,
        Command::Execution(arguments) => Box::pin(execution::execution(arguments, &prepare()?.loaded)).await,
        Command::Schedule(arguments) => Box::pin(schedule::schedule(arguments, &prepare()?.loaded)).await,
        Command::User(arguments) => Box::pin(people::user(arguments, &prepare()?.loaded)).await,
        Command::Member(arguments) => Box::pin(people::member(arguments, &prepare()?.loaded)).await,
        Command::Role(arguments) => Box::pin(people::role(arguments, &prepare()?.loaded)).await,
        Command::Key(arguments) => Box::pin(people::key(arguments, &prepare()?.loaded)).await,
        Command::Workspace(arguments) => Box::pin(people::workspace(arguments, &prepare()?.loaded)).await,
        Command::Credential(arguments) => Box::pin(credential::credential(arguments, &prepare()?.loaded)).await,
        Command::Secrets(arguments) => Box::pin(secrets::secrets(arguments, &prepare()?.loaded)).await,
        Command::Code(arguments) => Box::pin(code::code(arguments, &prepare()?.loaded)).await,
        Command::Audit(arguments) => Box::pin(audit::audit(arguments, &prepare()?.loaded)).await,
        Command::Actors(arguments) => Box::pin(actors::actors(arguments, &prepare()?.loaded)).await,
        Command::Openapi => Ok(openapi()),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Version(arguments) => version::version(&arguments),
    }
}

fn openapi() -> ExitCode {
    output::print(crate::app::openapi_document());
    ExitCode::SUCCESS
}

impl Command {
    /// The settings that the command's own flags set, and defaults that it changes.
    fn add_flags(&self, flags: &mut Flags) {
        match self {
            Self::Serve(arguments) => arguments.add_flags(flags),
            Self::Dev(arguments) => arguments.add_flags(flags),
            Self::Bench(arguments) => arguments.add_flags(flags),
            // For people first: warnings only, unless asked.
            Self::Run(_)
            | Self::Config(_)
            | Self::Doctor(_)
            | Self::Healthcheck(_)
            | Self::Context(_)
            | Self::Runtimes(_)
            | Self::Admin(_) => flags.set_default("log.filter", "warn"),
            Self::Setup(arguments) => arguments.add_flags(flags),
            Self::Login(arguments) => arguments.add_flags(flags),
            Self::Workflow(arguments) => arguments.add_flags(flags),
            Self::Execution(arguments) => arguments.add_flags(flags),
            Self::Schedule(arguments) => arguments.add_flags(flags),
            Self::User(arguments) => arguments.add_flags(flags),
            Self::Member(arguments) => arguments.add_flags(flags),
            Self::Role(arguments) => arguments.add_flags(flags),
            Self::Key(arguments) => arguments.add_flags(flags),
            Self::Workspace(arguments) => arguments.add_flags(flags),
            Self::Credential(arguments) => arguments.add_flags(flags),
            Self::Secrets(arguments) => arguments.add_flags(flags),
            Self::Code(arguments) => arguments.add_flags(flags),
            Self::Audit(arguments) => arguments.add_flags(flags),
            Self::Actors(arguments) => arguments.add_flags(flags),
            Self::Init(_) | Self::Db(_) | Self::Openapi | Self::Completions(_) | Self::Version(_) => {}
        }
    }
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
