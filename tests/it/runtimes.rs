//! `citadel runtimes` with the real binary. `scripts/runtimes.sh` has installed both languages for real, from their registries; what
//! is broken on purpose is broken in copies.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde_json::json;
use tempfile::TempDir;

use crate::support::{Ran, command};

const PACKAGE: &str = "ruby-3.4-wasm-wasi-2.10.1.tgz";

/// Where `scripts/runtimes.sh` installs.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/runtimes")
}

/// A directory of languages.
struct Runtimes(TempDir);

impl Runtimes {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A copy of one installed language, without what is compiled.
    fn copy_of(language: &str) -> Self {
        let copy = Self::empty();
        fs::create_dir(copy.path(language)).unwrap();
        for entry in fs::read_dir(installed().join(language)).expect("scripts/runtimes.sh installs the languages") {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path(language).join(entry.file_name())).unwrap();
        }
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `citadel runtimes`, with these programs in front of what the machine has, or with them alone.
    fn run(&self, arguments: &[&str], programs: &str) -> Ran {
        let arguments = [&["runtimes"], arguments].concat();
        command(&arguments).env("CITADEL__RUNTIMES_DIR", self.0.path()).env("PATH", programs).run()
    }
}

/// A directory with a program of that name that runs a script.
fn program(name: &str, script: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn what_was_installed_is_listed_and_verified() {
    let ran = command(&["runtimes", "list", "-o", "json"]).env("CITADEL__RUNTIMES_DIR", installed()).run();
    let listed = ran.json();
    let languages = listed["items"].as_array().unwrap();
    let states: Vec<String> =
        languages.iter().map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["state"].as_str().unwrap())).collect();
    let built_in = ["javascript built_in", "lua built_in", "typescript built_in", "wasm built_in"];
    assert_eq!(states, [&built_in[..], &["python installed", "ruby installed"]].concat());
    assert!(languages[4..].iter().all(|one| one["bytes"].as_u64() > Some(10_000_000)), "{ran:?}");
    let ran = command(&["runtimes", "verify"]).env("CITADEL__RUNTIMES_DIR", installed()).run();
    assert_eq!((ran.code, ran.out.as_str()), (0, "python is good\nruby is good\n"), "{ran:?}");
    // A second installation finds everything there, without any program that could fetch it.
    let ran = command(&["runtimes", "install", "python", "ruby"]).env("CITADEL__RUNTIMES_DIR", installed()).env("PATH", "").run();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("python: is there already") && ran.out.contains("ruby is ready"), "{ran:?}");
}

#[test]
fn what_is_not_there_is_said_to_be_so() {
    let runtimes = Runtimes::empty();
    let ran = runtimes.run(&["list"], "");
    for (language, state) in [("javascript", "built in"), ("wasm", "built in"), ("python", "not installed")] {
        assert!(ran.out.lines().any(|line| line.starts_with(language) && line.contains(state)), "{ran:?}");
    }
    assert_eq!(runtimes.run(&["verify"], "").code, 0);
    let ran = runtimes.run(&["verify", "python"], "");
    ran.assert_failed(1, "Python is not installed");
    assert!(ran.err.contains("hint: `citadel runtimes install python`"), "{ran:?}");
    assert!(runtimes.run(&["remove", "ruby"], "").out.contains("ruby was not installed"));
    let ran = runtimes.run(&["install", "perl"], "");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("python"), "{ran:?}");
}

#[test]
fn a_damaged_guest_is_found_and_can_be_removed() {
    let runtimes = Runtimes::copy_of("python");
    let guest = runtimes.path("python/guest.wasm");
    let mut bytes = fs::read(&guest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&guest, bytes).unwrap();
    let ran = runtimes.run(&["verify", "python"], "");
    ran.assert_failed(1, "has the SHA-256");
    assert!(ran.err.contains("hint: remove the language and install it again"), "{ran:?}");
    assert!(runtimes.run(&["remove", "python"], "").out.contains("python is removed"));
    assert!(!guest.exists());
    runtimes.run(&["verify", "python"], "").assert_failed(1, "Python is not installed");
}

#[test]
fn a_guest_of_another_version_is_outdated() {
    let runtimes = Runtimes::copy_of("ruby");
    let manifest = runtimes.path("ruby/installed.json");
    let mut content: serde_json::Value = serde_json::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
    content["recipe"] = json!("another");
    fs::write(&manifest, content.to_string()).unwrap();
    assert!(runtimes.run(&["list"], "").out.contains("outdated"));
    runtimes.run(&["verify"], "").assert_failed(1, "was installed by another version");
}

#[test]
fn a_missing_client_is_named_with_what_to_do() {
    let runtimes = Runtimes::empty();
    let ran = runtimes.run(&["install", "ruby"], "/nonexistent");
    ran.assert_failed(1, "cannot run npm, which fetches Ruby");
    assert!(ran.err.contains("hint: install npm"), "{ran:?}");
    let ran = runtimes.run(&["install", "python"], "/nonexistent");
    ran.assert_failed(1, "cannot run python3 -m pip");
    assert!(ran.err.contains("hint: install Python 3 with pip"), "{ran:?}");
}

#[test]
fn a_client_that_fails_is_quoted() {
    let runtimes = Runtimes::empty();
    let npm = program("npm", "echo 'npm error network offline' >&2; exit 1");
    let ran = runtimes.run(&["install", "ruby"], npm.path().to_str().unwrap());
    ran.assert_failed(1, "cannot fetch @ruby/3.4-wasm-wasi 2.10.1: npm ended with exit status: 1");
    assert!(ran.err.contains("npm error network offline"), "{ran:?}");
    assert!(ran.err.contains("ruby: fetching @ruby/3.4-wasm-wasi 2.10.1 with npm"), "{ran:?}");
}

#[test]
fn a_package_that_is_not_the_reviewed_one_is_refused() {
    let runtimes = Runtimes::empty();
    // The last argument but one is the directory.
    let script = format!("for argument; do directory=$last; last=$argument; done; echo other > \"$directory/{PACKAGE}\"");
    let npm = program("npm", &script);
    let ran = runtimes.run(&["install", "ruby"], npm.path().to_str().unwrap());
    ran.assert_failed(1, "has the SHA-256");
    assert!(!runtimes.path("packages").join(PACKAGE).exists(), "a refused package is not kept");
    assert!(!runtimes.path("ruby").exists());
}
