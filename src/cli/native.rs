//! `citadel native`: the languages that are processes of this machine's interpreters. Works in this process, by the settings.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Failure,
    output::{OutputArguments, note, print},
    table::Table,
};
use crate::{
    app::languages::native::{self, LanguageState},
    config::Config,
};

#[derive(Debug, Args)]
pub(super) struct NativeArguments {
    #[command(flatten)]
    output: OutputArguments,
    #[command(subcommand)]
    command: NativeCommand,
}

#[derive(Debug, Subcommand)]
enum NativeCommand {
    /// Lists the languages whose interpreters are here, with their versions.
    List,
    /// Installs the packages of a language that has `requirements` in the settings.
    Install {
        /// Its name in the settings.
        language: String,
    },
}

pub(super) async fn native(arguments: NativeArguments, config: &Config) -> Result<ExitCode, Failure> {
    match arguments.command {
        NativeCommand::List => {
            let (report, states) = native::look(config).await?;
            arguments.output.show(&json!({ "report": report, "items": states }), || table(&states))?;
            if let Some(missing) = &report.features.full {
                note(format_args!("no namespaces: {missing}"));
            }
            report.problems.iter().for_each(note);
        }
        NativeCommand::Install { language } => {
            let directory = native::install(config, language.clone(), |line| note(line)).await?;
            print(format_args!("the packages of {language} are in {}", directory.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(states: &[LanguageState]) -> String {
    let mut table = Table::new(&["NAME", "VERSION", "STATE"]);
    for state in states {
        let version = state.version.clone().unwrap_or_default();
        table.push([state.name.clone(), version, state.missing.clone().unwrap_or_else(|| "ready".to_owned())]);
    }
    table.to_string()
}
