//! A server, and a folder of workflow files for it: what a person at a terminal has.

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, Ran, ServerProcess};

/// A server, and a folder in which commands run.
pub(crate) struct Project {
    pub(crate) server: ServerProcess,
    pub(crate) folder: TempDir,
}

impl Project {
    pub(crate) fn new() -> Self {
        Self { server: ServerProcess::start(), folder: tempfile::tempdir().unwrap() }
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a client command in the folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.server.command(arguments).within(self.folder.path()).run()
    }

    /// As [`Self::run`], for a command that has to succeed; answers what it printed.
    #[track_caller]
    pub(crate) fn prints(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.out
    }

    /// As [`Self::run`], with JSON as the output.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["-o", "json"]].concat()).json()
    }

    /// As [`Self::run`], with YAML as the output.
    #[track_caller]
    pub(crate) fn yaml(&self, arguments: &[&str]) -> Value {
        serde_saphyr::from_str(&self.prints(&[arguments, &["-o", "yaml"]].concat())).unwrap()
    }

    /// Looks again until what a command shows is as it should be; panics after [`PATIENCE`].
    #[track_caller]
    pub(crate) fn until(&self, arguments: &[&str], holds: impl Fn(&Value) -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !holds(&self.json(arguments)) {
            assert!(std::time::Instant::now() < deadline, "{arguments:?} never showed it");
        }
    }

    /// Writes a workflow file and applies it; answers the workflow's id.
    #[track_caller]
    pub(crate) fn install(&self, definition: &Value) -> String {
        self.write("workflow.json", &definition.to_string());
        let applied = self.json(&["workflow", "apply", "-f", "workflow.json"]);
        applied["items"][0]["id"].as_str().unwrap().to_owned()
    }

    /// Starts an execution of a workflow; answers its id.
    #[track_caller]
    pub(crate) fn start(&self, workflow: &str) -> String {
        self.json(&["workflow", "run", workflow])["id"].as_str().unwrap().to_owned()
    }

    /// Runs a workflow to its end, whatever that is; answers the execution's id.
    #[track_caller]
    pub(crate) fn start_and_watch(&self, workflow: &str) -> String {
        let id = self.start(workflow);
        let watched = self.run(&["execution", "watch", &id]);
        assert!(matches!(watched.code, 0 | 3), "{watched:?}");
        id
    }
}

/// The lines of a table without its heading, cell by cell.
#[track_caller]
pub(crate) fn rows(table: &str, heading: &str) -> Vec<Vec<String>> {
    let mut lines = table.lines();
    let titles: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(titles.join(" "), heading, "{table}");
    lines.map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()).collect()
}
