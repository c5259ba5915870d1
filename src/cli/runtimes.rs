//! `citadel runtimes`: languages that are installed beside the program, and processes of this machine's interpreters with their
//! packages. Works in this process, by the settings.

#[cfg(target_os = "linux")]
mod native;

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
    model::problem::suggestion,
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
    /// Lists the languages that are built in or can be installed, and those whose interpreters this machine has.
    List,
    /// Installs languages: fetches, checks and compiles them. Of a native language with `requirements` in the settings, its packages.
    /// What was fetched before is not fetched again.
    Install(Languages),
    /// Removes languages; of a native language, its packages.
    Remove(Languages),
    /// Checks what is installed against its sums and runs a program in it; all that is installed by default.
    Verify(MaybeLanguages),
}

#[derive(Debug, Args)]
struct Languages {
    /// Their names: `python`, `ruby`, or of the settings.
    #[arg(required = true, value_name = "LANGUAGE")]
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
        RuntimesCommand::List => list(config, arguments.output).await?,
        RuntimesCommand::Install(Languages { languages }) => {
            for language in targets(&languages, config)? {
                match language {
                    Target::Guest(language) => install(config, language).await?,
                    #[cfg(target_os = "linux")]
                    Target::Native(language) => native::install(config, language).await?,
                }
            }
        }
        RuntimesCommand::Remove(Languages { languages }) => {
            for (name, language) in languages.iter().zip(targets(&languages, config)?) {
                let removed = match language {
                    Target::Guest(language) => runtimes::remove(config, language).await.map_err(failure)?,
                    #[cfg(target_os = "linux")]
                    Target::Native(language) => native::remove(config, language).await?,
                };
                print(format_args!("{name} {}", if removed { "is removed" } else { "was not installed" }));
            }
        }
        RuntimesCommand::Verify(MaybeLanguages { languages }) => return verify(config, &languages).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// What a name stands for.
enum Target {
    /// A language that is installed beside the program.
    Guest(Installable),
    /// A native language, whose packages are meant.
    #[cfg(target_os = "linux")]
    Native(String),
}

/// Errors: the first name that no language has, before anything is done.
fn targets(names: &[String], config: &Config) -> Result<Vec<Target>, Failure> {
    #[cfg(target_os = "linux")]
    let natives = native::names(config);
    #[cfg(not(target_os = "linux"))]
    let natives: Vec<String> = Vec::new();
    names.iter().map(|name| target(name, &natives)).collect()
}

fn target(name: &str, natives: &[String]) -> Result<Target, Failure> {
    if let Some(language) = Installable::of_name(name) {
        return Ok(Target::Guest(language));
    }
    #[cfg(target_os = "linux")]
    if natives.iter().any(|native| native == name) {
        return Ok(Target::Native(name.to_owned()));
    }
    let known = Installable::ALL.map(Installable::name).into_iter().chain(natives.iter().map(String::as_str));
    Err(Failure::usage(format!("there is no language `{name}` to install")).with_hint(suggestion(name, known)))
}

#[cfg(target_os = "linux")]
async fn list(config: &Config, output: OutputArguments) -> Result<(), Failure> {
    let (listed, here) = (runtimes::list(config)?, native::look(config).await?);
    output.show(&json!({ "items": listed, "native": here.value }), || {
        let mut table = table(&listed);
        for state in &here.states {
            let version = state.version.clone().unwrap_or_default();
            let ready = || "of this machine".to_owned();
            table.push([state.name.clone(), version, state.missing.clone().unwrap_or_else(ready), String::new()]);
        }
        table.to_string()
    })?;
    here.notes.iter().for_each(note);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
async fn list(config: &Config, output: OutputArguments) -> Result<(), Failure> {
    let listed = runtimes::list(config)?;
    output.show(&json!({ "items": listed }), || table(&listed).to_string())
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
    Ok(there.filter_map(|listed| Installable::of_name(&listed.name)).collect())
}

fn known(names: &[String]) -> Vec<Installable> {
    names.iter().map(|name| Installable::of_name(name).expect("the arguments were checked")).collect()
}

fn names() -> PossibleValuesParser {
    Installable::ALL.map(Installable::name).into()
}

fn failure(error: anyhow::Error) -> Failure {
    let hint = error.chain().find_map(|cause| cause.downcast_ref::<InstallError>()).and_then(InstallError::hint);
    with_hint(error, hint)
}

fn with_hint(error: anyhow::Error, hint: Option<&'static str>) -> Failure {
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

fn table(listed: &[Listed]) -> Table {
    let mut table = Table::new(&["NAME", "VERSION", "STATE", "SIZE"]);
    for language in listed {
        let state = match language.state {
            Presence::BuiltIn => "built in",
            Presence::Installed => "installed",
            Presence::Outdated => "outdated",
            Presence::Absent => "not installed",
        };
        let size = if language.bytes == 0 { String::new() } else { format!("{} MiB", language.bytes.div_ceil(1024 * 1024)) };
        table.push([language.name.clone(), language.version.clone(), state.to_owned(), size]);
    }
    table
}
