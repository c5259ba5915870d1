//! What a process needs before anything else starts: logs and a TLS provider.

use super::definition_file::UnreadableFile;
pub use crate::telemetry::LogControl;
use crate::{auth::redaction::KNOWN_SECRETS, config::Config, store::StoreError, telemetry};

/// Starts logging and chooses the TLS provider. Call it once, first. The answer changes what is logged.
///
/// Errors: a log filter that does not parse.
pub fn prepare(config: &Config) -> anyhow::Result<LogControl> {
    let logs = telemetry::init(&config.log, |text| KNOWN_SECRETS.text(text))?;
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider has been chosen before");
    }
    Ok(logs)
}

/// What a person can do about a failed command, where that is known.
pub fn hint(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let of_file = cause.downcast_ref::<UnreadableFile>().map(UnreadableFile::hint);
        of_file.or_else(|| hint_of_store(cause.downcast_ref::<StoreError>()?))
    })
}

fn hint_of_store(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Locked { .. } => {
            Some("stop the other process, or choose another data directory: --data-dir or CITADEL__DATA_DIR")
        }
        StoreError::SchemaTooOld { .. } => Some("run `citadel db migrate`, or start with --migrate auto"),
        StoreError::SchemaTooNew { .. } => Some("install the newer release of Citadel"),
        StoreError::InvalidUrl { .. } => Some("set store.url to sqlite://PATH or postgres://..."),
        StoreError::Unavailable { .. } => Some("check that the database runs and that store.url is right"),
        StoreError::Conflict { .. } | StoreError::Corrupt { .. } => None,
    }
}
