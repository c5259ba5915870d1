//! Code nodes in native languages, through the whole program: settings, registry, node, sandbox.

use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs workflows in a directory of its own.
struct Project(TempDir);

impl Project {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn citadel(&self, arguments: &[&str]) -> Output {
        let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache");
        let mut command = Command::new(env!("CARGO_BIN_EXE_citadel"));
        command.args(arguments).current_dir(self.0.path()).env_clear().env("CITADEL__CACHE_DIR", cache);
        command.output().unwrap()
    }

    /// Runs a code node over the input.
    fn run(&self, params: &Value, input: &Value) -> Output {
        let definition = json!({
            "name": "code",
            "nodes": [{ "id": "start", "type": "manual" }, { "id": "code", "type": "code", "params": params }],
            "edges": [{ "from": "start", "to": "code" }],
        });
        std::fs::write(self.0.path().join("workflow.json"), definition.to_string()).unwrap();
        std::fs::write(
            self.0.path().join("citadel.toml"),
            "[runtimes.native.lines]\nextends = \"bash\"\nenv = { EDITION = \"7\" }\n",
        )
        .unwrap();
        self.citadel(&["--config", "citadel.toml", "run", "workflow.json", "-i", &input.to_string()])
    }
}

/// The `json` of the items that were printed.
fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    let items: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    items.into_iter().map(|item| item["json"].clone()).collect()
}

#[test]
fn a_code_node_runs_in_a_native_language() {
    let project = Project::new();
    let input = json!([{ "name": "a" }, { "name": "b" }]);
    let all = project.run(&json!({ "language": "bash", "code": "cat" }), &input);
    assert_eq!(printed(&all), input);
    let python = "import json, sys\nprint(json.dumps({'upper': json.load(sys.stdin)['name'].upper()}))";
    let each = project.run(&json!({ "language": "python-native", "code": python, "mode": "each" }), &input);
    assert_eq!(printed(&each), json!([{ "upper": "A" }, { "upper": "B" }]));
    let named = project.run(&json!({ "language": "lines", "code": "echo \"{\\\"edition\\\": $EDITION}\"" }), &input);
    assert_eq!(printed(&named), json!([{ "edition": 7 }]));
}

#[test]
fn a_failure_is_told_with_its_code() {
    let project = Project::new();
    let failed = project.run(&json!({ "language": "bash", "code": "echo no such luck >&2\nexit 7" }), &json!({}));
    let said = String::from_utf8_lossy(&failed.stderr);
    assert_eq!(failed.status.code(), Some(3), "{said}");
    assert!(said.contains("code_exception: the program exited with 7: no such luck"), "{said}");
    let limits = json!({ "language": "bash", "code": "sleep 9", "limits": { "wall_ms": 200 } });
    let late = project.run(&limits, &json!({}));
    let said = String::from_utf8_lossy(&late.stderr);
    assert!(said.contains("sandbox_timeout: the code ran for more than 200 ms"), "{said}");
}

#[test]
fn one_command_lists_languages_and_installs_their_packages() {
    let project = Project::new();
    let listed = project.citadel(&["runtimes", "list"]);
    let text = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success() && text.contains("bash") && text.contains("of this machine"), "{listed:?}");
    let listed: Value = serde_json::from_slice(&project.citadel(&["runtimes", "list", "-o", "json"]).stdout).unwrap();
    assert_eq!(listed["native"]["report"]["isolation"], "full");
    assert!(listed["native"]["items"].as_array().unwrap().iter().any(|language| language["name"] == "python-native"), "{listed}");

    project.write("requirements.txt", "# nothing yet\n");
    project.write("citadel.toml", "[runtimes.native.data]\nextends = \"python-native\"\nrequirements = \"requirements.txt\"\n");
    let with = |arguments: &[&str]| project.citadel(&[&["--config", "citadel.toml", "runtimes"], arguments].concat());
    let installed = with(&["install", "data"]);
    let (out, err) = (String::from_utf8_lossy(&installed.stdout), String::from_utf8_lossy(&installed.stderr));
    assert!(installed.status.success() && out.starts_with("its packages are in "), "{out}{err}");
    assert!(err.contains("data: installing the packages of data from requirements.txt"), "{err}");
    assert_eq!(String::from_utf8_lossy(&with(&["remove", "data"]).stdout), "data is removed\n");
    assert_eq!(String::from_utf8_lossy(&with(&["remove", "data"]).stdout), "data was not installed\n");

    let refused = with(&["install", "bash"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && said.contains("error: `bash` has no `requirements`"), "{said}");
    assert!(said.contains("hint: name a list of packages in the settings"), "{said}");
    // Nothing is done where one of the names is wrong.
    let refused = with(&["install", "data", "dato"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && said.contains("there is no language `dato` to install"), "{said}");
    assert!(said.contains("hint: did you mean `data`?"), "{said}");
    assert_eq!(String::from_utf8_lossy(&with(&["remove", "data"]).stdout), "data was not installed\n");
}
