//! Every workflow under `examples/`, run as its README says: through a server process, with its own input.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use axum::{
    Json, Router, extract,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{fake::Fake, server::Server};

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(example(path)).unwrap()
}

fn input(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn hello() {
    let directory = directory();
    let server = Server::start(directory.path(), &[]).await;
    let workflow = server.save(&text("hello/workflow.yaml")).await;
    let result = server.run(&workflow, &input("hello/input.json")).await;
    assert_eq!(result, [json!({ "greeting": "Hello, Citadel!", "letters": 7 })]);
}

const SECRET: &str = "It's a Secret to Everybody";

/// Sends one event as GitHub does, signed with `secret`.
async fn deliver(server: &Server, secret: &str, event: &str, delivery: &str, body: &str) -> (u16, Value) {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let request = server.post("/hooks/github/issues").header("content-type", "application/json").body(body.to_owned());
    let request = request.header("x-github-event", event).header("x-github-delivery", delivery);
    let response = request.header("x-hub-signature-256", format!("sha256={signature}")).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// GitHub's profiles, of which the first answer is an error.
async fn profiles() -> Fake {
    let requests = Arc::new(AtomicU32::new(0));
    let profile = move |extract::Path(login): extract::Path<String>| {
        let is_first = requests.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if is_first {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            Json(json!({ "login": login, "name": "Marta Keßler", "company": null })).into_response()
        }
    };
    Fake::start(Router::new().route("/users/{login}", get(profile))).await
}

const LIST_ISSUES: &str = "
name: list-issues
nodes:
  - { id: start, type: manual }
  - id: rows
    type: sql
    params: { url: 'sqlite://issues.db', readonly: true, query: 'SELECT * FROM issue ORDER BY delivery' }
edges: [{ from: start, to: rows }]
";

#[tokio::test]
async fn github_webhook() {
    let (directory, profiles) = (directory(), profiles().await);
    let settings = [
        ("CITADEL__ENV__ALLOW", r#"["GITHUB_WEBHOOK_SECRET", "GITHUB_API_URL"]"#),
        ("GITHUB_WEBHOOK_SECRET", SECRET),
        ("GITHUB_API_URL", profiles.url.as_str()),
    ];
    let server = Server::start(directory.path(), &settings).await;
    server.activate(&server.save(&text("github-webhook/workflow.yaml")).await).await;
    let body = text("github-webhook/issue-opened.json");

    let (status, problem) = deliver(&server, "another secret", "issues", "d-1", &body).await;
    assert_eq!(status, 401, "{problem}");
    assert_eq!(server.get("/executions").await["items"], json!([]), "nothing runs before the signature is checked");

    let ping = deliver(&server, SECRET, "ping", "d-2", r#"{ "zen": "Keep it logically awesome.", "hook_id": 1 }"#).await;
    assert_eq!(ping, (202, json!({ "stored": false, "event": "ping" })));

    let stored = (201, json!({ "stored": true, "issue": 1347, "author": "Marta Keßler" }));
    assert_eq!(deliver(&server, SECRET, "issues", "d-3", &body).await, stored);
    // A second delivery of the same event.
    assert_eq!(deliver(&server, SECRET, "issues", "d-3", &body).await, stored);

    let rows = server.run(&server.save(LIST_ISSUES).await, &json!({})).await;
    let row = json!({
        "delivery": "d-3", "repository": "harbour-works/crane-control", "number": 1347,
        "title": "Hoist brake reports \"released\" while the load hangs — überprüfen", "labels": "bug,safety",
        "author": "Marta Keßler", "company": null, "opened_at": "2026-03-09T07:41:12Z",
    });
    assert_eq!(rows, [row]);
}

/// Countries, people and square kilometres by continent, added up without the workflow.
fn continents() -> BTreeMap<String, (u32, u64, f64)> {
    let mut continents = BTreeMap::new();
    let mut reader = csv::Reader::from_path(example("population-report/countries.csv")).unwrap();
    for record in reader.records().map(Result::unwrap) {
        let sums: &mut (u32, u64, f64) = continents.entry(record[2].to_owned()).or_default();
        *sums = (sums.0 + 1, sums.1 + record[3].parse::<u64>().unwrap(), sums.2 + record[4].parse::<f64>().unwrap());
    }
    continents
}

#[tokio::test]
async fn population_report() {
    let directory = directory();
    let server = Server::start(directory.path(), &[]).await;
    fs::copy(example("population-report/countries.csv"), directory.path().join("files/countries.csv")).unwrap();
    let result = server.run(&server.save(&text("population-report/workflow.yaml")).await, &json!({})).await;
    assert_eq!(result[0]["items"], 6, "{result:?}");

    let expected = continents();
    assert_eq!(expected.values().map(|sums| sums.0).sum::<u32>(), 195);
    let mut report = csv::Reader::from_path(directory.path().join("files/report.csv")).unwrap();
    let rows: Vec<HashMap<String, String>> = report.deserialize().map(Result::unwrap).collect();
    assert_eq!(
        rows.iter().map(|row| row["continent"].as_str()).collect::<Vec<_>>(),
        ["Asia", "Africa", "Europe", "North America", "South America", "Oceania"]
    );
    for row in rows {
        let (countries, population, area_km2) = expected[&row["continent"]];
        assert_eq!((row["countries"].parse(), row["population"].parse()), (Ok(countries), Ok(population)), "{row:?}");
        assert_eq!(row["area_km2"], area_km2.round().to_string(), "{row:?}");
    }
}

const ORDERS: u32 = 1_000;

/// What one order costs.
fn cents(order: u32) -> u32 {
    order * 37 % 10_000
}

/// Prices. Every third order is refused at first, every thirtieth three times. Counts requests by order.
async fn prices(requests: Arc<Mutex<HashMap<u32, u32>>>) -> Fake {
    let price = move |extract::Path(order): extract::Path<u32>| {
        let mut requests = requests.lock().unwrap();
        let count = requests.entry(order).or_default();
        *count += 1;
        let answer: Response = if *count <= refusals(order) {
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        } else {
            Json(json!({ "order": order, "cents": cents(order) })).into_response()
        };
        async { answer }
    };
    Fake::start(Router::new().route("/price/{order}", get(price))).await
}

fn refusals(order: u32) -> u32 {
    match order {
        _ if order.is_multiple_of(30) => 3,
        _ if order.is_multiple_of(3) => 1,
        _ => 0,
    }
}

#[tokio::test]
async fn fan_out() {
    let directory = directory();
    let requests = Arc::new(Mutex::new(HashMap::new()));
    let prices = prices(Arc::clone(&requests)).await;
    let server = Server::start(directory.path(), &[]).await;
    let workflow = server.save(&text("fan-out/workflow.yaml")).await;
    let mut input = input("fan-out/input.json");
    assert_eq!(input["count"], ORDERS);
    input["service"] = json!(prices.url);

    let result = server.run(&workflow, &input).await;
    let total: u32 = (1..=ORDERS).map(cents).sum();
    let dearest = (1..=ORDERS).map(cents).max();
    assert_eq!(result, [json!({ "orders": ORDERS, "cents": total, "dearest": dearest })]);
    // Each order was asked for until it was answered, and then no more.
    let requests = requests.lock().unwrap();
    assert_eq!(*requests, (1..=ORDERS).map(|order| (order, refusals(order) + 1)).collect::<HashMap<_, _>>());
}

/// A shop that has sold one more thing each time it is asked.
async fn shop() -> Fake {
    let sold = Arc::new(AtomicU32::new(0));
    let figures = move || {
        let orders = sold.fetch_add(1, Ordering::SeqCst) + 1;
        async move { Json(json!({ "orders": orders, "cents": orders * 250 })) }
    };
    Fake::start(Router::new().route("/figures", get(figures))).await
}

const LIST_REPORT: &str = "
name: list-report
nodes:
  - { id: start, type: manual }
  - id: rows
    type: sql
    params: { url: 'sqlite://report.db', readonly: true, query: 'SELECT * FROM report ORDER BY scheduled_at' }
edges: [{ from: start, to: rows }]
";

#[tokio::test]
async fn every_minute_report() {
    let (directory, shop) = (directory(), shop().await);
    let settings = [("CITADEL__ENV__ALLOW", r#"["SHOP_URL"]"#), ("SHOP_URL", shop.url.as_str())];
    let server = Server::start(directory.path(), &settings).await;
    let every_second = text("every-minute-report/workflow.yaml").replace("* * * * *", "* * * * * *");
    let workflow = server.save(&every_second).await;
    server.activate(&workflow).await;
    server.wait_until_succeeded(&workflow, 3).await;
    let deactivate = server.post(&format!("/api/v1/workflows/{workflow}/deactivate"));
    server.call(deactivate.json(&json!({})), 200).await;

    let rows = server.run(&server.save(LIST_REPORT).await, &json!({})).await;
    assert!(rows.len() >= 3, "{rows:?}");
    let ticks: Vec<&str> = rows.iter().map(|row| row["scheduled_at"].as_str().unwrap()).collect();
    assert!(ticks.iter().all(|tick| tick.ends_with(".000Z")) && ticks.is_sorted_by(|left, right| left < right), "{ticks:?}");
    assert!(rows.iter().all(|row| row["cents"].as_u64().unwrap() == row["orders"].as_u64().unwrap() * 250), "{rows:?}");
}

#[tokio::test]
async fn approval() {
    let directory = directory();
    let server = Server::start(directory.path(), &[]).await;
    let workflow = server.save(&text("approval/workflow.yaml")).await;
    let small = server.run(&workflow, &json!({ "customer": "Ada Byron", "amount": 99, "currency": "EUR" })).await;
    assert_eq!(small[0]["status"], "refunded", "nobody is asked about a small sum");

    let approved = server.start_execution(&workflow, &input("approval/input.json")).await;
    let rejected = server.start_execution(&workflow, &input("approval/input.json")).await;
    server.wait_for(&approved, "waiting").await;
    server.wait_for(&rejected, "waiting").await;
    server.crash().await;

    let server = Server::start(directory.path(), &[]).await;
    server.wait_for(&approved, "waiting").await;
    // A slip is told at once, and the execution goes on waiting.
    let signal = |execution: &str| format!("/api/v1/executions/{execution}/signal/decision");
    server.call(server.post(&signal(&approved)).json(&json!({ "approved": true, "data": {} })), 422).await;
    let reason = json!({ "reason": "damaged on arrival" });
    let approval = json!({ "approved": true, "by": "grace", "data": reason });
    server.call(server.post(&signal(&approved)).json(&approval), 202).await;
    server.call(server.post(&signal(&rejected)).json(&json!({ "approved": false, "by": "grace" })), 202).await;
    let refunded = &server.result(&approved).await[0];
    assert_eq!((&refunded["status"], &refunded["approval"]), (&json!("refunded"), &approval));
    assert_eq!(server.result(&rejected).await[0]["status"], "refused");
}
