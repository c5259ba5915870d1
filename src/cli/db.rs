//! `citadel db`.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    Failure,
    output::{OutputArguments, note, print},
    remote::field,
    table::Table,
};
use crate::{
    app::{
        database::{self, Migration},
        seed,
    },
    config::Config,
    model::problem::counted,
};

#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// Brings the schema up to date.
    Migrate,
    /// Shows which migrations the database has; exit code 1 if any is missing.
    Status,
    /// Makes a workspace to try things out in: somebody of every role, workflows, a schedule. Their keys and passwords are shown once.
    Seed {
        #[command(flatten)]
        output: OutputArguments,
    },
}

pub(super) async fn db(command: DbCommand, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        DbCommand::Migrate => {
            let done = database::migrate(config).await?;
            done.iter().for_each(show);
            print(format_args!("{} applied", counted(done.len(), "migration")));
            Ok(ExitCode::SUCCESS)
        }
        DbCommand::Seed { output } => seed(config, output).await,
        DbCommand::Status => {
            let all = database::migrations(config).await?;
            all.iter().for_each(show);
            Ok(if all.iter().all(|migration| migration.applied) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

async fn seed(config: &Config, output: OutputArguments) -> Result<ExitCode, Failure> {
    let seeded = seed::seed(config).await?;
    let people = seeded.people.iter().map(|person| {
        json!({
            "role": person.role.as_str(),
            "email": person.email,
            "password": person.password,
            "api_key": person.key.expose(),
        })
    });
    let people: Vec<Value> = people.collect();
    let shown = json!({ "workspace_id": seeded.workspace, "workflows": seeded.workflows, "people": people });
    output.show(&shown, || {
        let mut table = Table::new(&["ROLE", "EMAIL", "PASSWORD", "API KEY"]);
        for person in &people {
            table.push([field(person, "role"), field(person, "email"), field(person, "password"), field(person, "api_key")]);
        }
        table.to_string()
    })?;
    note(format_args!("the workspace {} is ready; its passwords and keys are not shown again", seeded.workspace));
    Ok(ExitCode::SUCCESS)
}

fn show(migration: &Migration) {
    let state = if migration.applied { "applied" } else { "missing" };
    print(format_args!("{:04}  {state}  {}", migration.version, migration.name));
}
