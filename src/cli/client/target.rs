//! Which server a client command talks to, and with whose token.
//!
//! Flags win over the environment, the environment over files, and all of them over the current context. A token never goes to a
//! server that it was not meant for: that of a context goes to its server only, and the setup token that a server keeps in its
//! data directory goes to this machine only.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{Context, ContextFile, Credentials, Url};
use crate::{
    cli::{Failure, dev},
    config::{Config, Loaded, Secret},
};

/// The file that a server keeps its first token in.
const OWNER_TOKEN_FILE: &str = "owner-token";

/// A server and how to be let in.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Target {
    pub(in crate::cli) url: Url,
    pub(in crate::cli) authorization: Authorization,
}

/// How to be let in.
#[derive(Debug, Clone)]
pub(in crate::cli) enum Authorization {
    /// Not at all: only what is public.
    None,
    /// By a token that does not change, with where it came from.
    Token { token: Secret, origin: String },
    /// By a login whose tokens are renewed in the file of contexts.
    Session { file: ContextFile, context: String },
}

impl Target {
    /// A server that is asked for public things.
    pub(in crate::cli) fn anonymous(url: Url) -> Self {
        Self { url, authorization: Authorization::None }
    }

    /// Finds the server of a command; `context` is the one that a flag names.
    ///
    /// Errors: there is no such context, or a URL is none.
    pub(in crate::cli) fn find(loaded: &Loaded, context: Option<&str>) -> Result<Self, Failure> {
        let config = &loaded.config;
        let file = ContextFile::of(config);
        let contexts = file.read()?;
        if let Some(name) = context {
            let found = contexts.get(name)?;
            return Ok(Self { url: parse_url(&found.url)?, authorization: authorization_of(&file, name, found) });
        }
        let token = config
            .client
            .token
            .clone()
            .map(|token| Authorization::Token { token, origin: loaded.origin_of("client.token").to_string() });
        if let Some(url) = &config.client.url {
            let url = parse_url(url)?;
            let of_context = || {
                let same = contexts
                    .iter()
                    .find(|(_, context)| parse_url(&context.url).is_ok_and(|other| other.origin() == url.origin()));
                same.map(|(name, context)| authorization_of(&file, name, context))
            };
            let authorization = token.or_else(of_context).unwrap_or_else(|| setup_token(config, &url));
            return Ok(Self { url, authorization });
        }
        if let Some((name, current)) = contexts.current() {
            let authorization = token.unwrap_or_else(|| authorization_of(&file, name, current));
            return Ok(Self { url: parse_url(&current.url)?, authorization });
        }
        let url = local_url(config)?;
        let authorization = token.unwrap_or_else(|| setup_token(config, &url));
        Ok(Self { url, authorization })
    }
}

fn authorization_of(file: &ContextFile, name: &str, context: &Context) -> Authorization {
    match &context.credentials {
        Credentials::Token { token } => {
            Authorization::Token { token: Secret::new(token.clone()), origin: format!("the context {name}") }
        }
        Credentials::Session { .. } => Authorization::Session { file: file.clone(), context: name.to_owned() },
    }
}

fn setup_token(config: &Config, url: &Url) -> Authorization {
    find_setup_token(config, url)
        .map_or(Authorization::None, |(token, path)| Authorization::Token { token, origin: format!("file {}", path.display()) })
}

/// The setup token that a server of this machine keeps, if this user may read it, and its file: it is the owner's until there is one.
pub(in crate::cli) fn find_setup_token(config: &Config, url: &Url) -> Option<(Secret, PathBuf)> {
    if !is_this_machine(url) {
        return None;
    }
    [&*config.data_dir, Path::new(dev::DIRECTORY)].into_iter().find_map(|directory| {
        let path = directory.join(OWNER_TOKEN_FILE);
        // Unreadable is as good as absent: the file belongs to the server's user.
        let text = std::fs::read_to_string(&path).ok()?;
        Some((Secret::new(text.trim().to_owned()), path))
    })
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Where a server with these settings is to be found from this machine.
///
/// Errors: `http.listen` is no address.
pub(in crate::cli) fn local_url(config: &Config) -> Result<Url, Failure> {
    let listen = &config.http.listen;
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, "80"));
    // Whoever listens on every address is reached on this one.
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    let scheme = if config.http.tls_files().is_some() { "https" } else { "http" };
    parse_url(&format!("{scheme}://{host}:{port}"))
}

