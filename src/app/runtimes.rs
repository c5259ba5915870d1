//! Languages that are installed beside the program, for the command line: `citadel runtimes`.

use anyhow::Context as _;

pub use crate::runtimes::install::{InstallError, Installable, Listed, Presence};
use crate::{
    config::Config,
    runtimes::{
        install::Installer,
        sandbox::{Sandbox, SandboxConfig},
    },
};

/// Instances that trying a language out needs, with room for what holds two for a moment.
const INSTANCES_MAX: u32 = 4;

/// Every language that is built in or can be installed, with what is there of it.
///
/// Errors: the directory of languages cannot be read.
pub fn list(config: &Config) -> anyhow::Result<Vec<Listed>> {
    Ok(Installer::list(&config.runtimes_dir())?)
}

/// Installs a language, telling `progress` in a few words what is being done.
///
/// Errors: [`InstallError`].
pub async fn install(
    config: &Config,
    language: Installable,
    mut progress: impl FnMut(&str) + Send + 'static,
) -> anyhow::Result<()> {
    with_installer(config, move |installer| installer.install(language, &mut progress)).await
}

/// Removes a language. Whether there was anything to remove.
///
/// Errors: [`InstallError`].
pub async fn remove(config: &Config, language: Installable) -> anyhow::Result<bool> {
    with_installer(config, move |installer| installer.remove(language)).await
}

/// Checks what is installed and runs a program in it.
///
/// Errors: [`InstallError`], which says what is wrong.
pub async fn verify(config: &Config, language: Installable) -> anyhow::Result<()> {
    with_installer(config, move |installer| installer.verify(language)).await
}

/// Does something on a thread that may block.
async fn with_installer<T: Send + 'static>(
    config: &Config,
    work: impl FnOnce(&Installer) -> Result<T, InstallError> + Send + 'static,
) -> anyhow::Result<T> {
    let (directory, cache_dir) = (config.runtimes_dir(), config.cache_dir());
    let done = tokio::task::spawn_blocking(move || {
        let sandbox = Sandbox::new(&SandboxConfig { cache_dir, instances_max: INSTANCES_MAX })?;
        anyhow::Ok(work(&Installer::new(directory, sandbox))?)
    });
    done.await.context("the work did not end")?
}
