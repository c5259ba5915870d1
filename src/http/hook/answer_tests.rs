//! The answer for each mode and each end.

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{model::error::codes, nodes::webhook::WebhookParams};

fn params(fields: Value) -> WebhookParams {
    let mut params = json!({ "path": "a" });
    params.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let node = json!({ "id": "hook", "type": "webhook", "params": params });
    WebhookParams::read(&serde_json::from_value(node).unwrap()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn started(answer: Option<Answer>) -> Started {
    Started { execution: ExecutionId::from_uuid(Uuid::from_u128(1)), replayed: false, answer }
}

fn ended(status: ExecutionStatus, items: &[Value]) -> Option<Answer> {
    let result = items.iter().cloned().map(Item::from_value).collect();
    let error = (status == ExecutionStatus::Failed).then(|| event::ExecutionError {
        code: codes::TIMEOUT.to_owned(),
        message: "the password is hunter2".to_owned(),
        node_id: None,
        details: None,
    });
    Some(Answer::Finished(FinishedExecution { status, error, result }))
}

async fn sent(fields: Value, reached: Option<Answer>) -> (u16, HeaderMap, String) {
    let response = answer(&params(fields), started(reached)).unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 10_000).await.unwrap();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn answers_at_once_with_the_execution() {
    let (status, headers, body) = sent(json!({ "headers": { "x-a": "b" } }), None).await;
    assert_eq!((status, headers["x-a"].to_str().unwrap()), (200, "b"));
    assert_eq!(body, r#"{"execution_id":"exe_00000000000000000000000000000001","status":"queued"}"#);
    assert_eq!(sent(json!({ "status": 202 }), None).await.0, 202);
}

#[tokio::test]
async fn answers_with_the_items_of_the_last_node() {
    let mode = json!({ "respond": "last_node", "status": 201 });
    let (one, two) = (json!({ "a": 1 }), json!({ "b": 2 }));
    let (status, _, body) = sent(mode.clone(), ended(ExecutionStatus::Succeeded, std::slice::from_ref(&one))).await;
    assert_eq!((status, body.as_str()), (201, r#"{"a":1}"#));
    assert_eq!(sent(mode.clone(), ended(ExecutionStatus::Succeeded, &[one, two])).await.2, r#"[{"a":1},{"b":2}]"#);
    assert_eq!(sent(mode, ended(ExecutionStatus::Succeeded, &[])).await.2, "[]");
}

#[tokio::test]
async fn answers_with_what_a_node_said() {
    let mode = json!({ "respond": "respond_node", "headers": { "x-a": "webhook", "x-b": "webhook" } });
    let said = |body: Value| {
        let headers = BTreeMap::from([("x-a".to_owned(), "node".to_owned()), ("bad\nname".to_owned(), "x".to_owned())]);
        Some(Answer::Responded(event::Response { status: 404, headers, body }))
    };
    let (status, headers, body) = sent(mode.clone(), said(json!("<p>no</p>"))).await;
    assert_eq!((status, body.as_str()), (404, "<p>no</p>"));
    assert_eq!((&headers["x-a"], &headers["x-b"]), (&HeaderValue::from_static("node"), &HeaderValue::from_static("webhook")));
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["content-security-policy"], "sandbox");
    let (_, headers, body) = sent(mode.clone(), said(json!({ "x": 1 }))).await;
    assert_eq!((headers["content-type"].to_str().unwrap(), body.as_str()), ("application/json", r#"{"x":1}"#));
    assert_eq!(sent(mode.clone(), said(Value::Null)).await.2, "");
    let (status, _, body) = sent(mode, ended(ExecutionStatus::Succeeded, &[])).await;
    assert!(status == 200 && body.contains("succeeded"), "no node has said anything: {body}");
}

#[tokio::test]
async fn says_where_to_look_when_the_time_is_up() {
    let (status, headers, body) = sent(json!({ "respond": "last_node" }), None).await;
    assert_eq!(status, 202);
    assert_eq!(headers["location"], "/api/v1/executions/exe_00000000000000000000000000000001");
    assert!(body.contains("running"));
}

#[test]
fn tells_the_caller_of_a_failed_execution_its_id_only() {
    for status in [ExecutionStatus::Failed, ExecutionStatus::Cancelled] {
        let error = answer(&params(json!({ "respond": "last_node" })), started(ended(status, &[]))).unwrap_err();
        assert_eq!((error.problem.status.as_u16(), error.problem.code), (500, "execution_failed"));
        assert_eq!(error.execution, Some(ExecutionId::from_uuid(Uuid::from_u128(1))));
        assert!(!error.detail.contains("hunter2"));
    }
}

#[test]
fn a_page_of_a_workflow_never_acts_as_one_of_the_server() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("script-src 'unsafe-inline'"));
    for cookie in ["theme=dark", "citadel_session=x; Path=/", "__Host-citadel_session=x", "basket=1"] {
        headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    keep_apart(&mut headers);
    let all = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(all(header::CONTENT_SECURITY_POLICY), ["script-src 'unsafe-inline'", PAGE_OF_NOBODY]);
    assert!(!PAGE_OF_NOBODY.contains("same-origin"));
    assert_eq!(all(header::SET_COOKIE), ["theme=dark", "basket=1"]);
}
