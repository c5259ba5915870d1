//! Packages of native languages: installed from a list, once, and then only read.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use citadel::{model::native_language::NativeLanguageSettings, runtimes::code::CodeErrorCode};
use serde_json::{Value, json};

use crate::support::World;

/// A wheel with one module, which doubles. Written by hand: a test installs nothing from elsewhere.
fn wheel(directory: &Path) -> PathBuf {
    let path = directory.join("doubler-1.0-py3-none-any.whl");
    let program = "import sys, zipfile\n\
                   with zipfile.ZipFile(sys.argv[1], 'w') as wheel:\n\
                   \x20   wheel.writestr('doubler.py', 'def double(n): return n * 2\\n')\n\
                   \x20   wheel.writestr('doubler-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: doubler\\nVersion: 1.0\\n')\n\
                   \x20   wheel.writestr('doubler-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: hand\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n\
                   \x20   wheel.writestr('doubler-1.0.dist-info/RECORD', '')\n";
    assert!(Command::new("python3").args(["-c", program, path.to_str().unwrap()]).status().unwrap().success());
    path
}

/// A package of npm's, packed by npm: one module, which triples, and a script that must not run. Where it lies.
fn npm_package(directory: &Path) -> PathBuf {
    let source = directory.join("tripler");
    std::fs::create_dir(&source).unwrap();
    let manifest = json!({
        "name": "tripler",
        "version": "1.0.0",
        "main": "index.js",
        "scripts": { "install": format!("touch {}", directory.join("script-has-run").display()) },
    });
    std::fs::write(source.join("package.json"), manifest.to_string()).unwrap();
    std::fs::write(source.join("index.js"), "module.exports = n => n * 3;\n").unwrap();
    let mut npm = Command::new("npm");
    npm.args(["pack", "--ignore-scripts", "--silent", "--pack-destination"]).arg(directory).arg(&source).current_dir(directory);
    assert!(npm.output().expect("npm is installed").status.success());
    directory.join("tripler-1.0.0.tgz")
}

fn world(requirements: &Path) -> World {
    world_of("python-native", requirements)
}

/// With a language `data` that has packages.
fn world_of(base: &str, requirements: &Path) -> World {
    let data = NativeLanguageSettings {
        extends: Some(base.to_owned()),
        requirements: Some(requirements.to_owned()),
        ..NativeLanguageSettings::default()
    };
    World::new(|settings| drop(settings.languages.insert("data".to_owned(), data)))
}

#[test]
fn installs_a_list_of_packages_once_and_shows_it_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("requirements.txt");
    std::fs::write(&list, format!("{}\n", wheel(directory.path()).display())).unwrap();
    let world = world(&list);
    // Only the engine can look into its data directory: the sandbox is given what it needs of it.
    std::fs::set_permissions(world.data_dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let source = "import doubler, json, sys\nprint(doubler.double(json.load(sys.stdin)))";

    let error = world.run("data", source, json!(21)).unwrap_err();
    assert_eq!(error.code, CodeErrorCode::Unavailable);
    assert_eq!(error.message, "the packages of `data` are not installed: run `citadel runtimes install data`");
    let state = |world: &World| world.native.states().into_iter().find(|state| state.name == "data").unwrap();
    assert_eq!(state(&world).missing, Some(error.message));

    let mut told = Vec::new();
    let installed = world.native.install("data", &mut |line| told.push(line.to_owned())).unwrap();
    assert!(told[0].starts_with("installing the packages of data from "), "{told:?}");
    assert_eq!(world.run("data", source, json!(21)).unwrap().output, json!(42));
    assert_eq!(state(&world).missing, None);

    told.clear();
    assert_eq!(world.native.install("data", &mut |line| told.push(line.to_owned())).unwrap(), installed);
    assert!(told.len() == 1 && told[0].starts_with("the packages of data are there"), "{told:?}");

    let write = "open('/environment/doubler.py', 'a').write('x')";
    let error = world.run("data", write, Value::Null).unwrap_err();
    // Of another user, or of this one and read-only.
    assert!(["Permission denied", "Read-only file system"].iter().any(|words| error.message.contains(words)), "{error:?}");
    // Others do not see them, and another list is another set of packages.
    assert!(world.run("python-native", source, json!(21)).is_err());
    std::fs::write(&list, "").unwrap();
    assert_eq!(world.run("data", source, json!(21)).unwrap_err().code, CodeErrorCode::Unavailable);
}

#[test]
fn installs_packages_of_npm_without_running_their_scripts() {
    let directory = tempfile::tempdir().unwrap();
    let package = npm_package(directory.path());
    let list = directory.path().join("package.json");
    let wanted = json!({ "private": true, "dependencies": { "tripler": format!("file:{}", package.display()) } });
    std::fs::write(&list, wanted.to_string()).unwrap();
    let world = world_of("node", &list);
    let source = "const n = JSON.parse(require('fs').readFileSync(0, 'utf8'));\nconsole.log(require('tripler')(n));";
    let error = world.run("data", source, json!(7)).unwrap_err();
    assert_eq!(error.code, CodeErrorCode::Unavailable, "{error:?}");
    let installed = world.native.install("data", &mut |_| ()).unwrap();
    assert_eq!(world.run("data", source, json!(7)).unwrap().output, json!(21));
    assert!(!directory.path().join("script-has-run").exists());
    // One environment for as long as the list is the same, and another one for another list.
    assert_eq!(world.native.install("data", &mut |_| ()).unwrap(), installed);
    let without = json!({ "private": true, "dependencies": {} });
    std::fs::write(&list, without.to_string()).unwrap();
    let other = world.native.install("data", &mut |_| ()).unwrap();
    assert_ne!(other, installed);
    let error = world.run("data", source, json!(7)).unwrap_err();
    assert!(error.message.contains("Cannot find module 'tripler'"), "{error:?}");
}

#[test]
fn removes_every_set_of_packages_of_a_language() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("requirements.txt");
    std::fs::write(&list, "").unwrap();
    let world = world(&list);
    let first = world.native.install("data", &mut |_| ()).unwrap();
    std::fs::write(&list, "# another list\n").unwrap();
    let second = world.native.install("data", &mut |_| ()).unwrap();
    assert!(first != second && first.is_dir() && second.is_dir());
    let of_another = first.with_file_name(first.file_name().unwrap().to_str().unwrap().replace("data-", "data-two-"));
    std::fs::create_dir(&of_another).unwrap();
    assert!(world.native.remove("data").unwrap());
    assert!(!first.exists() && !second.exists() && of_another.is_dir());
    assert!(!world.native.remove("data").unwrap(), "there is nothing left");
}

#[test]
fn says_why_packages_cannot_be_installed() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("requirements.txt");
    std::fs::write(&list, "/no/such/package-1.0-py3-none-any.whl\n").unwrap();
    let world = world(&list);
    let install = |name: &str| world.native.install(name, &mut |_| ()).unwrap_err().to_string();
    let said = install("data");
    assert!(said.starts_with("cannot install the packages of `data`: python3 -m pip ended with exit status: 1\n"), "{said}");
    assert!(said.contains("/no/such/package-1.0-py3-none-any.whl"), "{said}");
    assert_eq!(install("bash"), "`bash` has no `requirements`: there is nothing to install");
    assert_eq!(install("cobol"), "there is no native language `cobol` here");
    let left = std::fs::read_dir(world.data_dir.path().join("runtimes/environments")).unwrap().count();
    assert_eq!(left, 0, "nothing unfinished is left");
    std::fs::remove_file(&list).unwrap();
    assert!(install("data").starts_with("cannot read the list of packages"));
}
