//! `citadel healthcheck`: for containers that have no other client.

use std::{process::ExitCode, time::Duration};

use clap::Args;

use super::{
    Failure,
    client::{Client, Method, Target, local_url, parse_url},
    output::print,
};
use crate::{config::Config, model::duration::DurationMs};

#[derive(Debug, Args)]
pub(super) struct HealthcheckArguments {
    /// The server; the one that these settings are for by default.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How long to wait for its answer.
    #[arg(long, value_name = "DURATION", default_value = "3s")]
    timeout: DurationMs,
}

/// Asks whether the server is ready. Exit code 0 if it is, 1 if it is not, 4 if it does not answer in time.
pub(super) async fn healthcheck(arguments: HealthcheckArguments, config: &Config) -> Result<ExitCode, Failure> {
    let client = match arguments.url.as_deref() {
        Some(url) => Client::new(Target::anonymous(parse_url(url)?))?,
        // Its certificate is for the name that others use.
        None => Client::of_own_server(Target::anonymous(local_url(config)?))?,
    };
    let limit = Duration::from_millis(arguments.timeout.0);
    match client.anonymous(Method::GET, &["readyz"]).timeout(limit).attempt().await? {
        Ok(_) => {
            print("ready");
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => Err(Failure::error(format!("not ready: {}", problem.summary()))),
    }
}
