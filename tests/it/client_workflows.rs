//! `citadel workflow` against a real server: versions, what is published, and what files would change.

use serde_json::{Value, json};

use crate::support::{Project, rows, workflows};

const HEADING: &str = "ID NAME VERSION ACTIVE UPDATED";

/// A workflow with three versions; answers its id.
fn install_three_versions(project: &Project) -> String {
    let mut id = String::new();
    for number in 1..=3 {
        let mut definition = workflows::mark();
        definition["nodes"][1]["params"]["fields"] = json!({ "number": number });
        id = project.install(&definition);
    }
    id
}

#[test]
fn lists_the_versions_of_a_workflow_the_newest_first() {
    let project = Project::new();
    let id = install_three_versions(&project);
    let table = rows(&project.prints(&["workflow", "versions", "mark"]), "VERSION CREATED");
    let numbers: Vec<&str> = table.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(numbers, ["3", "2", "1"]);
    let listed = project.json(&["workflow", "versions", &id, "--all"]);
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][2]["version"]), (3, &json!(1)));
    assert_eq!(project.yaml(&["workflow", "versions", &id]), listed);
    let page = project.json(&["workflow", "versions", "mark", "--limit", "2"]);
    assert_eq!((page["items"].as_array().unwrap().len(), page["next_cursor"].is_string()), (2, true), "{page}");
    project.run(&["workflow", "versions", "mork"]).assert_failed(1, "hint: did you mean `mark`?");
    let nowhere = "wf_01900000000070008000000000000001";
    project.run(&["workflow", "versions", nowhere]).assert_failed(1, "workflow_not_found");
}

#[test]
fn publishes_the_version_that_is_named_or_the_latest() {
    let project = Project::new();
    let id = install_three_versions(&project);
    let published = |table: &str| rows(table, HEADING)[0][..4].to_vec();
    assert_eq!(published(&project.prints(&["workflow", "activate", "mark", "--version", "2"])), [&id, "mark", "3", "2"]);
    // What runs is what is published.
    let result = |more: &[&str]| project.run(&[&["workflow", "run", "mark", "--wait"], more].concat()).json();
    assert_eq!(result(&[])[0]["json"]["number"], 2);
    assert_eq!(result(&["--version", "1"])[0]["json"]["number"], 1);
    assert_eq!(project.json(&["workflow", "activate", &id])["active_version"], 3);
    assert_eq!(result(&[])[0]["json"]["number"], 3);
    project.run(&["workflow", "activate", "mark", "--version", "4"]).assert_failed(1, "version_not_found");
    assert_eq!(project.run(&["workflow", "activate", "mark", "--version", "two"]).code, 2);
    assert_eq!(published(&project.prints(&["workflow", "deactivate", "mark"])), [&id, "mark", "3", "-"]);
    assert_eq!(project.yaml(&["workflow", "deactivate", "mark"])["active_version"], Value::Null);
    project.run(&["workflow", "activate", "mork"]).assert_failed(1, "there is no workflow mork");
}

#[test]
fn shows_workflows_in_every_form() {
    let project = Project::new();
    let id = install_three_versions(&project);
    assert_eq!(rows(&project.prints(&["workflow", "list"]), HEADING)[0][..4], [&id, "mark", "3", "-"]);
    let listed = project.json(&["workflow", "list"]);
    assert_eq!((&listed["items"][0]["id"], &listed["next_cursor"]), (&json!(id), &Value::Null));
    assert_eq!(project.yaml(&["workflow", "list"]), listed);
    let shown = project.json(&["workflow", "get", "mark"]);
    assert_eq!(project.yaml(&["workflow", "get", "mark"]), shown);
    assert_eq!(project.json(&["workflow", "get", "mark", "--definition"]), shown["definition"]);
    assert_eq!(project.yaml(&["workflow", "get", "mark", "--definition"]), shown["definition"]);
    let described = project.prints(&["workflow", "get", "mark"]);
    let (table, definition) = described.split_once("\n\n").unwrap();
    assert_eq!(rows(table, HEADING)[0][0], id);
    assert_eq!(serde_saphyr::from_str::<Value>(definition).unwrap(), shown["definition"]);
}

#[test]
fn tells_programs_what_a_diff_is_about() {
    let project = Project::new();
    let new = workflows::mark();
    project.write("flows/mark.json", &new.to_string());
    let diff = |more: &[&str]| project.run(&[&["workflow", "diff", "-f", "flows"], more].concat());
    let read = |more: &[&str]| -> (i32, Value) {
        let ran = diff(&[more, &["-o", "json"]].concat());
        (ran.code, serde_json::from_str::<Value>(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))["items"].take())
    };
    let (code, rows) = read(&[]);
    assert_eq!((code, &rows[0]["action"], &rows[0]["name"]), (1, &json!("create"), &json!("mark")));
    project.install(&new);
    let (code, rows) = read(&[]);
    assert_eq!((code, &rows[0]["action"], &rows[0]["diff"]), (0, &json!("unchanged"), &json!("")));
    let mut changed = new.clone();
    changed["nodes"][1]["params"]["fields"] = json!({ "seen": false });
    project.write("flows/mark.json", &changed.to_string());
    project.install(&json!({ "name": "other", "nodes": new["nodes"], "edges": new["edges"] }));
    let (code, rows) = read(&["--prune"]);
    assert_eq!(code, 1);
    let actions: Vec<&str> = rows.as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["update", "delete"]);
    let text = rows[0]["diff"].as_str().unwrap();
    assert!(text.contains("\n-      seen: true\n+      seen: false\n"), "{text}");
    let yaml = diff(&["-o", "yaml"]);
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml.out).unwrap()["items"][0]["diff"], text);
    diff(&["-f", "nowhere"]).assert_failed(2, "");
    project.run(&["workflow", "diff", "-f", "nowhere"]).assert_failed(1, "cannot read nowhere: No such file");
    project.write("empty/notes.txt", "nothing");
    project.run(&["workflow", "diff", "-f", "empty"]).assert_failed(1, "has no workflow files");
}
