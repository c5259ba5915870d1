//! `citadel runtimes`: languages that are installed beside the program. Works in this process, on the directories of the settings.

use std::{process::ExitCode, time::Instant};

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use serde_json::json;

use super::{
    Failure,
    output::{OutputArguments, note, print},
    table::Table,
};
use crate::{
    app::runtimes::{self, InstallError, Installable, Listed, Presence},
    config::Config,
};

#[derive(Debug, Args)]
pub(super) struct RuntimesArguments {
    #[command(flatten)]
    output: OutputArguments,
    #[command(subcommand)]
    command: RuntimesCommand,
}

#[derive(Debug, Subcommand)]
enum RuntimesCommand {
    /// Lists the languages that can be installed.
    List,
    /// Installs languages: fetches, checks and compiles them. What was fetched before is not fetched again.
    Install(Languages),
    /// Removes languages.
    Remove(Languages),
    /// Checks what is installed against its sums and runs a program in it; all that is installed by default.
    Verify(MaybeLanguages),
}

#[derive(Debug, Args)]
struct Languages {
    /// Their names.
    #[arg(required = true, value_name = "LANGUAGE", value_parser = names())]
    languages: Vec<String>,
}

#[derive(Debug, Args)]
struct MaybeLanguages {
    /// Their names.
    #[arg(value_name = "LANGUAGE", value_parser = names())]
    languages: Vec<String>,
}

pub(super) async fn runtimes(arguments: RuntimesArguments, config: &Config) -> Result<ExitCode, Failure> {
    match arguments.command {
        RuntimesCommand::List => {
            let listed = runtimes::list(config)?;
            arguments.output.show(&json!({ "items": listed }), || table(&listed))?;
        }
        RuntimesCommand::Install(Languages { languages }) => {
            for language in known(&languages) {
                install(config, language).await?;
            }
        }
        RuntimesCommand::Remove(Languages { languages }) => {
            for language in known(&languages) {
                let removed = runtimes::remove(config, language).await.map_err(failure)?;
                print(format_args!("{} {}", language.name(), if removed { "is removed" } else { "was not installed" }));
            }
        }
        RuntimesCommand::Verify(MaybeLanguages { languages }) => return verify(config, &languages).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn install(config: &Config, language: Installable) -> Result<(), Failure> {
    let (name, started) = (language.name(), Instant::now());
    runtimes::install(config, language, move |step| note(format_args!("{name}: {step}"))).await.map_err(failure)?;
    print(format_args!("{name} is ready ({}, {:.1} s)", language.version(), started.elapsed().as_secs_f64()));
    Ok(())
}

/// Verifies every language, also after one that is wrong.
async fn verify(config: &Config, names: &[String]) -> Result<ExitCode, Failure> {
    let languages = if names.is_empty() { installed(config)? } else { known(names) };
    if languages.is_empty() {
        note("nothing is installed");
    }
    let mut code = ExitCode::SUCCESS;
    for language in languages {
        match runtimes::verify(config, language).await {
            Ok(()) => print(format_args!("{} is good", language.name())),
            Err(error) => code = failure(error).report(),
        }
    }
    Ok(code)
}

/// What is there, also of another version.
fn installed(config: &Config) -> Result<Vec<Installable>, Failure> {
    let there = runtimes::list(config)?.into_iter().filter(|listed| listed.state != Presence::Absent);
    Ok(there.filter_map(|listed| Installable::of_name(listed.name)).collect())
}

fn known(names: &[String]) -> Vec<Installable> {
    names.iter().map(|name| Installable::of_name(name).expect("the arguments were checked")).collect()
}

fn names() -> PossibleValuesParser {
    Installable::ALL.map(Installable::name).into()
}

fn failure(error: anyhow::Error) -> Failure {
    let hint = error.chain().find_map(|cause| cause.downcast_ref::<InstallError>()).and_then(InstallError::hint);
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn table(listed: &[Listed]) -> String {
    let mut table = Table::new(&["NAME", "VERSION", "STATE", "SIZE"]);
    table.push(["javascript".to_owned(), String::new(), "built in".to_owned(), String::new()]);
    for language in listed {
        let state = match language.state {
            Presence::Installed => "installed",
            Presence::Outdated => "outdated",
            Presence::Absent => "not installed",
        };
        let size = if language.bytes == 0 { String::new() } else { format!("{} MiB", language.bytes.div_ceil(1024 * 1024)) };
        table.push([language.name.to_owned(), language.version.to_owned(), state.to_owned(), size]);
    }
    table.to_string()
}
