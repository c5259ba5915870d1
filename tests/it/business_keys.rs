//! Starts with a business key: how many executions of one key may live, and what becomes of a start that meets another.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, EventStream, TestApp, client::send, workflows};

/// Starts that come at once.
const AT_ONCE: usize = 12;

fn body(key: &str, on_conflict: &str) -> Value {
    json!({ "business_key": key, "on_conflict": on_conflict })
}

/// Starts of a workflow, all at once.
async fn start_at_once(client: &Client, workflow: &str, body: &Value) -> Vec<Answer> {
    let path = format!("/workflows/{workflow}/executions");
    let starts = (0..AT_ONCE).map(|_| client.post(&path, body));
    futures_util::future::join_all(starts).await
}

/// The executions with a business key that have not finished.
async fn live(client: &Client, key: &str) -> Vec<Value> {
    let page = client.get(&format!("/executions?business_key={key}&status=queued,running,waiting")).await;
    page.body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn of_many_rejecting_starts_at_once_one_is_made() {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::waiting()).await;
    for round in 0..3 {
        let answers = start_at_once(&app.client, &workflow, &body("order-7", "reject")).await;
        let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 202).collect();
        let [winner] = made[..] else { panic!("round {round}: {answers:?}") };
        for refused in answers.iter().filter(|answer| answer.status != 202) {
            refused.assert_problem(409, "business_key_taken");
            assert_eq!(refused.body["execution_id"], winner.body["id"]);
        }
        assert_eq!(live(&app.client, "order-7").await.len(), 1);
        // Another key is another matter, and so is another workflow.
        let path = format!("/workflows/{workflow}/executions");
        let other = app.client.post(&path, &body(&format!("order-8-{round}"), "reject")).await;
        assert_eq!(other.status, 202);
        let id = winner.text("id");
        app.client.post(&format!("/executions/{id}/cancel"), &json!({})).await;
        app.client.reaches(&id, "cancelled").await;
    }
    app.stop().await;
}

#[tokio::test]
async fn a_returning_start_answers_with_the_one_that_lives() {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::waiting()).await;
    let answers = start_at_once(&app.client, &workflow, &body("order-7", "return")).await;
    let id = answers[0].text("id");
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.text("id") == id), "{answers:?}");
    let replayed = answers.iter().filter(|answer| answer.headers.contains_key("idempotent-replayed")).count();
    assert_eq!(replayed, AT_ONCE - 1);

    let start =
        || app.client.request(Method::POST, &format!("/workflows/{workflow}/executions")).json(&body("order-7", "return"));
    let keyed = send(start().header("idempotency-key", "k")).await;
    let stream = EventStream::open(start()).await;
    assert_eq!((keyed.text("id"), &stream.headers()["idempotent-replayed"]), (id.clone(), &"true".parse().unwrap()));
    app.client.post(&format!("/executions/{id}/signal/go"), &json!({})).await;
    assert_eq!(stream.rest().await.last().unwrap().data["execution_id"], id);
    let waited = send(start().header("idempotency-key", "k").header("prefer", "wait=30")).await;
    assert_eq!(
        (waited.status, waited.text("id")),
        (200, id.clone()),
        "the same request has the same answer, though it has ended"
    );
    let next = send(start()).await;
    assert!(next.text("id") != id && !next.headers.contains_key("idempotent-replayed"));
    app.stop().await;
}

#[tokio::test]
async fn a_cancelling_start_ends_the_others_first() {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::waiting()).await;
    let older: Vec<String> = {
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(app.client.start(&workflow, &body("order-7", "allow")).await);
        }
        ids
    };
    let newest = app.client.start(&workflow, &body("order-7", "cancel")).await;
    for id in &older {
        let ended = app.client.get(&format!("/executions/{id}")).await;
        assert_eq!(ended.body["status"], "cancelled", "it had ended before the newest was made");
        assert_eq!(ended.body["error"]["message"], "a newer execution has its business key");
    }
    assert_eq!(live(&app.client, "order-7").await[0]["id"], newest);

    let answers = start_at_once(&app.client, &workflow, &body("order-7", "cancel")).await;
    let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 202).collect();
    assert!(!made.is_empty() && answers.iter().all(|answer| [202, 409].contains(&answer.status)), "{answers:?}");
    assert_eq!(live(&app.client, "order-7").await.len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn any_number_may_live_where_the_start_allows_it() {
    let app = TestApp::start().await;
    let workflow = app.client.create_workflow(&workflows::waiting()).await;
    let answers = start_at_once(&app.client, &workflow, &json!({ "business_key": "order-7" })).await;
    assert!(answers.iter().all(|answer| answer.status == 202));
    assert_eq!(live(&app.client, "order-7").await.len(), AT_ONCE);
    let path = format!("/workflows/{workflow}/executions");
    app.client.post(&path, &body("order-7", "reject")).await.assert_problem(409, "business_key_taken");
    app.client.post(&path, &json!({ "on_conflict": "reject" })).await.assert_problem(422, "invalid_body");
    app.client.post(&path, &body("order-7", "replace")).await.assert_problem(422, "invalid_body");
    app.stop().await;
}
