//! Keeps the secrets of a node's credential out of everything that its run leaves behind: items, answers, failures, console lines, and
//! texts in the blob store. It hands the credential to the node itself, so it knows exactly what must not come back. What an echoing
//! service returns, or code prints, shows a mask from then on: in the journal, in events, and to later nodes.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use zeroize::Zeroizing;

use crate::{
    auth::redaction::Redactor,
    model::{
        error::NodeError,
        event::{Response, Wait},
        ids::WorkspaceId,
        item::{BlobRef, Item, PortItems},
        log::RunLog,
    },
    nodes::{
        Outcome,
        credential_types::secret_values,
        services::{Blobs, Credential, Credentials, Services},
    },
};

/// The secrets that one attempt was given.
pub(super) struct Secrecy {
    credentials: Arc<dyn Credentials>,
    blobs: Arc<dyn Blobs>,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    values: Vec<Zeroizing<String>>,
    redactor: Redactor,
}

impl Secrecy {
    /// The same services, with credentials and blobs that pass through here.
    pub(super) fn around(services: &Services) -> (Services, Arc<Self>) {
        let secrecy = Arc::new(Self {
            credentials: Arc::clone(&services.credentials),
            blobs: Arc::clone(&services.blobs),
            given: Mutex::default(),
        });
        let around = Services {
            credentials: Arc::clone(&secrecy) as Arc<dyn Credentials>,
            blobs: Arc::clone(&secrecy) as Arc<dyn Blobs>,
            ..services.clone()
        };
        (around, secrecy)
    }

    fn redactor(&self) -> Redactor {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).redactor.clone()
    }

    /// How the attempt ended, without the secrets.
    pub(super) fn result(&self, result: Result<Outcome, NodeError>) -> Result<Outcome, NodeError> {
        let redactor = self.redactor();
        if redactor.is_idle() {
            return result;
        }
        result.map(|outcome| outcome_without(outcome, &redactor)).map_err(|error| error_without(error, &redactor))
    }

    /// An item that is done, without the secrets.
    pub(super) fn item(&self, mut item: Item) -> Item {
        redact_item(&mut item, &self.redactor());
        item
    }

    /// What was written on the console, without the secrets.
    pub(super) fn log(&self, log: Option<RunLog>) -> Option<RunLog> {
        let redactor = self.redactor();
        log.map(|mut log| {
            log.lines.iter_mut().for_each(|line| redactor.redact(&mut line.text));
            log
        })
    }
}

#[async_trait]
impl Credentials for Secrecy {
    async fn get(&self, workspace: WorkspaceId, name: &str) -> Result<Credential, NodeError> {
        let credential = self.credentials.get(workspace, name).await?;
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.values.extend(secret_values(&credential));
        given.redactor = Redactor::shared(&given.values.iter().map(|value| value.as_str()).collect::<Vec<_>>());
        Ok(credential)
    }
}

#[async_trait]
impl Blobs for Secrecy {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, NodeError> {
        let redactor = self.redactor();
        // What is no text is left alone: a mask would damage it.
        let redacted = match std::str::from_utf8(&bytes) {
            Ok(text) if redactor.finds(text) => Some(redactor.text(text).into_owned()),
            Ok(_) | Err(_) => None,
        };
        self.blobs.put(redacted.map_or(bytes, Bytes::from)).await
    }

    async fn get(&self, blob: &BlobRef) -> Result<Bytes, NodeError> {
        self.blobs.get(blob).await
    }
}

fn outcome_without(outcome: Outcome, redactor: &Redactor) -> Outcome {
    let ports = |ports: Vec<PortItems>| ports.into_iter().map(|port| port_without(port, redactor)).collect();
    match outcome {
        Outcome::Done(outputs) => Outcome::Done(ports(outputs)),
        Outcome::Respond(outputs, Response { status, headers, mut body }) => {
            redactor.redact_value(&mut body);
            let headers = headers.into_iter().map(|(name, value)| (name, redactor.text(&value).into_owned())).collect();
            Outcome::Respond(ports(outputs), Response { status, headers, body })
        }
        Outcome::Wait(Wait { until, signals, mut state }) => {
            redactor.redact_value(&mut state);
            Outcome::Wait(Wait { until, signals, state })
        }
    }
}

