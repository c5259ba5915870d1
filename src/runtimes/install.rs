//! Installs the languages that are too large to be part of the program: fetches a package through its registry's ordinary client,
//! checks it against the sum written here, makes a booted guest of it and compiles that for this machine. `citadel runtimes` calls it;
//! [`super::installed`] runs what is there.
//!
//! **Shape**: a directory per language with the package, `guest.wasm` and `installed.json`, which is written last.

mod build;
mod catalogue;
mod client;
mod error;
mod fetch;
mod installation;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use serde_json::json;

#[cfg(target_os = "linux")]
pub(super) use self::client::{PIP, Program};
pub(super) use self::installation::{Found, Installation};
pub use self::{catalogue::Installable, error::InstallError};
use super::{
    code::{Code, CodeError, CodeInput, CodeLimits, CodeRequest},
    grants::Grants,
    installed::{Installed, Interpreter},
    languages::{Language, LanguageInfo, Languages},
    python::Python,
    ruby::Ruby,
    sandbox::Sandbox,
};

/// Installed languages as languages of this process.
pub type InstalledPython = Installed<Python>;
pub type InstalledRuby = Installed<Ruby>;

/// Where languages are installed, and how their guests are compiled.
#[derive(Clone)]
pub struct Installer {
    directory: PathBuf,
    sandbox: Arc<Sandbox>,
}

/// What is there of a language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Part of this program.
    BuiltIn,
    Installed,
    /// By another version of this program; of no use to this one.
    Outdated,
    Absent,
}

/// A language with what is there of it. **Shape**: `{ name, title, version, state, bytes }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub name: String,
    pub title: String,
    /// What this program has or installs.
    pub version: String,
    pub state: Presence,
    /// On disk, without what is compiled; none of what is built in.
    pub bytes: u64,
}

/// Is told what is being done, in a few words.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

impl Installer {
    pub fn new(directory: PathBuf, sandbox: Arc<Sandbox>) -> Self {
        Self { directory, sandbox }
    }

    /// Every language that is built in or can be installed.
    pub fn list(directory: &Path) -> Result<Vec<Listed>, InstallError> {
        let built_in = Languages::built_in().map(|LanguageInfo { name, title, version, .. }| {
            Ok(Listed { name, title, version, state: Presence::BuiltIn, bytes: 0 })
        });
        built_in.into_iter().chain(Installable::ALL.map(|language| listed(directory, language))).collect()
    }

    /// Installs a language, or does nothing if this version of it is there. A package that was fetched before is not fetched again.
    ///
    /// Errors: [`InstallError`]; what was there before stays there.
    pub fn install(&self, language: Installable, progress: Progress<'_>) -> Result<(), InstallError> {
        if let Found::Current(_) = Installation::find(&self.directory, language)? {
            progress("is there already");
        } else {
            make_directory(&self.directory)?;
            let package = fetch::package(&self.directory, language, progress)?;
            let work = tempfile::Builder::new()
                .prefix(&format!(".{}-", language.name()))
                .tempdir_in(&self.directory)
                .map_err(InstallError::files("make a directory in", &self.directory))?;
            let guest = build::guest(language, &package, work.path(), progress)?;
            Installation::create(&self.directory, language, work.path(), &guest)?;
        }
        progress("compiling it for this machine (up to a minute, once)");
        self.try_out(language)
    }

    /// Removes a language with its package. Whether there was anything to remove.
    pub fn remove(&self, language: Installable) -> Result<bool, InstallError> {
        let home = self.directory.join(language.name());
        let mut removed = gone(fs::remove_dir_all(&home)).map_err(InstallError::files("remove", &home))?;
        if let Some(file) = fetch::file_of(language) {
            let package = self.directory.join(fetch::PACKAGES).join(file.name);
            removed |= gone(fs::remove_file(&package)).map_err(InstallError::files("remove", &package))?;
        }
        let compiled = self.directory.join(installation::COMPILED);
        self.sandbox.forget(&compiled, language.name()).map_err(InstallError::files("remove from", &compiled))?;
        Ok(removed)
    }

    /// Checks the package against the sum written here, the guest against the one noted when it was made, and runs a program.
    ///
    /// Errors: what is wrong.
    pub fn verify(&self, language: Installable) -> Result<(), InstallError> {
        match Installation::find(&self.directory, language)? {
            Found::Current(installation) => installation.verify()?,
            Found::Outdated => return Err(InstallError::Outdated(language)),
            Found::Absent => return Err(InstallError::Absent(language)),
        }
        self.try_out(language)
    }

    /// Loads the language, which compiles it where that has not been done, and runs a program in it.
    fn try_out(&self, language: Installable) -> Result<(), InstallError> {
        let failed = |source| InstallError::Run { language, source };
        let (directory, sandbox) = (self.directory.clone(), Arc::clone(&self.sandbox));
        let installed: Arc<dyn Language> = match language {
            Installable::Python => loaded(InstalledPython::new(sandbox, directory)),
            Installable::Ruby => loaded(InstalledRuby::new(sandbox, directory)),
        }
        .map_err(failed)?;
        let code = Code::parse(language.name(), language.probe()).expect("a probe is short");
        let (input, grants) = (json!({ "numbers": [1, 2, 3] }), Grants::default());
        let request =
            CodeRequest { code: &code, input: CodeInput::Value(&input), limits: CodeLimits::default(), grants: &grants };
        let answer = Languages::new([installed]).run(&request).map_err(failed)?.output;
        if answer == json!([2, 4, 6]) { Ok(()) } else { Err(InstallError::Answer { language, answer: answer.to_string() }) }
    }
}

/// An interpreter that is ready, as a language.
fn loaded<I: Interpreter>(language: Installed<I>) -> Result<Arc<dyn Language>, CodeError> {
    language.load()?;
    Ok(Arc::new(language))
}

fn listed(directory: &Path, language: Installable) -> Result<Listed, InstallError> {
    let state = match Installation::find(directory, language)? {
        Found::Current(_) => Presence::Installed,
        Found::Outdated => Presence::Outdated,
        Found::Absent => Presence::Absent,
    };
    let home = directory.join(language.name());
    let mut bytes = bytes_of(&home).map_err(InstallError::files("look at", &home))?;
    if let Some(file) = fetch::file_of(language) {
        bytes += fs::metadata(directory.join(fetch::PACKAGES).join(file.name)).map_or(0, |status| status.len());
    }
    let [name, title, version] = [language.name(), language.title(), language.version()].map(str::to_owned);
    Ok(Listed { name, title, version, state, bytes })
}

/// Bytes of the files in a directory; none if it is not there.
fn bytes_of(directory: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// Whether something was removed; that there was nothing is no error.
fn gone(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the directory of languages: for its owner alone, like everything of the data directory.
fn make_directory(directory: &Path) -> Result<(), InstallError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).map_err(InstallError::files("make", directory))
}
