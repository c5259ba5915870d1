//! `citadel context`: the servers that this user has logged in to.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    client::{Context, ContextFile},
    output::{OutputArguments, print},
    remote::field,
    table::Table,
};
use crate::config::Config;

#[derive(Debug, Args)]
pub(super) struct ContextArguments {
    #[command(flatten)]
    output: OutputArguments,
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Debug, Subcommand)]
enum ContextCommand {
    /// Lists all contexts.
    List,
    /// Makes a context the current one.
    Use { name: String },
    /// Shows a context, the current one by default; tokens are masked.
    Show { name: Option<String> },
    /// Forgets a context. Its tokens stay valid until they end.
    Remove { name: String },
}

pub(super) fn context(arguments: ContextArguments, config: &Config) -> Result<ExitCode, Failure> {
    let file = ContextFile::of(config);
    match arguments.command {
        ContextCommand::List => {
            let contexts = file.read()?;
            let current = contexts.current().map(|(name, _)| name);
            let rows: Vec<Value> = contexts.iter().map(|(name, context)| row(name, context, current)).collect();
            arguments.output.show(&json!({ "items": rows }), || table(&rows))?;
        }
        ContextCommand::Use { name } => {
            file.update(|contexts| contexts.select(&name))?;
            print(format_args!("the context {name} is in use"));
        }
        ContextCommand::Show { name } => {
            let contexts = file.read()?;
            let current = contexts.current().map(|(name, _)| name);
            let name = name.as_deref().or(current).ok_or_else(|| {
                Failure::error("no context is in use").with_hint("`citadel login` makes one, `citadel context use` chooses one")
            })?;
            let shown = row(name, contexts.get(name)?, current);
            arguments.output.show(&shown, || table(std::slice::from_ref(&shown)))?;
        }
        ContextCommand::Remove { name } => {
            file.update(|contexts| contexts.remove(&name))?;
            print(format_args!("the context {name} is forgotten"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(name: &str, context: &Context, current: Option<&str>) -> Value {
    json!({ "name": name, "url": context.url, "login": context.credentials.kind(), "current": current == Some(name) })
}

fn table(rows: &[Value]) -> String {
    let mut table = Table::new(&["", "NAME", "URL", "LOGIN"]);
    for row in rows {
        let mark = if row["current"] == true { "*" } else { "" };
        table.push([mark.to_owned(), field(row, "name"), field(row, "url"), field(row, "login")]);
    }
    table.to_string()
}
