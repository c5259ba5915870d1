//! `citadel version`.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{Failure, output::print};

#[derive(Debug, Args)]
pub(super) struct VersionArguments {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn version(arguments: &VersionArguments) -> Result<ExitCode, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.json {
        let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        print(json!({ "name": "citadel", "version": version, "target": target }));
    } else {
        print(format_args!("citadel {version}"));
    }
    Ok(ExitCode::SUCCESS)
}
