//! `citadel member`: who is in a workspace, and invitations to it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{current_workspace, find_user};
use crate::{
    cli::{
        Failure,
        client::{Authorization, Client, Method},
        output::note,
        prompt,
        remote::{ListArguments, RemoteArguments, field, items},
        table::Table,
    },
    config::{Flags, Loaded},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct MemberArguments {
    #[command(flatten)]
    remote: RemoteArguments,
    #[command(subcommand)]
    command: MemberCommand,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// Lists the members of the workspace.
    List {
        #[command(flatten)]
        list: ListArguments,
    },
    /// Gives a member another role.
    Role {
        /// An id or an e-mail address.
        user: String,
        role: String,
    },
    /// Takes a member out of the workspace; the account stays.
    Remove { user: String },
    /// Invites somebody, and shows the secret to hand over.
    Invite {
        email: String,
        #[arg(long)]
        role: String,
        /// How long it is open: `3d`; a week, unless it says.
        #[arg(long, value_name = "DURATION")]
        expires_in: Option<String>,
    },
    /// Lists open invitations.
    Invitations {
        #[command(flatten)]
        list: ListArguments,
    },
    /// Takes an invitation back.
    Uninvite {
        /// The id of the invitation.
        id: String,
    },
    /// Accepts an invitation: with the account that is logged in, or with a new one.
    Join {
        /// The name for a new account. Without it you join with the one that you have: logged in, or by its password.
        #[arg(long)]
        name: Option<String>,
    },
}

impl MemberArguments {
    pub(in crate::cli) fn add_flags(&self, flags: &mut Flags) {
        self.remote.add_flags(flags);
    }
}

pub(in crate::cli) async fn member(arguments: MemberArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let remote = arguments.remote.connect(loaded)?;
    // Whoever joins may be nobody so far, and is not there yet.
    let is_joining = matches!(arguments.command, MemberCommand::Join { .. });
    let here = if is_joining { String::new() } else { current_workspace(&remote).await? };
    let workspace = here.as_str();
    match arguments.command {
        MemberCommand::List { list } => {
            let found = remote.list(&["workspaces", workspace, "members"], &[], &list).await?;
            remote.output.show_list(&found, || members(items(&found)))?;
        }
        MemberCommand::Role { user, role } => {
            let id = find_user(&remote, &user).await?;
            let path = ["workspaces", workspace, "members", &id];
            let call = remote.client.api(Method::PUT, &path).await?.json(&json!({ "role": role }));
            let changed = call.send().await?.body;
            remote.output.show(&changed, || members([&changed]))?;
        }
        MemberCommand::Remove { user } => {
            let id = find_user(&remote, &user).await?;
            let path = ["workspaces", workspace, "members", &id];
            remote.client.api(Method::DELETE, &path).await?.send().await?;
            note(format_args!("{user} is no member any more"));
        }
        MemberCommand::Invite { email, role, expires_in } => {
            let body = json!({ "email": email, "role": role, "expires_in": expires_in });
            let made = remote.client.post(&["workspaces", workspace, "invitations"], &body).await?;
            remote.output.show(&made, || field(&made, "token"))?;
            note(format_args!("hand it over to {email}, who accepts with `citadel member join`: it is not shown again"));
        }
        MemberCommand::Invitations { list } => {
            let found = remote.list(&["workspaces", workspace, "invitations"], &[], &list).await?;
            remote.output.show_list(&found, || invitations(items(&found)))?;
        }
        MemberCommand::Uninvite { id } => {
            let path = ["workspaces", workspace, "invitations", &id];
            remote.client.api(Method::DELETE, &path).await?.send().await?;
            note(format_args!("the invitation {id} is worthless now"));
        }
        MemberCommand::Join { name } => {
            let joined = join(&remote.client, name).await?;
            remote.output.show(&joined, || members([&joined]))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Secrets are asked for: arguments are seen by every process of the machine.
async fn join(client: &Client, name: Option<String>) -> Result<Value, Failure> {
    let token = prompt::ask_secret("Invitation: ").await?;
    let path = ["invitations", "accept"];
    let is_known = !matches!(client.target().authorization, Authorization::None);
    let question = match &name {
        None if is_known => return client.post(&path, &json!({ "token": token })).await,
        None => "Password of your account: ",
        Some(_) => "Password for the new account: ",
    };
    let password = prompt::ask_secret(question).await?;
    let body = json!({ "token": token, "name": name, "password": password });
    Ok(client.anonymous(Method::POST, &["api", "v1", "invitations", "accept"]).json(&body).send().await?.body)
}

fn members<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["USER", "EMAIL", "NAME", "ROLE", "SINCE"]);
    for row in rows {
        table.push([
            field(row, "user_id"),
            field(row, "email"),
            field(row, "name"),
            field(row, "role"),
            field(row, "member_since"),
        ]);
    }
    table.to_string()
}

fn invitations<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    let mut table = Table::new(&["ID", "EMAIL", "ROLE", "EXPIRES"]);
    for row in rows {
        table.push([field(row, "id"), field(row, "email"), field(row, "role"), field(row, "expires_at")]);
    }
    table.to_string()
}
