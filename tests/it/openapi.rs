//! The OpenAPI document: as it is committed, printed and served, and the page that shows it.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{TestApp, citadel};

#[test]
fn the_committed_document_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let committed = fs::read_to_string(path).unwrap_or_default();
    let printed = citadel().arg("openapi").output().unwrap();
    assert!(printed.status.success());
    assert!(committed.as_bytes() == printed.stdout, "openapi.json is outdated: cargo run -- openapi > openapi.json");
    assert!(committed.ends_with("}\n") && serde_json::from_str::<Value>(&committed).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_the_document_and_a_page_of_it_to_everybody() {
    let app = TestApp::start().await;
    let anybody = app.client.anonymous();
    let served = anybody.get("/openapi.json").await;
    assert_eq!((served.status, served.header("content-type")), (200, "application/json"));
    assert_eq!(served.body, serde_json::from_str::<Value>(&citadel::http::openapi_document()).unwrap());

    let page = anybody.get("/api/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    let text = page.body.as_str().unwrap();
    assert!(text.contains(r#"<base href="/api/docs/" />"#) && !text.contains("//cdn"));
    for name in text.split('"').filter_map(|part| part.strip_prefix("./")) {
        let file = anybody.get(&format!("/api/docs/{name}")).await;
        assert_eq!(file.status, 200, "{name}");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(anybody.get("/api/docs/").await.body, page.body);
    let settings = anybody.get("/api/docs/swagger-initializer.js").await;
    assert!(settings.body.as_str().unwrap().contains(r#""url": "/api/v1/openapi.json""#), "{settings:?}");
    anybody.get("/api/docs/nothing.js").await.assert_problem(404, "not_found");
    app.stop().await;
}
