//! That every way to be refused is told, and to whom it happened.

use std::sync::{Arc, Mutex};

use axum::{Router, response::Redirect, routing::get};

use super::{
    header::HeaderMap,
    testing::{FakeLookup, TestServer},
    *,
};
use crate::model::{
    audit::Origin,
    ids::{ExecutionId, WorkspaceId},
};

/// Remembers whose refusal it was, the host and the reason.
#[derive(Default)]
struct Notes(Mutex<Vec<(Option<OnBehalf>, String)>>);

impl DenialWatch for Notes {
    fn denied(&self, on_behalf: Option<&OnBehalf>, denied: &EgressDenied) {
        let told = format!("{} {}", denied.host().unwrap_or("-"), denied.reason());
        self.0.lock().unwrap().push((on_behalf.cloned(), told));
    }
}

impl Notes {
    fn take(&self) -> Vec<(Option<OnBehalf>, String)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn watched(allow: &[&str], lookup: Arc<dyn Lookup>) -> (EgressClient, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let policy = EgressPolicy::new(allow, &["denied.test"]).unwrap();
    let client = EgressClient::with_lookup(Arc::new(policy), lookup).unwrap();
    (client.watched(Arc::clone(&notes) as _), notes)
}

fn request(url: &str) -> EgressRequest {
    EgressRequest {
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        timeout: std::time::Duration::from_secs(5),
        follow_redirects: true,
    }
}

#[tokio::test]
async fn every_refusal_is_told_once() {
    let router = Router::new()
        .route("/literal", get(async || Redirect::temporary("http://10.0.0.1/")))
        .route("/name", get(async || Redirect::temporary("http://inner.test/")));
    let server = TestServer::start(router).await;
    let (client, notes) = watched(&["127.0.0.1"], FakeLookup::new("inner.test", &[&["192.168.0.1"]]));
    for (url, told) in [
        ("http://10.0.0.1/".to_owned(), "10.0.0.1 private"),
        ("http://[::ffff:10.0.0.1]/".to_owned(), "::ffff:a00:1 IPv4-mapped"),
        ("http://denied.test/".to_owned(), "denied.test denied host"),
        ("http://inner.test/".to_owned(), "inner.test private"),
        ("ftp://a.test/".to_owned(), "- scheme"),
        (server.url("/literal"), "10.0.0.1 private"),
        (server.url("/name"), "inner.test private"),
    ] {
        assert!(matches!(client.send(request(&url)).await, Err(EgressError::Denied(_))), "{url}");
        let notes: Vec<String> = notes.take().into_iter().map(|(_, told)| told).collect();
        assert_eq!(notes, [told], "{url}");
    }
    for (host, told) in [("169.254.169.254", "169.254.169.254 cloud metadata"), ("inner.test", "inner.test private")] {
        assert!(matches!(client.resolve(host, 5432).await, Err(EgressError::Denied(_))), "{host}");
        assert_eq!(notes.take().into_iter().map(|(_, told)| told).collect::<Vec<_>>(), [told]);
    }
    assert!(client.send(request(&server.url("/nowhere"))).await.is_ok());
    assert!(notes.take().is_empty(), "what is answered is not told");
}

#[tokio::test]
async fn says_on_whose_behalf_it_was() {
    let (client, notes) = watched(&[], FakeLookup::new("inner.test", &[&["10.0.0.1"]]));
    let execution = ExecutionId::from_uuid(uuid::Uuid::from_u128(7));
    let of = OnBehalf { node: "call".into(), ..Origin::execution(WorkspaceId::DEFAULT, execution).into() };
    client.on_behalf(of.clone()).resolve("inner.test", 80).await.unwrap_err();
    client.resolve("inner.test", 80).await.unwrap_err();
    let whose: Vec<Option<OnBehalf>> = notes.take().into_iter().map(|(whose, _)| whose).collect();
    assert_eq!(whose, [Some(of), None]);
}

#[tokio::test]
async fn a_connection_of_the_old_lists_is_not_used_under_the_new_ones() {
    let server = TestServer::start(Router::new().route("/", get(async || "hello"))).await;
    let (client, _) = watched(&["127.0.0.1"], FakeLookup::new("kept.test", &[&["127.0.0.1"]]));
    let clone = client.on_behalf(Origin::system(WorkspaceId::DEFAULT).into());
    let url = format!("http://kept.test:{}/", server.address.port());
    for _ in 0..2 {
        assert_eq!(clone.send(request(&url)).await.unwrap().read(10).await.unwrap(), "hello");
    }
    assert!(client.set_lists(&["no rule!"], &[]).is_err());
    assert!(clone.send(request(&url)).await.is_ok(), "lists that cannot be read change nothing");
    client.set_lists::<&str>(&[], &[]).unwrap();
    let refused = clone.send(request(&url)).await;
    assert!(matches!(refused, Err(EgressError::Denied(_))), "{refused:?}");
}