fn port_without(mut port: PortItems, redactor: &Redactor) -> PortItems {
    let has_secret = |item: &Item| redactor.finds_in(&item.json) || item.binary.is_some();
    // Items are shared: only those are copied that have to change.
    if port.items.iter().any(has_secret) {
        let mut items = Arc::unwrap_or_clone(port.items);
        items.iter_mut().for_each(|item| redact_item(item, redactor));
        port.items = Arc::new(items);
    }
    port
}

fn redact_item(item: &mut Item, redactor: &Redactor) {
    redactor.redact_value(&mut item.json);
    for blob in item.binary.iter_mut().flat_map(|binary| binary.values_mut()) {
        for text in [&mut blob.media_type, &mut blob.file_name].into_iter().flatten() {
            redactor.redact(text);
        }
    }
}

fn error_without(mut error: NodeError, redactor: &Redactor) -> NodeError {
    redactor.redact(&mut error.message);
    if let Some(details) = &mut error.details {
        redactor.redact_value(details);
    }
    error
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{
            error::codes,
            log::{LogLevel, LogLine},
        },
        nodes::effect_testing::Bench,
    };

    /// Services whose one credential has been handed out.
    async fn given() -> (Services, Arc<Secrecy>) {
        let bench = Bench::new().with_credential("http_basic", &[("username", "user"), ("password", "hunter22")]);
        let (services, secrecy) = Secrecy::around(&bench.services);
        services.credentials.get(WorkspaceId::DEFAULT, "secret").await.unwrap();
        (services, secrecy)
    }

    fn echo() -> Value {
        json!({ "headers": { "authorization": "Basic dXNlcjpodW50ZXIyMg==" }, "list": ["hunter22!"], "user": "user" })
    }

    fn masked() -> Value {
        json!({ "headers": { "authorization": "Basic [secret]" }, "list": ["[secret]!"], "user": "user" })
    }

    #[tokio::test]
    async fn nothing_that_a_run_leaves_behind_has_the_secret() {
        let (services, secrecy) = given().await;
        let items = vec![Item::from_value(json!({ "n": 1 })), Item::from_value(echo())];
        let Ok(Outcome::Done(ports)) = secrecy.result(Ok(Outcome::Done(PortItems::main(items)))) else { panic!() };
        assert_eq!(ports[0].items.iter().map(|item| item.json.clone()).collect::<Vec<_>>(), [json!({ "n": 1 }), masked()]);

        let response = Response { status: 200, headers: [("x".into(), "hunter22".into())].into(), body: echo() };
        let Ok(Outcome::Respond(_, response)) = secrecy.result(Ok(Outcome::Respond(Vec::new(), response))) else { panic!() };
        assert_eq!((&*response.headers["x"], &response.body), ("[secret]", &masked()));

        let error = NodeError::permanent(codes::HTTP_STATUS, "said hunter22").with_details(echo());
        let Err(error) = secrecy.result(Err(error)) else { panic!() };
        assert_eq!((&*error.message, error.details), ("said [secret]", Some(masked())));

        assert_eq!(secrecy.item(Item::from_value(echo())).json, masked());
        let line = LogLine { at: 1, level: LogLevel::Info, text: "got hunter22".to_owned() };
        let log = secrecy.log(Some(RunLog { lines: vec![line], ..RunLog::default() })).unwrap();
        assert_eq!(log.lines[0].text, "got [secret]");

        let text = services.blobs.put(Bytes::from_static(b"a hunter22 b")).await.unwrap();
        assert_eq!(services.blobs.get(&text).await.unwrap(), Bytes::from_static(b"a [secret] b"));
        let binary = Bytes::from_static(b"\xffhunter22");
        let blob = services.blobs.put(binary.clone()).await.unwrap();
        assert_eq!(services.blobs.get(&blob).await.unwrap(), binary);
    }

    #[tokio::test]
    async fn a_node_that_asked_for_nothing_is_left_alone() {
        let (_, secrecy) = Secrecy::around(&Bench::new().services);
        let items = Arc::new(vec![Item::from_value(echo())]);
        let outcome = Outcome::Done(vec![PortItems { port: crate::model::item::MAIN, items: Arc::clone(&items) }]);
        let Ok(Outcome::Done(ports)) = secrecy.result(Ok(outcome)) else { panic!() };
        assert!(Arc::ptr_eq(&ports[0].items, &items), "not even copied");
    }
}
