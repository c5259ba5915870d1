//! `citadel actors` against a real server.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Project, Ran, Receiver, rows, workflows};

/// The heading of `citadel actors top`.
const HEADING: &str = "ID ACTOR STATUS DEPTH HANDLED ERRORS WAIT P99 HANDLE P99 BUSY AGE";

/// The first line of `top`, which counts, and the table below it.
#[track_caller]
fn read_top(top: &Ran) -> (usize, Vec<Vec<String>>) {
    assert_eq!(top.code, 0, "{top:?}");
    let (count, table) = top.out.split_once('\n').unwrap();
    (count.strip_suffix(" live").unwrap().parse().unwrap(), rows(table, HEADING))
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_who_supervises_whom_with_those_at_work_among_them() {
    let (project, receiver) = (Project::new(), Receiver::start().await);
    project.install(&workflows::call(&receiver.url("/slow")));
    let id = project.start("call");
    let tree = project.prints(&["actors", "tree"]);
    let lines: Vec<&str> = tree.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let execution = lines.iter().position(|line| line.contains(&id)).unwrap_or_else(|| panic!("{tree}"));
    assert!(lines[execution].trim_start().starts_with("execution "), "{tree}");
    // Its parent is the last line above it with a smaller indent.
    let parent = lines[..execution].iter().rev().find(|line| indent(line) < indent(lines[execution])).unwrap();
    assert!(parent.contains("execution_supervisor"), "{tree}");
    assert!(lines[0].starts_with("supervisor") && lines.iter().any(|line| line.trim_start().starts_with("lane")), "{tree}");
    assert!(lines.last().unwrap().ends_with(" live"), "{tree}");

    let (json, yaml) = (project.json(&["actors", "tree"]), project.yaml(&["actors", "tree"]));
    for snapshot in [&json, &yaml] {
        assert!(snapshot["actors_live"].as_u64().unwrap() > 5 && snapshot["tree"][0]["children"].is_array(), "{snapshot}");
    }
    let kinds = |snapshot: &Value| -> BTreeSet<String> {
        let kinds = snapshot["kinds"].as_array().unwrap().iter();
        kinds.map(|kind| kind["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert!(kinds(&json).contains("lane") && kinds(&json) == kinds(&yaml));
}

#[test]
fn shows_the_busiest_once_where_there_is_no_terminal() {
    let project = Project::new();
    project.install(&workflows::mark());
    project.start_and_watch("mark");
    // Standard output is a pipe here: without `--once`, too, it ends by itself.
    let (live, shown) = read_top(&project.run(&["actors", "top", "--count", "1000"]));
    assert_eq!(live, shown.len());
    let number = |row: &Vec<String>, column: usize| row[column].parse::<u64>().unwrap();
    let order: Vec<(u64, u64)> = shown.iter().map(|row| (number(row, 3), number(row, 4))).collect();
    assert!(order.is_sorted_by(|left, right| left >= right), "{order:?}");
    assert!(shown.iter().all(|row| row.len() == HEADING.split(' ').count() - 2), "{shown:?}");
    assert_eq!(read_top(&project.run(&["actors", "top", "--once", "--count", "3", "--interval", "1s"])).1.len(), 3);
    assert!(project.json(&["actors", "top"])["tree"].is_array());

    assert_eq!(project.run(&["actors", "top", "--interval", "soon"]).code, 2);
    assert_eq!(project.run(&["actors", "bottom"]).code, 2);
    let refused = project.server.command(&["actors", "tree"]).env("CITADEL__CLIENT__TOKEN", "wrong").run();
    refused.assert_failed(5, "hint: the token came from");
}
