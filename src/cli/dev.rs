//! `citadel dev`: a server to try things out.

use std::{net::IpAddr, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{
    Failure,
    serve::{Purpose, RANDOM_PORT, serve_as},
    settings::Prepared,
};
use crate::config::{Flags, sqlite_url};

/// Where a development server keeps everything.
pub(super) const DIRECTORY: &str = "./.citadel";

#[derive(Debug, Args)]
pub(super) struct DevArguments {
    /// Listens on free ports of the loopback address and prints them as the first lines.
    #[arg(long)]
    random_ports: bool,
    /// Address and port to listen on; a loopback address.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "random_ports")]
    listen: Option<String>,
    /// Where to keep everything.
    #[arg(long, value_name = "DIRECTORY", default_value = DIRECTORY)]
    data_dir: PathBuf,
}

impl DevArguments {
    /// Data and database are always its own: settings for a real server must not make it touch real data.
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        flags.set("data_dir", Some(self.data_dir.display().to_string()));
        flags.set("store.url", Some(sqlite_url(&self.data_dir)));
        flags.set("http.listen", if self.random_ports { Some(RANDOM_PORT.to_owned()) } else { self.listen.clone() });
        flags.set_default("log.format", "pretty");
        flags.set_default("files.root", self.data_dir.join("files").display().to_string());
    }
}

pub(super) async fn dev(arguments: DevArguments, prepared: Prepared) -> Result<ExitCode, Failure> {
    let listen = &prepared.loaded.config.http.listen;
    if !is_loopback(listen) {
        return Err(Failure::usage(format!("`citadel dev` listens on this machine only, not on {listen} (http.listen)"))
            .with_hint("give it --listen 127.0.0.1:8080, or use `citadel serve`"));
    }
    serve_as(Purpose::Development, arguments.random_ports, prepared).await
}

/// Whether an address with a port is one that only this machine reaches.
fn is_loopback(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_addresses_of_this_machine() {
        for listen in ["127.0.0.1:8080", "127.1.2.3:0", "[::1]:8080", "localhost:80"] {
            assert!(is_loopback(listen), "{listen}");
        }
        for listen in ["0.0.0.0:8080", "[::]:8080", "192.168.0.1:80", "localhost.example:80", ":8080"] {
            assert!(!is_loopback(listen), "{listen}");
        }
    }
}