/// Reads the URL of a server.
///
/// Errors: it is no HTTP URL, or has parts that would be lost or shown.
pub(in crate::cli) fn parse_url(text: &str) -> Result<Url, Failure> {
    let hint = "a server's URL is `https://HOST` or `http://HOST:PORT`";
    let url = Url::parse(text).map_err(|error| Failure::usage(format!("`{text}` is no URL: {error}")).with_hint(hint))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Failure::usage(format!("`{text}` is no URL of a server")).with_hint(hint));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::usage("a server's URL has no name and password in it").with_hint("`citadel login` asks for them"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Failure::usage(format!("`{text}` has more than the address of a server")).with_hint(hint));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load_layers};

    struct Machine(tempfile::TempDir);

    impl Machine {
        /// A machine with a context `prod`, which is the current one if `current`, and an owner's token.
        fn new(current: bool) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            std::fs::create_dir_all(machine.0.path().join("citadel")).unwrap();
            let context = r#"{ "url": "https://prod.example", "credentials": { "kind": "token", "token": "of-prod" } }"#;
            let current = if current { r#""prod""# } else { "null" };
            let text = format!(r#"{{ "current": {current}, "contexts": {{ "prod": {context} }} }}"#);
            std::fs::write(machine.0.path().join("citadel/contexts.json"), text).unwrap();
            std::fs::write(machine.0.path().join("owner-token"), "of-owner\n").unwrap();
            machine
        }

        fn find(&self, context: Option<&str>, variables: &[(&str, &str)]) -> Result<(String, String), Failure> {
            let path = self.0.path().to_str().unwrap();
            let fixed = [("XDG_CONFIG_HOME", path), ("CITADEL__DATA_DIR", path)];
            let environment = fixed.iter().chain(variables).map(|(name, value)| (name.into(), value.into())).collect();
            let target = Target::find(&load_layers(Sources { environment, ..Sources::default() }).unwrap(), context)?;
            let token = match target.authorization {
                Authorization::None => "none".to_owned(),
                Authorization::Token { token, .. } => token.expose().to_owned(),
                Authorization::Session { context, .. } => format!("session of {context}"),
            };
            Ok((target.url.to_string(), token))
        }

        #[track_caller]
        fn check(&self, context: Option<&str>, variables: &[(&str, &str)], url: &str, token: &str) {
            assert_eq!(self.find(context, variables).unwrap(), (url.to_owned(), token.to_owned()));
        }
    }

    #[test]
    fn talks_to_this_machine_where_nobody_says_anything() {
        let machine = Machine::new(false);
        machine.check(None, &[], "http://127.0.0.1:8080/", "of-owner");
        machine.check(None, &[("CITADEL__HTTP__LISTEN", "0.0.0.0:9000")], "http://127.0.0.1:9000/", "of-owner");
        machine.check(None, &[("CITADEL__CLIENT__TOKEN", "of-env")], "http://127.0.0.1:8080/", "of-env");
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_current_context() {
        let machine = Machine::new(true);
        let environment = [("CITADEL__CLIENT__URL", "https://env.example"), ("CITADEL__CLIENT__TOKEN", "of-env")];
        machine.check(None, &[], "https://prod.example/", "of-prod");
        machine.check(None, &environment, "https://env.example/", "of-env");
        machine.check(None, &environment[1..], "https://prod.example/", "of-env");
        machine.check(Some("prod"), &environment, "https://prod.example/", "of-prod");
        assert!(machine.find(Some("pord"), &[]).is_err());
    }

    #[test]
    fn sends_a_token_to_no_server_but_its_own() {
        let machine = Machine::new(true);
        machine.check(None, &[("CITADEL__CLIENT__URL", "https://other.example")], "https://other.example/", "none");
        machine.check(None, &[("CITADEL__CLIENT__URL", "https://prod.example:444")], "https://prod.example:444/", "none");
        machine.check(None, &[("CITADEL__CLIENT__URL", "http://prod.example")], "http://prod.example/", "none");
        machine.check(None, &[("CITADEL__CLIENT__URL", "https://prod.example")], "https://prod.example/", "of-prod");
        machine.check(None, &[("CITADEL__CLIENT__URL", "http://localhost:1")], "http://localhost:1/", "of-owner");
    }

    #[test]
    fn refuses_what_is_no_address_of_a_server() {
        for text in ["prod.example", "ftp://prod.example", "https://u:p@prod.example", "https://prod.example/?a=b", ""] {
            assert!(parse_url(text).is_err(), "{text}");
        }
        assert_eq!(parse_url("https://prod.example/citadel").unwrap().path(), "/citadel");
    }
}
