//! `citadel setup`: makes the first owner of a server, and logs them in.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{
    Failure,
    client::{Client, ContextFile, Method, Target, find_setup_token, read_tokens},
    login::{ask_email, ask_password, find_server, keep, read_token},
};
use crate::config::{Flags, Loaded};

#[derive(Debug, Args)]
pub(super) struct SetupArguments {
    /// The server; where none is named, the one on this machine.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The setup token, from standard input: `-`. That of a server on this machine is found in its data directory.
    #[arg(long, value_name = "-")]
    token: Option<String>,
    /// The owner's e-mail address; the password is asked for, or read from standard input or CITADEL__CLIENT__PASSWORD(_FILE).
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// What the owner is called.
    #[arg(long, value_name = "NAME", default_value = "")]
    owner: String,
    /// The name of the context; the server's host and port by default.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl SetupArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        flags.set_default("log.filter", "warn");
        flags.set("client.url", self.url.clone());
        flags.set("client.email", self.email.clone());
    }
}

pub(super) async fn setup(arguments: SetupArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let settings = &loaded.config.client;
    let file = ContextFile::of(&loaded.config);
    let url = find_server(loaded, &file.read()?)?;
    let hint = "`--token -` reads it from standard input; that of a server on this machine is found without it";
    let token = match read_token(arguments.token.as_deref(), hint)? {
        Some(token) => token,
        None => match find_setup_token(&loaded.config, &url) {
            Some((token, _)) => token.expose().to_owned(),
            None => {
                return Err(Failure::usage(format!("there is no setup token for {url} here")).with_hint(
                    "`--token -` reads the one that the server's first start has printed; with an owner: `citadel login`",
                ));
            }
        },
    };
    let email = ask_email(settings.email.as_deref())?;
    let password = ask_password("New password: ", settings.password.as_ref()).await?;
    let client = Client::new(Target::anonymous(url.clone()))?;
    let body = json!({ "token": token, "email": email, "password": password, "name": arguments.owner });
    let answer = client.anonymous(Method::POST, &["api", "v1", "setup"]).json(&body).send().await?;
    keep(&file, &url, read_tokens(&answer.body)?, arguments.name).await
}
