//! The languages that are not in the binary: processes of the interpreters that this machine has.

use std::sync::Arc;

use crate::{config::Config, runtimes::languages::Language};

/// Native processes that may run at once: they wait more than they compute.
pub(super) fn native_slots(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    config.runtimes.native_slots.unwrap_or(cores * 2)
}

/// Finds out which there are.
#[cfg(target_os = "linux")]
pub(super) async fn processes(config: &Config) -> anyhow::Result<Vec<Arc<dyn Language>>> {
    native::start(config).await
}

/// They need Linux.
#[cfg(not(target_os = "linux"))]
pub(super) async fn processes(_config: &Config) -> anyhow::Result<Vec<Arc<dyn Language>>> {
    Ok(Vec::new())
}

/// From the settings to the sandbox and back.
#[cfg(target_os = "linux")]
pub mod native {
    use std::{path::PathBuf, sync::Arc};

    use crate::{
        config::{Config, NativeIsolation},
        model::ids::WorkspaceId,
        runtimes::{
            languages::Language,
            native::{Native, NativeSettings},
        },
    };

    pub use crate::runtimes::native::{InstallError, LanguageState, NativeReport};

    /// What this machine has: starts every interpreter once. Changes nothing.
    pub async fn look(config: &Config) -> anyhow::Result<(NativeReport, Vec<LanguageState>)> {
        let settings = settings(config);
        let looked = tokio::task::spawn_blocking(move || {
            let native = Native::new(settings);
            let states = native.states();
            (native.report().clone(), states)
        });
        Ok(looked.await?)
    }

    /// Installs the packages of a language. `tell` gets lines for people.
    pub async fn install(config: &Config, name: String, mut tell: impl FnMut(&str) + Send + 'static) -> anyhow::Result<PathBuf> {
        let settings = settings(config);
        Ok(tokio::task::spawn_blocking(move || Native::new(settings).install(&name, &mut tell)).await??)
    }

    /// Removes the packages of a language, also those of older lists. Whether there were any.
    pub async fn remove(config: &Config, name: String) -> anyhow::Result<bool> {
        let settings = settings(config);
        Ok(tokio::task::spawn_blocking(move || Native::new(settings).remove(&name)).await??)
    }

    /// The names of all native languages, whether their interpreters are here or not.
    pub fn names(config: &Config) -> Vec<String> {
        Native::names(&config.runtimes.native)
    }

    pub(in crate::app) async fn start(config: &Config) -> anyhow::Result<Vec<Arc<dyn Language>>> {
        let settings = settings(config);
        // Switched off, or this is a test, which is not the program that launches.
        if settings.program.is_none() {
            return Ok(Vec::new());
        }
        let native = tokio::task::spawn_blocking(move || Native::new(settings)).await?;
        let report = native.report();
        for problem in &report.problems {
            tracing::warn!("{problem}");
        }
        // Other workspaces get theirs with their first runs.
        native.warm_up(WorkspaceId::DEFAULT);
        let languages: Vec<_> = native.languages().collect();
        tracing::info!(
            isolation = ?report.isolation,
            languages = languages.len(),
            missing = report.features.full.as_deref().unwrap_or("nothing"),
            "native languages"
        );
        // Versions are for people, and take as long as the interpreters take to start.
        std::thread::Builder::new().name("native-versions".to_owned()).spawn(move || drop(native.states()))?;
        Ok(languages)
    }

    /// What the settings say, in the words of the sandbox.
    pub(in crate::app) fn settings(config: &Config) -> NativeSettings {
        let runtimes = &config.runtimes;
        NativeSettings {
            program: config.program.clone().filter(|_| runtimes.isolation != NativeIsolation::Off),
            without_namespaces: false,
            allow_reduced: runtimes.isolation == NativeIsolation::Reduced,
            uid: runtimes.uid.get(),
            slots_max: super::native_slots(config),
            warm_max: runtimes.native_warm_max,
            disk_bytes: runtimes.disk_bytes,
            cgroup: runtimes.cgroup.clone(),
            directory: config.data_dir.join("runtimes"),
            data_dir: config.data_dir.clone(),
            languages: runtimes.native.clone(),
        }
    }
}
