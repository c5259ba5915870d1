//! Fetches packages by name and version, and believes nothing but their sums.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use super::{
    Progress,
    catalogue::{Installable, PackageFile, Registry, hex},
    client::{PIP, Program},
    error::InstallError,
};

/// Where packages are kept, in the directory of languages.
pub(super) const PACKAGES: &str = "packages";

/// The package of a language: the one that is there, if it is the right one, or else fetched.
pub(super) fn package(directory: &Path, language: Installable, progress: Progress<'_>) -> Result<PathBuf, InstallError> {
    let package = language.package();
    let file =
        package.file().ok_or_else(|| InstallError::NoPackage { package: format!("{} {}", package.name, package.version) })?;
    let packages = directory.join(PACKAGES);
    let path = packages.join(file.name);
    if path.is_file() && check(&path, file.sha256).is_ok() {
        progress(&format!("{} {} was fetched before", package.name, package.version));
        return Ok(path);
    }
    fs::create_dir_all(&packages).map_err(InstallError::files("make", &packages))?;
    progress(&format!("fetching {} {} with {}", package.name, package.version, package.registry.client()));
    let fetched = tempfile::tempdir_in(&packages).map_err(InstallError::files("make a directory in", &packages))?;
    client(language, fetched.path()).run()?;
    let arrived = fetched.path().join(file.name);
    check(&arrived, file.sha256)?;
    fs::rename(&arrived, &path).map_err(InstallError::files("move a package to", &path))?;
    Ok(path)
}

/// The client that puts the package's file into a directory. It runs nothing of the package.
fn client(language: Installable, into: &Path) -> Program {
    let package = language.package();
    let (name, command) = match package.registry {
        Registry::Pip => {
            let mut command = Command::new("python3");
            command
                .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"])
                .args(["--only-binary=:all:", "--dest"])
                .arg(into)
                .arg(format!("{}=={}", package.name, package.version));
            (PIP, command)
        }
        Registry::Npm => {
            let mut command = Command::new("npm");
            command
                .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
                .arg(into)
                .arg(format!("{}@{}", package.name, package.version));
            ("npm", command)
        }
    };
    let role = match language {
        Installable::Python => "fetches and builds Python",
        Installable::Ruby => "fetches Ruby",
    };
    Program { name, role, purpose: format!("fetch {} {}", package.name, package.version), command }
}

/// Checks a package's file. Errors: it is another one, or cannot be read.
pub(super) fn check(path: &Path, expected: &str) -> Result<(), InstallError> {
    let found = sha256_of(path)?;
    if found == expected {
        return Ok(());
    }
    Err(InstallError::Checksum { path: path.to_owned(), expected: expected.to_owned(), found })
}

/// The file of a language's package for this machine, if there is one.
pub(super) fn file_of(language: Installable) -> Option<&'static PackageFile> {
    language.package().file()
}

/// The sum of a file's content, in hexadecimal.
pub(super) fn sha256_of(path: &Path) -> Result<String, InstallError> {
    let mut file = fs::File::open(path).map_err(InstallError::files("open", path))?;
    let mut hasher = Sha256::new();
    let mut part = vec![0; 1024 * 1024];
    loop {
        let bytes = file.read(&mut part).map_err(InstallError::files("read", path))?;
        if bytes == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&part[..bytes]);
    }
}
