//! What a machine can do is tried out, said, and refused in plain words.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use citadel::{
    model::native_language::NativeLanguageSettings,
    runtimes::{
        languages::Isolation as Published,
        native::{ControlGroups, Isolation},
    },
};
use serde_json::Value;

use crate::support::{World, full, reduced};

#[test]
fn says_what_keeps_processes_apart() {
    let report = full().native.report();
    assert_eq!((report.isolation, &report.features.full), (Some(Isolation::Full), &None));
    assert!(matches!(&report.features.control_groups, ControlGroups::Watched { reason } if reason.contains("runtimes.cgroup")));
    assert_eq!(report.problems, Vec::<String>::new());
    let bash = |world: &World| world.languages.infos().find(|info| info.name == "bash").unwrap();
    assert_eq!(bash(full()).isolation, Published::Process);
    assert_eq!(bash(reduced()).isolation, Published::ProcessReduced);
    let states = full().native.states();
    let version = |name: &str| states.iter().find(|state| state.name == name).unwrap().version.clone().unwrap();
    assert!(version("bash").contains("bash, version"), "{states:?}");
    assert!(version("python-native").starts_with("Python 3."), "{states:?}");
    assert!(bash(full()).version.contains("bash, version"));
}

#[test]
fn refuses_without_namespaces_unless_less_will_do() {
    let world = World::new(|settings| settings.without_namespaces = true);
    let report = world.native.report();
    assert_eq!((report.isolation, world.native.languages().count()), (None, 0));
    assert!(report.features.full.as_deref().unwrap().contains("namespaces"), "{report:?}");
    assert_eq!(report.features.reduced, None, "it would work");
}

#[test]
fn refuses_without_a_way_to_start_itself() {
    let world = World::new(|settings| settings.program = None);
    assert_eq!(world.native.report().isolation, None);
    let world = World::new(|settings| settings.program = Some("/no/such/program".into()));
    assert!(world.native.report().features.full.as_deref().unwrap().contains("does not start"));
}

#[test]
fn leaves_out_what_is_of_no_use_and_says_why() {
    let world = World::new(|settings| {
        let language = |program: &str| NativeLanguageSettings {
            command: Some([program, "{source}"].map(str::to_owned).into()),
            file: Some("main.txt".to_owned()),
            ..NativeLanguageSettings::default()
        };
        settings.languages.insert("nothing".to_owned(), language("no-such-program"));
        settings.languages.insert("broken".to_owned(), language("/etc/hostname"));
        let exposing = NativeLanguageSettings { paths: vec![settings.data_dir.clone()], ..language("cat") };
        settings.languages.insert("exposing".to_owned(), exposing);
        settings.cgroup = Some("/no/such/group".into());
    });
    let report = world.native.report();
    assert!(matches!(&report.features.control_groups, ControlGroups::Watched { reason } if reason.contains("/no/such/group")));
    let all = report.problems.join("\n");
    assert!(all.contains("`nothing`: there is no program `no-such-program`"), "{all}");
    assert!(all.contains("`exposing` would see the data directory"), "{all}");
    let names: Vec<String> = world.languages.infos().map(|info| info.name).collect();
    assert!(!names.iter().any(|name| ["nothing", "exposing"].contains(&name.as_str())), "{names:?}");
    let states = world.native.states();
    let broken = states.iter().find(|state| state.name == "broken").unwrap();
    assert!(broken.missing.as_deref().unwrap().contains("/etc/hostname does not start in the sandbox"), "{broken:?}");
}

/// A command that finds what `citadel doctor` needs, in a directory of its own.
fn in_directory(mut command: Command, directory: &Path) -> Command {
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache");
    command.current_dir(directory).env_clear().env("PATH", "/usr/bin:/bin").env("CITADEL__CACHE_DIR", cache);
    command
}

/// What `citadel doctor` found out about native code.
fn finding(output: &Output) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    report["items"].as_array().unwrap().iter().find(|item| item["name"] == "native").unwrap().clone()
}

#[test]
fn a_root_that_cannot_leave_its_groups_runs_no_native_code() {
    let directory = tempfile::tempdir().unwrap();
    let citadel = env!("CARGO_BIN_EXE_citadel");
    // Root of a namespace that has every user of this machine, but may set no groups: as some containers are.
    let script = "echo ready && read go && exec \"$1\" doctor -o json";
    let mut command = Command::new("unshare");
    command.args(["--user", "sh", "-c", script, "sh", citadel]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = in_directory(command, directory.path()).spawn().unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let process = format!("/proc/{}", child.id());
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let everybody: u64 = users.split_ascii_whitespace().nth(2).unwrap().parse().unwrap();
    std::fs::write(format!("{process}/setgroups"), "deny").unwrap();
    for map in ["gid_map", "uid_map"] {
        std::fs::write(format!("{process}/{map}"), format!("0 0 {everybody}")).expect("the tests are run by root");
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let found = finding(&child.wait_with_output().unwrap());
    let detail = found["detail"].as_str().unwrap();
    assert!(detail.starts_with("there is no native code: cannot leave the groups of root: "), "{found}");
    assert!(detail.contains("without namespaces: cannot leave the groups of root"), "{found}");
}

#[test]
fn the_doctor_sees_a_machine_without_namespaces() {
    let directory = tempfile::tempdir().unwrap();
    let doctor = |command: Command| finding(&in_directory(command, directory.path()).output().unwrap());
    let citadel = env!("CARGO_BIN_EXE_citadel");
    let mut command = Command::new(citadel);
    command.args(["doctor", "-o", "json"]);
    let with = doctor(command);
    assert!(with["detail"].as_str().unwrap().starts_with("bash, ") && with["state"] == "good", "{with}");
    let mut command = Command::new("unshare");
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$1\" doctor -o json";
    command.args(["--user", "--map-root-user", "sh", "-c", script, "sh", citadel]);
    let without = doctor(command);
    assert_eq!(without["state"], "warning", "{without}");
    let detail = without["detail"].as_str().unwrap();
    assert!(detail.starts_with("there is no native code: cannot make namespaces (user, mount, process, network)"), "{detail}");
    assert!(without["hint"].as_str().unwrap().contains("runtimes.isolation"), "{without}");
}
