//! `citadel init`.

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{
    Failure,
    output::{print, print_raw},
};
use crate::config::reference::Reference;

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// Where to write; `citadel.toml`, `.env` or `configuration.md` in this directory by default.
    file: Option<PathBuf>,
    /// What to write: a file of settings, an environment file, or a page of documentation.
    #[arg(long = "as", value_name = "KIND", value_enum, default_value_t = Reference::Toml)]
    kind: Reference,
    /// Prints instead of writing a file.
    #[arg(long, conflicts_with_all = ["file", "force"])]
    print: bool,
    /// Replaces a file that is there.
    #[arg(long)]
    force: bool,
}

pub(super) fn init(arguments: &InitArguments) -> Result<ExitCode, Failure> {
    let document = arguments.kind.document();
    if arguments.print {
        print_raw(document.as_bytes());
        return Ok(ExitCode::SUCCESS);
    }
    let path = arguments.file.clone().unwrap_or_else(|| PathBuf::from(default_name(arguments.kind)));
    let mut options = OpenOptions::new();
    options.write(true);
    // For its owner only: somebody may write a password into it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let options = if arguments.force { options.create(true).truncate(true) } else { options.create_new(true) };
    let failed = |error: io::Error| {
        let failure = Failure::error(format!("cannot write {}: {error}", path.display()));
        match error.kind() {
            ErrorKind::AlreadyExists => failure.with_hint("--force replaces it"),
            ErrorKind::NotFound => failure.with_hint("make its directory first"),
            ErrorKind::PermissionDenied => failure.with_hint("check who may write there"),
            _ => failure,
        }
    };
    options.open(&path).and_then(|mut file| file.write_all(document.as_bytes())).map_err(failed)?;
    print(format_args!("wrote {}", path.display()));
    Ok(ExitCode::SUCCESS)
}

fn default_name(kind: Reference) -> &'static str {
    match kind {
        Reference::Toml => "citadel.toml",
        Reference::Env => ".env",
        Reference::Markdown => "configuration.md",
    }
}
