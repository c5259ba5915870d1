//! What a process needs before anything else starts: logs and a TLS provider.

pub use crate::telemetry::LogControl;
use crate::{config::Config, telemetry};

/// Starts logging and chooses the TLS provider. Call it once, first. The answer changes what is logged.
///
/// Errors: a log filter that does not parse.
pub fn prepare(config: &Config) -> anyhow::Result<LogControl> {
    let logs = telemetry::init(&config.log)?;
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider has been chosen before");
    }
    Ok(logs)
}

/// What a person can do about a failed command, where that is known.
pub fn hint(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let store = cause.downcast_ref::<crate::store::StoreError>();
        match store? {
            crate::store::StoreError::Locked { .. } => Some("stop the other process, or choose another --data-dir"),
            crate::store::StoreError::SchemaTooOld { .. } => Some("run `citadel db migrate`, or start with --migrate auto"),
            crate::store::StoreError::SchemaTooNew { .. } => Some("install the newer release of Citadel"),
            crate::store::StoreError::InvalidUrl { .. } => Some("set store.url to sqlite://PATH or postgres://..."),
            crate::store::StoreError::Unavailable { .. } => Some("check that the database runs and that store.url is right"),
            crate::store::StoreError::Conflict { .. } | crate::store::StoreError::Corrupt { .. } => None,
        }
    })
}
