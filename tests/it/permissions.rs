//! Who may do what: every operation of the document, asked for by somebody of every role, against the tables of `docs/permissions.md`,
//! which are written from the code.

use std::{collections::BTreeMap, fs, path::Path};

use citadel::auth::permissions::{BuiltInRole, Permission};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, TestApp, client::send};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// Where the tables are in the page.
const BEGIN: &str = "<!-- written by tests/it/permissions.rs -->\n";
const END: &str = "<!-- end -->\n";

/// An operation that asks for a permission.
struct Guarded {
    method: Method,
    path: String,
    permission: String,
}

fn document() -> Value {
    serde_json::from_str(&citadel::http::openapi_document()).unwrap()
}

fn path_of_page() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.md")
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(Method, String, &Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    let of = |(path, item)| {
        let (path, item): (&String, &Value) = (path, item);
        METHODS.iter().filter_map(move |name| {
            let method = Method::from_bytes(name.to_uppercase().as_bytes()).unwrap();
            Some((method, path.clone(), item.get(name)?))
        })
    };
    items.flat_map(of).collect()
}

fn guarded(document: &Value) -> Vec<Guarded> {
    let mut found = Vec::new();
    for (method, path, operation) in operations(document) {
        if let Some(permission) = operation["security"][0]["bearer"][0].as_str() {
            found.push(Guarded { method, path, permission: permission.to_owned() });
        }
    }
    found
}

/// A path of the document with something that is not there in the place of each parameter.
fn concrete(path: &str) -> String {
    let mut parts =
        path.trim_start_matches("/api/v1").split('/').map(|part| if part.starts_with('{') { "nothing" } else { part });
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |path, part| path + "/" + part)
}

/// Asks with a body that says nothing, for something that is not there. A stream that begins is not read.
async fn ask(client: &Client, method: &Method, path: &str) -> Option<Answer> {
    let request = || client.request(method.clone(), &concrete(path)).header("if-match", "*").json(&json!({}));
    if path.ends_with("/stream") {
        let status = request().send().await.unwrap().status();
        if status.is_success() {
            return None;
        }
    }
    Some(send(request()).await)
}

fn is_denied(answer: Option<&Answer>) -> bool {
    answer.is_some_and(|answer| answer.body["code"] == "permission_denied")
}

#[tokio::test]
async fn every_operation_asks_every_role_for_its_permission() {
    let app = TestApp::start_with(|config| config.limits.enabled = false).await;
    let document = document();
    let granted = read_table(&fs::read_to_string(path_of_page()).unwrap());
    let mut asked = 0;
    for role in BuiltInRole::ALL {
        let client = app.person(role.as_str(), role.as_str()).await.client;
        for Guarded { method, path, permission } in guarded(&document) {
            let answer = ask(&client, &method, &path).await;
            let may = granted[&permission].contains(&role.as_str().to_owned());
            assert_eq!(is_denied(answer.as_ref()), !may, "{role:?}: {method} {path} needs {permission}: {answer:?}");
            if let Some(answer) = answer.filter(|_| !may) {
                answer.assert_problem(403, "permission_denied");
                assert!(answer.text("detail").contains(&permission), "{answer:?}");
            }
            asked += 1;
        }
    }
    assert!(asked > 250, "{asked}");
    app.stop().await;
}

#[tokio::test]
async fn what_asks_for_no_permission_is_open_to_every_role() {
    let app = TestApp::start_with(|config| config.limits.enabled = false).await;
    let viewer = app.person("viewer", "viewer").await.client;
    let mut open = Vec::new();
    for (method, path, operation) in operations(&document()) {
        // What is one's own, such as a password, needs no role.
        if operation["security"].is_null() && !path.starts_with("/api/v1/auth/") {
            let answer = ask(&viewer, &method, &path).await;
            assert!(!is_denied(answer.as_ref()), "{method} {path}: {answer:?}");
            open.push(format!("{method} {path}"));
        }
    }
    let documented = [
        "GET /api/v1/api-keys",
        "GET /api/v1/api-keys/{id}",
        "GET /api/v1/node-types",
        "GET /api/v1/node-types/{type}",
        "GET /api/v1/runtimes",
        "GET /api/v1/workspaces",
        "GET /metrics",
    ];
    let surprising: Vec<&String> = open.iter().filter(|operation| !documented.contains(&operation.as_str())).collect();
    assert!(surprising.is_empty(), "give them a permission, or add them here: {surprising:?}");
    app.stop().await;
}

#[tokio::test]
async fn a_batch_asks_for_what_it_does_to_each() {
    let app = TestApp::start().await;
    let viewer = app.person("viewer", "viewer").await.client;
    let operator = app.person("operator", "operator").await.client;
    for (action, may) in [("retry", true), ("cancel", true), ("delete", false)] {
        let body = json!({ "action": action, "ids": ["exe_01900000000070008000000000000001"] });
        viewer.post("/executions/batch", &body).await.assert_problem(403, "permission_denied");
        let answer = operator.post("/executions/batch", &body).await;
        assert_eq!(answer.status == 403, !may, "{action}: {answer:?}");
    }
    app.stop().await;
}

#[test]
fn the_page_is_that_of_the_code() {
    let path = path_of_page();
    let committed = fs::read_to_string(&path).unwrap();
    let (head, rest) = committed.split_once(BEGIN).unwrap();
    let (_, tail) = rest.split_once(END).unwrap();
    let expected = format!("{head}{BEGIN}{}{END}{tail}", tables());
    if committed != expected {
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("permissions.md");
        fs::write(&written, expected).unwrap();
        panic!("docs/permissions.md is outdated: cp {} {}", written.display(), path.display());
    }
}

/// The tables of the page: what each permission is for and who has it, then what each operation needs.
fn tables() -> String {
    let roles = BuiltInRole::ALL.map(BuiltInRole::as_str);
    let mut text =
        format!("\n| permission | what it is for | {} |\n|---|---|{}\n", roles.join(" | "), "---|".repeat(roles.len()));
    let meanings = meanings();
    for permission in Permission::ALL {
        let marks = BuiltInRole::ALL.map(|role| if role.permissions().contains(*permission) { "x" } else { "" });
        text += &format!("| `{permission}` | {} | {} |\n", meanings[permission.as_str()], marks.join(" | "));
    }
    text += "\n## Operations\n\n| operation | needs |\n|---|---|\n";
    for Guarded { method, path, permission } in guarded(&document()) {
        text += &format!("| `{method} {path}` | `{permission}` |\n");
    }
    text.push('\n');
    text
}

/// What the code says about each permission.
fn meanings() -> BTreeMap<String, String> {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/auth/permissions.rs")).unwrap();
    let list = source.split_once("permissions! {").unwrap().1.split_once("\n}").unwrap().0;
    let mut meanings = BTreeMap::new();
    let mut meaning = String::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("/// ") {
            Some(text) => meaning = text.trim_end_matches('.').to_owned(),
            None => {
                let name = line.split('"').nth(1).unwrap();
                meanings.insert(name.to_owned(), std::mem::take(&mut meaning));
            }
        }
    }
    meanings
}

/// The roles that have each permission, as the page says.
fn read_table(page: &str) -> BTreeMap<String, Vec<String>> {
    let table = page.split_once(BEGIN).unwrap().1.split_once("## Operations").unwrap().0;
    let mut lines = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>());
    let heading = lines.next().unwrap();
    let rows = lines.skip(1).map(|cells| {
        let roles = heading.iter().zip(&cells).skip(2).filter(|(_, mark)| *mark == "x").map(|(role, _)| role.clone());
        (cells[0].clone(), roles.collect())
    });
    rows.collect()
}
