//! `citadel schedule` against a real server.

use serde_json::{Value, json};

use crate::support::{Project, rows};

const HEADING: &str = "ID WORKFLOW WHEN TIMEZONE PAUSED NEXT LAST";

/// A workflow that is started by the time.
fn scheduled(name: &str, params: &Value) -> Value {
    json!({ "name": name, "nodes": [{ "id": "tick", "type": "schedule", "params": params }], "edges": [] })
}

/// A server with two active workflows; answers the schedules of the first and of the second.
fn project() -> (Project, [Value; 2]) {
    let project = Project::new();
    project.install(&scheduled("yearly", &json!({ "cron": "0 9 1 1 *", "timezone": "America/New_York" })));
    project.install(&scheduled("hourly", &json!({ "every": "1h" })));
    let schedules = ["yearly", "hourly"].map(|name| {
        project.prints(&["workflow", "activate", name]);
        let listed = project.json(&["schedule", "list", "--workflow", name]);
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
        listed["items"][0].clone()
    });
    (project, schedules)
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap()
}

#[test]
fn lists_schedules_in_every_form_and_by_workflow() {
    let (project, [yearly, hourly]) = project();
    let table = rows(&project.prints(&["schedule", "list"]), HEADING);
    let expected = |schedule: &Value, when: &str, zone: &str| {
        let next = text(schedule, "next_at");
        [text(schedule, "id"), text(schedule, "workflow_id"), when, zone, "false", next, "-"].map(str::to_owned).to_vec()
    };
    // The newest first.
    let rows_expected = [expected(&hourly, "every 1h", "UTC"), expected(&yearly, "cron 0 9 1 1 *", "America/New_York")];
    assert_eq!(table, rows_expected);
    let listed = json!({ "items": [hourly, yearly], "next_cursor": null });
    assert_eq!(project.json(&["schedule", "list", "--all"]), listed);
    assert_eq!(project.yaml(&["schedule", "list"]), listed);
    let first = project.json(&["schedule", "list", "--limit", "1"]);
    assert!(first["items"] == json!([listed["items"][0]]) && first["next_cursor"].is_string(), "{first}");
    let (part, whole) = (project.run(&["schedule", "list", "--limit", "1"]), project.run(&["schedule", "list", "--all"]));
    assert!(part.err.contains("there is more: --all") && !whole.err.contains("there is more"), "{part:?} {whole:?}");
    assert_eq!(project.json(&["schedule", "list", "--workflow", text(&yearly, "workflow_id")])["items"], json!([yearly]));
    project.run(&["schedule", "list", "--workflow", "weekly"]).assert_failed(1, "there is no workflow weekly");
    assert_eq!(project.run(&["schedule", "list", "--limit", "0"]).code, 2);
}

#[test]
fn shows_a_schedule_and_when_it_will_fire() {
    let (project, [yearly, _]) = project();
    let id = text(&yearly, "id");
    assert_eq!(rows(&project.prints(&["schedule", "get", id]), HEADING)[0][0], id);
    assert_eq!(
        (project.json(&["schedule", "get", id]), project.yaml(&["schedule", "get", id])),
        (yearly.clone(), yearly.clone())
    );
    let times = project.prints(&["schedule", "next", id]);
    let times: Vec<&str> = times.lines().collect();
    assert!(times.len() == 5 && times.iter().all(|time| time.ends_with("-01-01T14:00:00.000Z")), "{times:?}");
    assert_eq!(times[0], text(&yearly, "next_at"));
    assert_eq!(project.json(&["schedule", "next", id, "--count", "2"])["items"], json!(times[..2]));
    project.run(&["schedule", "next", id, "--count", "101"]).assert_failed(1, "from 1 to 100 (invalid_query)");
    let nowhere = "sch_01900000000070008000000000000001";
    for command in ["get", "next", "pause", "resume"] {
        project.run(&["schedule", command, nowhere]).assert_failed(1, "schedule_not_found");
    }
    project.run(&["schedule", "get", "yearly"]).assert_failed(1, "(");
    assert_eq!(project.run(&["schedule", "get"]).code, 2);
}

#[test]
fn pauses_a_schedule_and_lets_it_go_on() {
    let (project, [_, hourly]) = project();
    let id = text(&hourly, "id");
    for _ in 0..2 {
        let paused = rows(&project.prints(&["schedule", "pause", id]), HEADING);
        assert_eq!(paused[0][4..], ["true", "-", "-"], "{paused:?}");
    }
    assert_eq!(project.yaml(&["schedule", "get", id])["paused"], true);
    assert_eq!(project.prints(&["schedule", "next", id]).lines().count(), 5, "as if it were not paused");
    let resumed = project.json(&["schedule", "resume", id]);
    assert!(resumed["paused"] == false && resumed["next_at"].is_string(), "{resumed}");
}
