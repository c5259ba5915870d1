//! What is there of an installed language.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    catalogue::Installable,
    error::InstallError,
    fetch::{self, PACKAGES},
};
use crate::{clock, runtimes::sandbox::EngineError};

/// What is written last: without it, nothing is installed.
const MANIFEST: &str = "installed.json";
const GUEST: &str = "guest.wasm";
/// Where compiled guests are kept, in the directory of languages: beside them, so that whoever has the one has the other.
pub(super) const COMPILED: &str = "compiled";

/// A language that this version of the program has installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtimes) struct Installation {
    language: Installable,
    /// Where all languages are.
    directory: PathBuf,
    manifest: Manifest,
}

/// What was found of a language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtimes) enum Found {
    Current(Installation),
    /// Of another recipe, or not readable any more.
    Outdated,
    Absent,
}

/// **Shape**: `installed.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    language: String,
    version: String,
    /// Everything that the guest is made of, as one sum.
    recipe: String,
    guest_sha256: String,
    installed_at: u64,
}

impl Installation {
    /// Looks what is installed. Errors: it cannot be read.
    pub(in crate::runtimes) fn find(directory: &Path, language: Installable) -> Result<Found, InstallError> {
        let path = directory.join(language.name()).join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Err(InstallError::files("read", path)(error)),
        };
        match serde_json::from_str::<Manifest>(&text) {
            Ok(manifest) if manifest.recipe == language.recipe() => {
                Ok(Found::Current(Self { language, directory: directory.to_owned(), manifest }))
            }
            Ok(_) | Err(_) => Ok(Found::Outdated),
        }
    }

    /// Puts a guest in its place, beside which it has been made, instead of what was there.
    pub(super) fn create(directory: &Path, language: Installable, work: &Path, guest: &Path) -> Result<(), InstallError> {
        let (new, old) = (work.join("new"), work.join("old"));
        fs::create_dir(&new).map_err(InstallError::files("make", &new))?;
        let manifest = Manifest {
            language: language.name().to_owned(),
            version: language.version().to_owned(),
            recipe: language.recipe(),
            guest_sha256: fetch::sha256_of(guest)?,
            installed_at: clock::now_ms(),
        };
        let place = new.join(GUEST);
        fs::rename(guest, &place).map_err(InstallError::files("move the guest to", &place))?;
        let path = new.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is JSON");
        fs::write(&path, text).map_err(InstallError::files("write", &path))?;
        let home = directory.join(language.name());
        match fs::rename(&home, &old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(InstallError::files("move away", &home)(error));
            }
            Ok(()) | Err(_) => {}
        }
        fs::rename(&new, &home).map_err(InstallError::files("move an installation to", &home))
    }

    /// Where what is compiled of it is kept.
    pub(in crate::runtimes) fn compiled(&self) -> PathBuf {
        self.directory.join(COMPILED)
    }

    /// Names the guest's content.
    pub(in crate::runtimes) fn guest_sha256(&self) -> &str {
        &self.manifest.guest_sha256
    }

    /// The guest, which has to be compiled. Errors: it cannot be read, or is not what was installed.
    pub(in crate::runtimes) fn read_guest(&self) -> Result<Vec<u8>, EngineError> {
        let failed =
            |source: InstallError| EngineError::WebAssembly { attempt: "use the installed guest", source: source.into() };
        let path = self.guest();
        fetch::check(&path, self.guest_sha256()).map_err(failed)?;
        fs::read(&path).map_err(InstallError::files("read", &path)).map_err(failed)
    }

    /// Checks every file against its sum. A package that is gone is missed by nobody: it is the guest that runs.
    pub(super) fn verify(&self) -> Result<(), InstallError> {
        fetch::check(&self.guest(), self.guest_sha256())?;
        match fetch::file_of(self.language) {
            Some(file) if self.directory.join(PACKAGES).join(file.name).exists() => {
                fetch::check(&self.directory.join(PACKAGES).join(file.name), file.sha256)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn guest(&self) -> PathBuf {
        self.directory.join(self.language.name()).join(GUEST)
    }
}
