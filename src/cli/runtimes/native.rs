//! The half of `citadel runtimes` that looks after processes of this machine's interpreters: their states, and their packages.

use serde_json::{Value, json};

use super::{Failure, note, print};
use crate::{
    app::languages::native::{self, InstallError, LanguageState},
    config::Config,
};

/// What is here, with sentences about what is not.
pub(super) struct Here {
    pub(super) states: Vec<LanguageState>,
    /// The same for programs. **Shape**: `{ report, items }`.
    pub(super) value: Value,
    pub(super) notes: Vec<String>,
}

/// The names of all native languages, whether their interpreters are here or not.
pub(super) fn names(config: &Config) -> Vec<String> {
    native::names(config)
}

/// Starts every interpreter once, for its version.
pub(super) async fn look(config: &Config) -> Result<Here, Failure> {
    let (report, states) = native::look(config).await?;
    let mut notes: Vec<String> = report.features.full.iter().map(|missing| format!("no namespaces: {missing}")).collect();
    notes.extend(report.problems.iter().cloned());
    Ok(Here { value: json!({ "report": report, "items": states }), states, notes })
}

pub(super) async fn install(config: &Config, language: String) -> Result<(), Failure> {
    let name = language.clone();
    let directory = native::install(config, language, move |step| note(format_args!("{name}: {step}"))).await.map_err(failure)?;
    print(format_args!("its packages are in {}", directory.display()));
    Ok(())
}

pub(super) async fn remove(config: &Config, language: String) -> Result<bool, Failure> {
    native::remove(config, language).await.map_err(failure)
}

fn failure(error: anyhow::Error) -> Failure {
    let hint = error.chain().find_map(|cause| cause.downcast_ref::<InstallError>()).and_then(InstallError::hint);
    super::with_hint(error, hint)
}
