//! `citadel db`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{Failure, output::print};
use crate::{
    app::database::{self, Migration},
    config::Config,
    model::problem::counted,
};

#[derive(Debug, Subcommand)]
pub(super) enum DbCommand {
    /// Brings the schema up to date.
    Migrate,
    /// Shows which migrations the database has; exit code 1 if any is missing.
    Status,
}

pub(super) async fn db(command: DbCommand, config: &Config) -> Result<ExitCode, Failure> {
    match command {
        DbCommand::Migrate => {
            let done = database::migrate(config).await?;
            done.iter().for_each(show);
            print(format_args!("{} applied", counted(done.len(), "migration")));
            Ok(ExitCode::SUCCESS)
        }
        DbCommand::Status => {
            let all = database::migrations(config).await?;
            all.iter().for_each(show);
            Ok(if all.iter().all(|migration| migration.applied) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn show(migration: &Migration) {
    let state = if migration.applied { "applied" } else { "missing" };
    print(format_args!("{:04}  {state}  {}", migration.version, migration.name));
}
