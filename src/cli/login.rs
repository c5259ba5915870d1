//! `citadel login`: checks who one is at a server, and keeps that as a context.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    client::{
        Authorization, Client, Context, ContextFile, Contexts, Credentials, Method, Target, Url, local_url, parse_url,
        read_tokens,
    },
    output::print,
    prompt,
};
use crate::config::{Flags, Loaded, Secret};

#[derive(Debug, Args)]
pub(super) struct LoginArguments {
    /// The server; where none is named, the one on this machine.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A token instead of an e-mail address and a password, from standard input: `-`.
    #[arg(long, value_name = "-", conflicts_with = "email")]
    token: Option<String>,
    /// The e-mail address; the password is asked for, or read from standard input or CITADEL__CLIENT__PASSWORD(_FILE).
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The name of the context; the server's host and port by default.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl LoginArguments {
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        flags.set_default("log.filter", "warn");
        flags.set("client.url", self.url.clone());
        flags.set("client.email", self.email.clone());
    }
}

pub(super) async fn login(arguments: LoginArguments, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let client_settings = &loaded.config.client;
    let file = ContextFile::of(&loaded.config);
    let contexts = file.read()?;
    let url = find_server(loaded, &contexts)?;
    let hint = "`--token -` reads it from standard input; CITADEL__CLIENT__TOKEN(_FILE) works, too";
    let token = match read_token(arguments.token.as_deref(), hint)? {
        Some(token) => Some(token),
        // An address on the command line is meant for this login; a token in the environment for every command.
        None if arguments.email.is_some() => None,
        None => client_settings.token.as_ref().map(|token| token.expose().to_owned()),
    };
    let credentials = match token {
        Some(token) => Credentials::Token { token },
        None => log_in(&url, client_settings.email.as_deref(), client_settings.password.as_ref()).await?,
    };
    keep(&file, &url, credentials, arguments.name).await
}

/// The token of `--token`, which is read from standard input.
///
/// Errors: it is on the command line instead; `hint` says what to do then.
pub(super) fn read_token(argument: Option<&str>, hint: &str) -> Result<Option<String>, Failure> {
    match argument {
        None => Ok(None),
        Some("-") => prompt::read_line().map(Some),
        Some(_) => Err(Failure::usage("a token on the command line can be read by every user of this machine").with_hint(hint)),
    }
}

/// Tries credentials, and keeps them as a context.
pub(super) async fn keep(
    file: &ContextFile,
    url: &Url,
    credentials: Credentials,
    name: Option<String>,
) -> Result<ExitCode, Failure> {
    let me = who_am_i(url, &credentials).await?;
    let contexts = file.read()?;
    let known = contexts.iter().find(|(_, context)| context.url == url.as_str()).map(|(name, _)| name.clone());
    let name = name.or(known).unwrap_or_else(|| name_of(url));
    let context = Context { url: url.to_string(), credentials };
    file.update(|contexts| contexts.put(&name, context))?;
    let who = me["user"]["email"].as_str().unwrap_or("the setup token");
    print(format_args!("logged in to {url} as {who}; the context {name} is in use"));
    Ok(ExitCode::SUCCESS)
}

/// Where to log in: what the settings say, else where one has been, else the server on this machine.
///
/// Errors: it is no URL of a server.
pub(super) fn find_server(loaded: &Loaded, contexts: &Contexts) -> Result<Url, Failure> {
    match (&loaded.config.client.url, contexts.current()) {
        (Some(url), _) => parse_url(url),
        // Again, since its session has ended.
        (None, Some((_, current))) => parse_url(&current.url),
        (None, None) => local_url(&loaded.config),
    }
}

/// The e-mail address that the settings name, or else a person.
///
/// Errors: nobody is there to answer.
pub(super) fn ask_email(email: Option<&str>) -> Result<String, Failure> {
    let ask = || prompt::ask("E-mail address: ").map_err(|failure| failure.with_hint("name it with --email"));
    email.map_or_else(ask, |email| Ok(email.to_owned()))
}

/// The password that the settings name, or else a person.
///
/// Errors: nobody answers.
pub(super) async fn ask_password(question: &str, password: Option<&Secret>) -> Result<String, Failure> {
    match password {
        Some(password) => Ok(password.expose().to_owned()),
        None => prompt::ask_secret(question).await,
    }
}

/// Exchanges an address and a password for tokens.
async fn log_in(url: &Url, email: Option<&str>, password: Option<&Secret>) -> Result<Credentials, Failure> {
    let email =
        ask_email(email).map_err(|failure| failure.with_hint("name it with --email, or give a token with `--token -`"))?;
    let password = ask_password("Password: ", password).await?;
    let client = Client::new(Target::anonymous(url.clone()))?;
    let body = json!({ "email": email, "password": password });
    let answer = client.anonymous(Method::POST, &["api", "v1", "auth", "login"]).json(&body).send().await?;
    read_tokens(&answer.body)
}

/// Tries the credentials, so that no context is made that opens nothing.
async fn who_am_i(url: &Url, credentials: &Credentials) -> Result<Value, Failure> {
    let text = match credentials {
        Credentials::Token { token } => token,
        Credentials::Session { access_token, .. } => access_token,
    };
    let authorization = Authorization::Token { token: Secret::new(text.clone()), origin: "this login".to_owned() };
    Client::new(Target { url: url.clone(), authorization })?.get(&["auth", "me"]).await
}

/// `127.0.0.1:8080`.
fn name_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
