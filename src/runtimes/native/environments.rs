//! Packages of native languages: installed once from a list, under the hash of that list and of the interpreter, then only read. The
//! operator installs them, by the ordinary client of the language; code can neither add to them nor change them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use super::table::{LanguageSpec, Packages};
use crate::runtimes::install::{self, PIP, Program};

/// Bytes of a list of packages.
const REQUIREMENTS_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of the hash in a directory's name.
const HASH_BYTES: usize = 16;

/// Why there are no packages.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No such language.
    #[error("there is no native language `{0}` here")]
    Unknown(String),
    /// The settings give it no list of packages.
    #[error("`{0}` has no `requirements`: there is nothing to install")]
    NothingToInstall(String),
    /// Somebody has to install them.
    #[error("the packages of `{0}` are not installed: run `citadel runtimes install {0}`")]
    NotInstalled(String),
    /// The list cannot be read.
    #[error("cannot read the list of packages {path}")]
    Requirements {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file or a directory.
    #[error("cannot {attempt}")]
    Files {
        attempt: &'static str,
        #[source]
        source: io::Error,
    },
    /// The client is not here, said no, or took too long.
    #[error(transparent)]
    Client(#[from] install::InstallError),
}

impl InstallError {
    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Client(error) => error.hint(),
            Self::Unknown(_) => Some("`citadel runtimes list` tells the languages that are here"),
            Self::NothingToInstall(_) => Some("name a list of packages in the settings: `runtimes.native.NAME.requirements`"),
            Self::NotInstalled(_) | Self::Requirements { .. } | Self::Files { .. } => None,
        }
    }
}

/// Where installed packages are kept.
pub(super) struct Environments {
    directory: PathBuf,
}

impl Environments {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The directory of a language's packages; `None` if its settings ask for none.
    ///
    /// Errors: [`InstallError::NotInstalled`], [`InstallError::Requirements`].
    pub(super) fn find(&self, spec: &LanguageSpec, program: &Path) -> Result<Option<PathBuf>, InstallError> {
        let Some(list) = &spec.requirements else { return Ok(None) };
        let directory = self.directory_of(spec, program, &read_list(list)?);
        if directory.is_dir() { Ok(Some(directory)) } else { Err(InstallError::NotInstalled(spec.name.clone())) }
    }

    /// Installs the packages of a language, unless they are there.
    pub(super) fn install(
        &self,
        spec: &LanguageSpec,
        program: &Path,
        tell: &mut dyn FnMut(&str),
    ) -> Result<PathBuf, InstallError> {
        let nothing = || InstallError::NothingToInstall(spec.name.clone());
        let (list, packages) = spec.requirements.as_ref().zip(spec.packages).ok_or_else(nothing)?;
        let text = read_list(list)?;
        let directory = self.directory_of(spec, program, &text);
        if directory.is_dir() {
            tell(&format!("the packages of {} are there: {}", spec.name, directory.display()));
            return Ok(directory);
        }
        fs::create_dir_all(&self.directory).map_err(files("make the directory of packages"))?;
        // Beside, and renamed when it is whole: what is found by its name is always complete.
        let unfinished = tempfile::Builder::new().prefix(".unfinished-").tempdir_in(&self.directory);
        let unfinished = unfinished.map_err(files("make a directory of packages"))?;
        tell(&format!("installing the packages of {} from {}", spec.name, list.display()));
        match packages {
            Packages::Python => pip(program, list, unfinished.path(), &spec.name)?,
            Packages::Node => npm(&text, unfinished.path(), &spec.name)?,
        }
        make_readable(unfinished.path()).map_err(files("let others read the packages"))?;
        let finished = unfinished.keep();
        match fs::rename(&finished, &directory) {
            Ok(()) => {}
            // Another process was faster: what it made is the same.
            Err(_) if directory.is_dir() => fs::remove_dir_all(&finished).map_err(files("remove a second copy"))?,
            Err(error) => return Err(files("name the directory of packages")(error)),
        }
        tell(&format!("installed: {}", directory.display()));
        Ok(directory)
    }

    /// Removes every set of packages of a language. Whether there was one.
    pub(super) fn remove(&self, name: &str) -> Result<bool, InstallError> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            entries => entries.map_err(files("read the directory of packages"))?,
        };
        let mut removed = false;
        for entry in entries {
            let entry = entry.map_err(files("read the directory of packages"))?;
            if is_of(name, &entry.file_name().to_string_lossy()) {
                fs::remove_dir_all(entry.path()).map_err(files("remove packages"))?;
                removed = true;
            }
        }
        Ok(removed)
    }

    /// Named by all that its content depends on.
    fn directory_of(&self, spec: &LanguageSpec, program: &Path, list: &str) -> PathBuf {
        let mut hash = Sha256::new();
        // The real name of an interpreter tells its version: python3 is python3.11.
        let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        for part in [format!("{:?}", spec.packages), real.to_string_lossy().into_owned(), list.to_owned()] {
            hash.update(Sha256::digest(part));
        }
        let hash: String = hash.finalize().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("{}-{hash}", spec.name))
    }
}

/// Whether a directory holds packages of a language: another one's name may begin with this one's.
fn is_of(name: &str, directory: &str) -> bool {
    let hash = directory.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    hash.is_some_and(|hash| hash.len() == HASH_BYTES * 2 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn read_list(path: &Path) -> Result<String, InstallError> {
    let failed = |source| InstallError::Requirements { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > REQUIREMENTS_BYTES_MAX {
        return Err(failed(io::Error::other(format!("it has more than {REQUIREMENTS_BYTES_MAX} bytes"))));
    }
    fs::read_to_string(path).map_err(failed)
}

/// Wheels only: a source package runs code of its own while it is built, as this user.
fn pip(program: &Path, list: &Path, target: &Path, language: &str) -> Result<(), InstallError> {
    let mut command = Command::new(program);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
    command.args(["--only-binary", ":all:", "--target"]).arg(target).arg("--requirement").arg(list);
    run(PIP, command, language)
}

/// Without the packages' own scripts, for the same reason.
fn npm(list: &str, target: &Path, language: &str) -> Result<(), InstallError> {
    fs::write(target.join("package.json"), list).map_err(files("write the list of packages"))?;
    let mut command = Command::new("npm");
    command.args(["install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier"]);
    command.current_dir(target);
    run("npm", command, language)
}

fn run(name: &'static str, command: Command, language: &str) -> Result<(), InstallError> {
    let purpose = format!("install the packages of `{language}`");
    Ok(Program { name, role: "installs packages", purpose, command }.run()?)
}

/// The sandbox is another user.
fn make_readable(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

fn files(attempt: &'static str) -> impl FnOnce(io::Error) -> InstallError {
    move |source| InstallError::Files { attempt, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_directories_of_a_language_from_those_of_others() {
        let hash = "0123456789abcdef".repeat(2);
        assert!(is_of("data", &format!("data-{hash}")));
        for other in [format!("data-two-{hash}"), format!("data{hash}"), "data-".to_owned(), ".unfinished-data".to_owned()] {
            assert!(!is_of("data", &other), "{other}");
        }
    }
}
