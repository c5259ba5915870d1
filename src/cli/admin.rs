//! `citadel admin`: looks after people on the store itself, for when nobody can log in. Who may read the database may do this.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    output::{OutputArguments, print},
    prompt,
    remote::field,
    table::Table,
};
use crate::{
    app::people::{Created, NewPerson, People, Person},
    config::Config,
};

#[derive(Debug, Args)]
pub(super) struct AdminArguments {
    #[command(flatten)]
    output: OutputArguments,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Lists everybody who has an account.
    List,
    /// Makes somebody who can log in; the password is asked for, or read from standard input.
    Create {
        /// The e-mail address.
        email: String,
        /// What the person is called.
        #[arg(long, value_name = "NAME", default_value = "")]
        name: String,
        /// What the person is in the default workspace.
        #[arg(long, value_name = "ROLE", default_value = "owner")]
        role: String,
    },
    /// Gives somebody another password, and ends all of their sessions.
    ResetPassword {
        /// The e-mail address.
        email: String,
    },
}

pub(super) async fn admin(arguments: AdminArguments, config: &Config) -> Result<ExitCode, Failure> {
    let people = People::open(config).await?;
    let done = run(arguments, &people).await;
    people.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn run(arguments: AdminArguments, people: &People) -> Result<(), Failure> {
    match arguments.command {
        AdminCommand::List => {
            let rows: Vec<Value> = people.list().await?.iter().map(row).collect();
            arguments.output.show(&json!({ "items": rows }), || table(&rows))
        }
        AdminCommand::Create { email, name, role } => {
            let password = prompt::ask_secret("New password: ").await?;
            let person = NewPerson { email: &email, name: &name, password: &password, role: &role };
            match people.create(&person).await? {
                Created::Done => print(format_args!("{email} can log in, as {role}")),
                Created::Exists => {
                    return Err(Failure::error(format!("{email} has an account"))
                        .with_hint("`citadel admin reset-password` gives it another password"));
                }
                Created::NoRole => return Err(Failure::usage(format!("there is no role {role}"))),
            }
            Ok(())
        }
        AdminCommand::ResetPassword { email } => {
            let password = prompt::ask_secret("New password: ").await?;
            if !people.reset_password(&email, &password).await? {
                return Err(Failure::error(format!("nobody has the address {email}")).with_hint("`citadel admin list`"));
            }
            print(format_args!("{email} has another password, and no session any more"));
            Ok(())
        }
    }
}

fn row(person: &Person) -> Value {
    json!({
        "id": person.id,
        "email": person.email,
        "name": person.name,
        "role": person.role,
        "has_password": person.has_password,
        "disabled": person.is_disabled,
        "created_at": person.created_at,
    })
}

fn table(rows: &[Value]) -> String {
    let mut table = Table::new(&["EMAIL", "NAME", "ROLE", "STATE", "CREATED"]);
    for row in rows {
        let state = if row["disabled"] == true { "disabled" } else { "enabled" };
        table.push([field(row, "email"), field(row, "name"), field(row, "role"), state.to_owned(), field(row, "created_at")]);
    }
    table.to_string()
}
