//! `citadel credential`: what nodes show to other services. Secrets are read from files, from standard input or from a person, never
//! from arguments: those can be seen by every user of the machine.

mod fields;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use self::fields::FieldArguments;
use super::{
    Failure,
    client::Method,
    remote::{ListArguments, Remote, RemoteArguments, field, items},
    table::Table,
};
use crate::{
    config::{Flags, Loaded},
    model::{ids::CredentialId, problem::suggestion},
};

#[derive(Debug, Args)]
pub(super) struct CredentialArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: CredentialCommand,
}

#[derive(Debug, Subcommand)]
enum CredentialCommand {
    /// Lists credentials, without their values.
    List {
        /// Of this type only.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Shows a credential, by its name or id.
    Get { credential: String },
    /// Lists the types, or shows the fields of one.
    Types { name: Option<String> },
    /// Creates a credential, or gives the one of this name new fields.
    Set {
        name: String,
        /// What it is; needed to create one.
        #[arg(long = "type", value_name = "TYPE")]
        kind: Option<String>,
        /// What it is for.
        #[arg(long)]
        description: Option<String>,
        #[command(flatten)]
        fields: FieldArguments,
    },
    /// Deletes a credential.
    Delete {
        credential: String,
        /// Also if active workflows name it.
        #[arg(long)]
        force: bool,
    },
    /// Tries a credential; exit code 1 if it does not work.
    Test {
        credential: String,
        /// For those that are sent with requests: a GET request goes there.
        #[arg(long = "to", value_name = "URL")]
        to: Option<String>,
    },
    /// Prints the URL that a person opens to agree (type `oauth2_authorization_code`).
    Authorize { credential: String },
    /// Lists the workflows that name a credential.
    Workflows {
        credential: String,
        #[command(flatten)]
        list: ListArguments,
    },
}

impl CredentialArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(super) async fn credential(arguments: CredentialArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    match arguments.command {
        CredentialCommand::List { kind, list } => {
            let query: Vec<_> = kind.map(|kind| ("type", kind)).into_iter().collect();
            let found = remote.list(&["credentials"], &query, &list).await?;
            remote.output.show_list(&found, || table(items(&found)))?;
        }
        CredentialCommand::Get { credential } => {
            let id = find(&remote, &credential).await?;
            show(&remote, &remote.client.get(&["credentials", &id]).await?)?;
        }
        CredentialCommand::Types { name } => show_types(&remote, name.as_deref()).await?,
        CredentialCommand::Set { name, kind, description, fields } => set(&remote, name, kind, description, &fields).await?,
        CredentialCommand::Delete { credential, force } => {
            let id = find(&remote, &credential).await?;
            let call = remote.client.api(Method::DELETE, &["credentials", &id]).await?;
            let query: &[(&str, &str)] = if force { &[("force", "true")] } else { &[] };
            call.query(&query).send().await?;
        }
        CredentialCommand::Test { credential, to } => return test(&remote, &credential, to).await,
        CredentialCommand::Authorize { credential } => {
            let id = find(&remote, &credential).await?;
            let answer = remote.client.post(&["credentials", &id, "authorize"], &json!({})).await?;
            remote.output.show(&answer, || field(&answer, "url"))?;
        }
        CredentialCommand::Workflows { credential, list } => {
            let id = find(&remote, &credential).await?;
            let found = remote.list(&["credentials", &id, "workflows"], &[], &list).await?;
            remote.output.show_list(&found, || users_table(items(&found)))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Creates or changes the credential of a name.
async fn set(
    remote: &Remote,
    name: String,
    kind: Option<String>,
    description: Option<String>,
    arguments: &FieldArguments,
) -> Result<(), Failure> {
    let existing = remote.list_all_of(&["credentials"], &[]).await?.into_iter().find(|row| row["name"] == *name);
    let kind = match (&existing, kind) {
        (None, None) => {
            let hint = "name one with --type; `citadel credential types` lists them";
            return Err(Failure::usage(format!("there is no credential {name}, and a new one needs a type")).with_hint(hint));
        }
        (Some(existing), Some(kind)) if existing["type"] != *kind => {
            let message = format!("the credential {name} is of type {} and stays that", field(existing, "type"));
            return Err(Failure::usage(message).with_hint("delete it first, or choose another name"));
        }
        (Some(existing), _) => field(existing, "type"),
        (None, Some(kind)) => kind,
    };
    let fields = arguments.read(&type_named(remote, &kind).await?["schema"]).await?;
    let Some(existing) = existing else {
        let fields = fields.unwrap_or_default();
        let body = json!({ "name": name, "type": kind, "description": description, "fields": fields });
        return show(remote, &remote.client.post(&["credentials"], &body).await?);
    };
    let id = field(&existing, "id");
    let read = remote.client.api(Method::GET, &["credentials", &id]).await?.send().await?;
    let description = description.map_or_else(|| read.body["description"].clone(), Value::from);
    let mut body = Map::from_iter([("description".to_owned(), description)]);
    body.extend(fields.map(|fields| ("fields".to_owned(), Value::Object(fields))));
    let call = remote.client.api(Method::PUT, &["credentials", &id]).await?.header("if-match", read.etag()?);
    show(remote, &call.json(&Value::Object(body)).send().await?.body)
}

async fn test(remote: &Remote, credential: &str, to: Option<String>) -> Result<ExitCode, Failure> {
    let id = find(remote, credential).await?;
    let body = to.map_or_else(|| json!({}), |url| json!({ "url": url }));
    let answer = remote.client.post(&["credentials", &id, "test"], &body).await?;
    let works = answer["ok"] == true;
    remote
        .output
        .show(&answer, || format!("{}: {}", if works { "it works" } else { "it does not work" }, field(&answer, "detail")))?;
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn show_types(remote: &Remote, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else {
        let types = remote.client.get(&["credential-types"]).await?;
        return remote.output.show(&types, || {
            let mut table = Table::new(&["TYPE", "TITLE", "DESCRIPTION"]);
            items(&types).for_each(|row| table.push([field(row, "name"), field(row, "title"), field(row, "description")]));
            table.to_string()
        });
    };
    let found = type_named(remote, name).await?;
    remote.output.show(&found, || {
        let mut table = Table::new(&["FIELD", "NEEDED", "SECRET", "DESCRIPTION"]);
        let schema = &found["schema"];
        let is_needed = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|known| known == name));
        for (name, known) in schema["properties"].as_object().into_iter().flatten() {
            let shown = |is_so: bool| if is_so { "yes".to_owned() } else { "-".to_owned() };
            table.push([name.clone(), shown(is_needed(name)), shown(known["writeOnly"] == true), field(known, "description")]);
        }
        table.to_string()
    })
}

async fn type_named(remote: &Remote, name: &str) -> Result<Value, Failure> {
    let types = remote.client.get(&["credential-types"]).await?;
    let found = items(&types).find(|known| known["name"] == *name).cloned();
    found.ok_or_else(|| {
        let hint = suggestion(name, items(&types).filter_map(|known| known["name"].as_str()));
        Failure::usage(format!("there is no type {name}")).with_hint(hint)
    })
}

/// The id of a credential that is named by its id or its name.
async fn find(remote: &Remote, wanted: &str) -> Result<String, Failure> {
    if wanted.parse::<CredentialId>().is_ok() {
        return Ok(wanted.to_owned());
    }
    let all = remote.list_all(&["credentials"]).await?;
    let found = all.iter().find(|row| row["name"] == *wanted).map(|row| field(row, "id"));
    found.ok_or_else(|| {
        let hint = suggestion(wanted, all.iter().filter_map(|row| row["name"].as_str()));
        Failure::error(format!("there is no credential {wanted}")).with_hint(hint)
    })
}

fn show(remote: &Remote, credential: &Value) -> Result<(), Failure> {
    remote.output.show(credential, || table([credential]))
}

fn table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["ID", "NAME", "TYPE", "FIELDS", "UPDATED", "USED"]);
    for row in rows {
        let names: Vec<&str> = row["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        table.push([
            field(row, "id"),
            field(row, "name"),
            field(row, "type"),
            names.join(","),
            field(row, "updated_at"),
            field(row, "used_at"),
        ]);
    }
    table.to_string()
}

fn users_table<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["WORKFLOW", "NAME", "LATEST", "ACTIVE"]);
    for row in rows {
        table.push([field(row, "workflow_id"), field(row, "workflow_name"), field(row, "in_latest"), field(row, "in_active")]);
    }
    table.to_string()
}
