//! `citadel serve`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use super::{Failure, flag_value, output::print, settings::Prepared};
use crate::{
    app::serve::{self as server, Announcement, Ended, FirstOwner, Surroundings},
    config::{Config, Flags, Migrate, Role},
    model::problem::counted,
};

/// The address of `--random-ports`.
pub(super) const RANDOM_PORT: &str = "127.0.0.1:0";

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Listens on free ports of the loopback address and prints them as the first lines.
    #[arg(long)]
    random_ports: bool,
    /// Where to keep files.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Address and port to listen on.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "random_ports")]
    listen: Option<String>,
    /// What this process does; all by default.
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<Role>,
    /// The name of this process among its peers.
    #[arg(long, value_name = "NAME")]
    node_name: Option<String>,
    /// What to do about an older schema.
    #[arg(long, value_name = "MODE")]
    migrate: Option<Migrate>,
}

impl ServeArguments {
    /// The settings that the flags set.
    pub(super) fn add_flags(&self, flags: &mut Flags) {
        let listen = if self.random_ports { Some(RANDOM_PORT.to_owned()) } else { self.listen.clone() };
        flags.set("http.listen", listen);
        flags.set("data_dir", self.data_dir.as_ref().map(|path| path.display().to_string()));
        let roles: Vec<String> = self.roles.iter().copied().map(flag_value).collect();
        flags.set("node.roles", Some(roles).filter(|roles| !roles.is_empty()));
        flags.set("node.name", self.node_name.clone());
        flags.set("store.migrate", self.migrate.map(flag_value));
    }
}

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Production,
    Development,
}

/// Serves until a signal. Exit code 1 if a second one cut the drain off.
pub(super) async fn serve(arguments: ServeArguments, prepared: Prepared) -> Result<ExitCode, Failure> {
    serve_as(Purpose::Production, arguments.random_ports, prepared).await
}

/// As [`serve`], for one purpose or the other. With `names_ports`, the first line says where it listens, for programs.
pub(super) async fn serve_as(purpose: Purpose, names_ports: bool, prepared: Prepared) -> Result<ExitCode, Failure> {
    let Prepared { loader, loaded, logs } = prepared;
    let config = &loaded.config;
    let surroundings = Surroundings { loader, logs, with_samples: purpose == Purpose::Development };
    let announce = |announcement: &Announcement| {
        if names_ports {
            print(format_args!("http={}", announcement.address));
        }
        announce(announcement, config, purpose);
    };
    let ended = server::serve(config, surroundings, announce).await?;
    Ok(match ended {
        Ended::Drained => ExitCode::SUCCESS,
        Ended::Forced => ExitCode::FAILURE,
    })
}

fn announce(announcement: &Announcement, config: &Config, purpose: Purpose) {
    let address = announcement.address;
    let roles: Vec<String> = config.node.roles.iter().copied().map(flag_value).collect();
    let version = env!("CARGO_PKG_VERSION");
    print(format_args!("Citadel {version}  node={}  store={}  roles={}", config.node.name, announcement.store, roles.join(",")));
    let scheme = if announcement.is_over_tls { "https" } else { "http" };
    print(format_args!("  API          {scheme}://{address}/api/v1"));
    match &announcement.owner {
        FirstOwner::Exists => {}
        FirstOwner::User { email } => print(format_args!("  First owner  {email}: log in with the password from the settings")),
        FirstOwner::Token { text, file } => {
            print(format_args!("  Setup token  {text}"));
            print(format_args!(
                "               shown this once, and kept in {} (0600): `citadel setup` makes the owner with it;",
                file.display()
            ));
            print(format_args!("               until then it is the owner's token"));
        }
        FirstOwner::Waiting { file } => {
            print(format_args!(
                "  Setup        there is no owner yet: `citadel setup` makes one with the token in {}",
                file.display()
            ));
        }
    }
    if let Some(file) = &announcement.new_master_key {
        print(format_args!("  Master key   {} (0600): keep a copy, credentials cannot be read without it", file.display()));
    }
    if purpose == Purpose::Development {
        print(format_args!(
            "  Samples      {}; `citadel workflow list` in this directory lists all",
            counted(announcement.samples, "new workflow")
        ));
    }
}
