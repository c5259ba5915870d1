//! Makes a booted guest of a package.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Progress,
    catalogue::{Installable, PYTHON_GUEST},
    client::Program,
    error::InstallError,
};
use crate::runtimes::ruby;

/// The interpreter in Ruby's package.
const RUBY_WASM: &str = "package/dist/ruby+stdlib.wasm";
/// Runs componentize-py out of its unpacked package, whatever else is installed: `-I` leaves out the user's own modules.
const COMPONENTIZE: &str = "import sys; sys.path.insert(0, sys.argv.pop(1)); import componentize_py; \
                            sys.argv[0] = 'componentize-py'; sys.exit(componentize_py.script())";

/// Makes the guest in the directory `work`, and says where.
pub(super) fn guest(language: Installable, package: &Path, work: &Path, progress: Progress<'_>) -> Result<PathBuf, InstallError> {
    match language {
        Installable::Python => python(package, work, progress),
        Installable::Ruby => ruby(package, work, progress),
    }
}

fn python(package: &Path, work: &Path, progress: Progress<'_>) -> Result<PathBuf, InstallError> {
    let (unpacked, sources, guest) = (work.join("package"), work.join("guest"), work.join("guest.wasm"));
    progress("unpacking");
    let mut unpack = Command::new("python3");
    unpack.args(["-I", "-m", "zipfile", "-e"]).args([package, &unpacked]);
    python3(format!("unpack {}", package.display()), unpack).run()?;

    // An environment with nothing in it: componentize-py would take in what this Python has installed.
    let empty = work.join("environment");
    make(&empty.join("lib/site-packages"))?;
    make(&sources)?;
    for (name, source) in PYTHON_GUEST {
        let path = sources.join(name);
        fs::write(&path, source).map_err(InstallError::files("write", &path))?;
    }
    progress("booting (up to half a minute)");
    let mut componentize = Command::new("python3");
    componentize
        .args(["-I", "-c", COMPONENTIZE])
        .arg(&unpacked)
        .arg("--wit-path")
        .arg(sources.join("guest.wit"))
        .args(["--world", "sandbox", "componentize", "--python-path"])
        .arg(&sources)
        .arg("--output")
        .arg(&guest)
        .arg("guest")
        .env("VIRTUAL_ENV", &empty)
        .current_dir(work);
    python3("boot Python".to_owned(), componentize).run()?;
    Ok(guest)
}

fn ruby(package: &Path, work: &Path, progress: Progress<'_>) -> Result<PathBuf, InstallError> {
    progress("unpacking");
    let mut command = Command::new("tar");
    command.arg("-xzf").arg(package).arg("-C").arg(work).arg(RUBY_WASM);
    Program { name: "tar", role: "unpacks packages", purpose: format!("unpack {}", package.display()), command }.run()?;
    let (interpreter, guest) = (work.join(RUBY_WASM), work.join("guest.wasm"));
    let wasm = fs::read(&interpreter).map_err(InstallError::files("read", &interpreter))?;
    progress("booting (up to a minute)");
    let booted = ruby::boot(&wasm).map_err(|error| InstallError::Boot { language: Installable::Ruby, source: error.into() })?;
    fs::write(&guest, booted).map_err(InstallError::files("write", &guest))?;
    Ok(guest)
}

fn python3(purpose: String, command: Command) -> Program {
    Program { name: "python3", role: "builds the Python guest", purpose, command }
}

fn make(directory: &Path) -> Result<(), InstallError> {
    fs::create_dir_all(directory).map_err(InstallError::files("make", directory))
}
