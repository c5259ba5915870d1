//! Runs one effect node on given items, with services that live in memory: what the tests of effect nodes stand on.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    EffectNode, Outcome, Runner, Woken,
    context::{EffectContext, Log, NodeContext, Progress},
    registry::Registry,
    services::{Blobs, ChildRequest, Children, Credential, Credentials, Services},
    testing::{NOW_MS, input, run_data},
};
use crate::{
    auth::egress::testing::client,
    model::{
        definition::NodeDefinition,
        error::{NodeError, codes},
        event::Attempt,
        ids::{ExecutionId, WorkspaceId},
        item::{BlobRef, Item, Outputs, PortItems},
    },
    runtimes::{
        javascript::{GuestSession, JavaScript},
        languages::Languages,
    },
};

/// Everything around a node. May reach the loopback interface.
pub(crate) struct Bench {
    pub(crate) services: Services,
    pub(crate) blobs: Arc<MemoryBlobs>,
    pub(crate) children: Arc<FakeChildren>,
    /// What attempts reported as done.
    pub(crate) progress: Arc<Mutex<BTreeMap<u32, Item>>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let blobs = Arc::new(MemoryBlobs::default());
        let children = Arc::new(FakeChildren::default());
        let services = Services {
            egress: client(&["127.0.0.1"]),
            blobs: Arc::clone(&blobs) as Arc<dyn Blobs>,
            files_root: None,
            sql: Arc::default(),
            javascript: JavaScript::for_tests(),
            languages: Languages::for_tests(),
            credentials: Arc::new(FixedCredentials::default()),
            children: Arc::clone(&children) as Arc<dyn Children>,
        };
        Self { services, blobs, children, progress: Arc::default() }
    }

    /// Lets file nodes use this directory.
    pub(crate) fn with_files(mut self, root: &Path) -> Self {
        self.services.files_root = Some(root.to_owned());
        self
    }

    /// Lets nothing out at all.
    pub(crate) fn without_egress(mut self) -> Self {
        self.services.egress = client(&[]);
        self
    }

    /// Has one credential, under the name `secret`.
    pub(crate) fn with_credential(mut self, kind: &str, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned().into())).collect();
        let credential = Credential { kind: kind.to_owned(), fields };
        self.services.credentials = Arc::new(FixedCredentials(BTreeMap::from([("secret".to_owned(), credential)])));
        self
    }

    /// The context of an attempt. Items that earlier attempts reported are in `done`.
    pub(crate) fn context(&self, node: &NodeDefinition, items: Value) -> EffectContext {
        let progress = Arc::clone(&self.progress);
        EffectContext {
            execution: ExecutionId::from_uuid(Uuid::from_u128(1)),
            workspace: WorkspaceId::DEFAULT,
            attempt: Attempt { node: Arc::clone(&node.id), run: 0, attempt: 1 },
            nesting: 0,
            trace: None,
            inputs: vec![input(0, items)],
            outputs: Outputs::default(),
            data: Arc::new(run_data()),
            now_ms: NOW_MS,
            guest: GuestSession::new(JavaScript::for_tests()),
            services: Arc::new(self.services.clone()),
            done: self.progress.lock().unwrap().clone(),
            progress: Progress::new(move |index, item| drop(progress.lock().unwrap().insert(index, item))),
            log: Log::default(),
            credential: node.credential.clone(),
        }
    }

    /// What one attempt ends with.
    pub(crate) async fn outcome(&self, node: &NodeDefinition, items: Value) -> Result<Outcome, NodeError> {
        runner(node).run(self.context(node, items)).await
    }

    /// The items that one attempt puts out.
    pub(crate) async fn run(&self, node: &NodeDefinition, items: Value) -> Result<Vec<Item>, NodeError> {
        match self.outcome(node, items).await? {
            Outcome::Done(ports) => Ok(main_items(&ports)),
            other => panic!("the node is not done: {other:?}"),
        }
    }

    /// As [`Bench::run`], the JSON of the items.
    pub(crate) async fn run_json(&self, node: &NodeDefinition, items: Value) -> Result<Value, NodeError> {
        Ok(self.run(node, items).await?.into_iter().map(|item| item.json).collect())
    }

    /// What a waiting node puts out when it is woken.
    pub(crate) fn resume(&self, node: &NodeDefinition, items: Value, woken: &Woken) -> Result<Vec<Item>, NodeError> {
        let mut ctx = self.context(node, items);
        let mut pure: NodeContext<'_> = ctx.pure();
        runner(node).resume(&mut pure, woken).map(|ports| main_items(&ports))
    }
}

/// Makes a node ready.
#[track_caller]
pub(crate) fn runner(node: &NodeDefinition) -> Arc<dyn EffectNode> {
    let prepared = Registry::builtin().prepare(node).unwrap_or_else(|problems| panic!("{problems:#?}"));
    match prepared.runner {
        Runner::Effect(runner) => runner,
        Runner::Engine | Runner::Pure(_) => panic!("not an effect node"),
    }
}

fn main_items(ports: &[PortItems]) -> Vec<Item> {
    let [PortItems { port, items }] = ports else { panic!("one port, not {ports:?}") };
    assert_eq!(port, "main");
    items.to_vec()
}

/// A blob store in memory.
#[derive(Default)]
pub(crate) struct MemoryBlobs(Mutex<BTreeMap<String, Bytes>>);

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put(&self, bytes: Bytes) -> Result<BlobRef, NodeError> {
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let size_bytes = bytes.len() as u64;
        self.0.lock().unwrap().insert(hash.clone(), bytes);
        Ok(BlobRef { hash, size_bytes, media_type: None, file_name: None })
    }

    async fn get(&self, blob: &BlobRef) -> Result<Bytes, NodeError> {
        let found = self.0.lock().unwrap().get(&blob.hash).cloned();
        found.ok_or_else(|| NodeError::permanent(codes::BLOB_MISSING, "no such blob"))
    }
}

#[derive(Default)]
struct FixedCredentials(BTreeMap<String, Credential>);

#[async_trait]
impl Credentials for FixedCredentials {
    async fn get(&self, _workspace: WorkspaceId, name: &str) -> Result<Credential, NodeError> {
        self.0.get(name).cloned().ok_or_else(|| NodeError::permanent(codes::INVALID_PARAMETER, "no such credential"))
    }
}

/// Remembers the children that were asked for.
#[derive(Default)]
pub(crate) struct FakeChildren(Mutex<Vec<ChildRequest>>);

impl FakeChildren {
    pub(crate) fn started(&self) -> Vec<ChildRequest> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Children for FakeChildren {
    async fn start(&self, child: ChildRequest) -> Result<ExecutionId, NodeError> {
        let mut started = self.0.lock().unwrap();
        started.push(child);
        Ok(ExecutionId::from_uuid(Uuid::from_u128(started.len() as u128)))
    }
}
