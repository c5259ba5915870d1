//! Runs one node with services of its own, without an engine.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, LazyLock},
};

use async_trait::async_trait;
use bytes::Bytes;
use citadel::{
    auth::egress::{EgressClient, EgressPolicy},
    clock,
    model::{
        definition::{NodeDefinition, OnError},
        error::{NodeError, codes},
        event::Attempt,
        ids::{ExecutionId, WorkspaceId},
        item::{BlobRef, Input, Item, Outputs},
    },
    nodes::{
        Outcome, Runner,
        context::{EffectContext, Log, Progress},
        registry::Registry,
        services::{Blobs, ChildRequest, Children, Credential, Credentials, Services},
    },
    runtimes::{
        javascript::{GuestSession, JavaScript},
        languages::{Language, Languages},
        sandbox::{Sandbox, SandboxConfig},
        scope::RunData,
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Compiling the sandbox takes seconds: all tests share one.
static JAVASCRIPT: LazyLock<Arc<JavaScript>> = LazyLock::new(|| {
    let cache_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sandbox-cache");
    let sandbox = Sandbox::new(&SandboxConfig { cache_dir, instances_max: 64 }).unwrap();
    Arc::new(JavaScript::new(sandbox).unwrap())
});

/// The services of a test, with one credential for every name.
pub(crate) struct Bench {
    services: Arc<Services>,
}

impl Bench {
    pub(crate) fn new(credential: Credential, allow: &[&str]) -> Self {
        let policy = EgressPolicy::new(allow, &[]).unwrap();
        let services = Services {
            egress: EgressClient::new(Arc::new(policy)).unwrap(),
            blobs: Arc::new(Nothing),
            files_root: None,
            sql: Arc::default(),
            languages: Arc::new(Languages::new([Arc::clone(&JAVASCRIPT) as Arc<dyn Language>])),
            javascript: Arc::clone(&JAVASCRIPT),
            credentials: Arc::new(One(credential)),
            children: Arc::new(Nothing),
        };
        Self { services: Arc::new(services) }
    }

    /// What an attempt of the node puts out over these items.
    pub(crate) async fn run(&self, node: &NodeDefinition, items: Value) -> Result<Value, NodeError> {
        let Value::Array(items) = items else { panic!("items are an array") };
        let prepared = Registry::builtin().prepare(node).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let Runner::Effect(runner) = prepared.runner else { panic!("not an effect node") };
        let ctx = EffectContext {
            execution: ExecutionId::from_uuid(clock::new_uuid()),
            workspace: WorkspaceId::DEFAULT,
            attempt: Attempt { node: Arc::clone(&node.id), run: 0, attempt: 1 },
            nesting: 0,
            trace: None,
            inputs: vec![Input { items: Arc::new(items.into_iter().map(Item::from_value).collect()), origins: Vec::new() }],
            outputs: Outputs::default(),
            data: Arc::new(RunData {
                execution: json!({}),
                workflow: json!({}),
                vars: json!({}),
                env: json!({}),
                timezone: "UTC".to_owned(),
            }),
            now_ms: clock::now_ms(),
            guest: GuestSession::new(Arc::clone(&JAVASCRIPT)),
            services: Arc::clone(&self.services),
            done: BTreeMap::new(),
            progress: Progress::new(|_, _| {}),
            log: Log::default(),
            credential: node.credential.clone(),
        };
        match runner.run(ctx).await? {
            Outcome::Done(ports) => Ok(ports[0].items.iter().map(|item| item.json.clone()).collect()),
            other => panic!("the node is not done: {other:?}"),
        }
    }
}

/// A node with a credential.
pub(crate) fn node(node_type: &str, params: Value) -> NodeDefinition {
    let Value::Object(params) = params else { panic!("params are an object") };
    NodeDefinition {
        id: "n".into(),
        node_type: node_type.to_owned(),
        name: None,
        params,
        credential: Some("secret".to_owned()),
        disabled: false,
        retry: None,
        timeout: None,
        on_error: OnError::Stop,
        notes: None,
        position: None,
        execute_once: false,
        always_output: false,
    }
}

struct One(Credential);

#[async_trait]
impl Credentials for One {
    async fn get(&self, _workspace: WorkspaceId, _name: &str) -> Result<Credential, NodeError> {
        Ok(self.0.clone())
    }
}

/// Neither blobs nor children: these tests need none.
struct Nothing;

#[async_trait]
impl Blobs for Nothing {
    async fn put(&self, _bytes: Bytes) -> Result<BlobRef, NodeError> {
        Err(NodeError::permanent(codes::BLOB_MISSING, "no blobs here"))
    }

    async fn get(&self, _blob: &BlobRef) -> Result<Bytes, NodeError> {
        Err(NodeError::permanent(codes::BLOB_MISSING, "no blobs here"))
    }
}

#[async_trait]
impl Children for Nothing {
    async fn start(&self, _child: ChildRequest) -> Result<ExecutionId, NodeError> {
        Ok(ExecutionId::from_uuid(Uuid::nil()))
    }
}
