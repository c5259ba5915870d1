//! Packages of native languages: installed once from a list, under the hash of that list and of the interpreter, then only read. The
//! operator installs them, by the ordinary client of the language; code can neither add to them nor change them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sha2::{Digest, Sha256};

use super::table::{LanguageSpec, Packages};

/// Bytes of a list of packages.
const REQUIREMENTS_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes that are told of what a client said when it failed.
const SAID_BYTES_MAX: usize = 2 * 1024;

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
    #[error("the packages of `{0}` are not installed: run `citadel native install {0}`")]
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
    /// The client said no.
    #[error("{client} failed: {said}")]
    Client { client: &'static str, said: String },
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
            Packages::Python => pip(program, list, unfinished.path(), tell)?,
            Packages::Node => npm(&text, unfinished.path(), tell)?,
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

    /// Named by all that its content depends on.
    fn directory_of(&self, spec: &LanguageSpec, program: &Path, list: &str) -> PathBuf {
        let mut hash = Sha256::new();
        // The real name of an interpreter tells its version: python3 is python3.11.
        let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        for part in [format!("{:?}", spec.packages), real.to_string_lossy().into_owned(), list.to_owned()] {
            hash.update(Sha256::digest(part));
        }
        let hash: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        self.directory.join(format!("{}-{hash}", spec.name))
    }
}

fn read_list(path: &Path) -> Result<String, InstallError> {
    let failed = |source| InstallError::Requirements { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > REQUIREMENTS_BYTES_MAX {
        return Err(failed(io::Error::other(format!("it has more than {REQUIREMENTS_BYTES_MAX} bytes"))));
    }
    fs::read_to_string(path).map_err(failed)
}

/// Wheels only: a source package runs code of its own while it is built, as this user.
fn pip(program: &Path, list: &Path, target: &Path, tell: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
    let mut command = Command::new(program);
    command.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:", "--target"]);
    command.arg(target).arg("--requirement").arg(list);
    run("pip", command, tell)
}

fn npm(list: &str, target: &Path, tell: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
    fs::write(target.join("package.json"), list).map_err(files("write the list of packages"))?;
    let mut command = Command::new("npm");
    command.args(["install", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-update-notifier"]);
    command.current_dir(target);
    run("npm", command, tell)
}

fn run(client: &'static str, mut command: Command, tell: &mut dyn FnMut(&str)) -> Result<(), InstallError> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| InstallError::Files {
        attempt: if client == "pip" { "start Python for pip" } else { "start npm" },
        source,
    })?;
    for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.trim().is_empty()) {
        tell(line);
    }
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim();
    let mut start = said.len().saturating_sub(SAID_BYTES_MAX);
    while !said.is_char_boundary(start) {
        start += 1;
    }
    Err(InstallError::Client { client, said: said[start..].to_owned() })
}

/// The sandbox is another user.
fn make_readable(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

fn files(attempt: &'static str) -> impl FnOnce(io::Error) -> InstallError {
    move |source| InstallError::Files { attempt, source }
}
