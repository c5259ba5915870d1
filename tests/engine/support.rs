//! A running engine on a temporary directory.

use std::{sync::Arc, time::Duration};

use citadel::{
    actors::executions::{Answer, FinishedExecution, StartRequest, Started, Wait, WaitUntil},
    app::{self, RunningApp},
    clock,
    config::Config,
    model::{
        definition::parse::parse_value,
        execution::TriggerKind,
        ids::{WorkflowId, WorkspaceId},
        item::Item,
    },
    nodes::plan::CompiledWorkflow,
};
use serde_json::Value;

/// Longest time that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Engine {
    pub(crate) app: RunningApp,
    pub(crate) config: Config,
    _directory: Option<tempfile::TempDir>,
}

impl Engine {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts with some settings changed.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.use_throwaway_directory(directory.path());
        config.egress.allow = vec!["127.0.0.1".to_owned()];
        config.files.root = Some(directory.path().join("files"));
        std::fs::create_dir_all(directory.path().join("files")).unwrap();
        change(&mut config);
        let app = app::start(&config, |meltdown| panic!("the tree gave up: {meltdown:?}")).await.unwrap();
        Self { app, config, _directory: Some(directory) }
    }

    /// Stops the engine and starts it again on the same data.
    pub(crate) async fn restart(mut self) -> Self {
        let directory = self._directory.take();
        let config = self.config.clone();
        self.app.stop(Duration::from_secs(5)).await;
        let app = app::start(&config, |meltdown| panic!("the tree gave up: {meltdown:?}")).await.unwrap();
        Self { app, config, _directory: directory }
    }

    /// Stores a workflow and answers with its compiled first version.
    pub(crate) async fn workflow(&self, definition: Value) -> Arc<CompiledWorkflow> {
        let definition = parse_value(definition).unwrap();
        let created = self.app.workflows.create(WorkspaceId::DEFAULT, definition, None).await.unwrap();
        let id: WorkflowId = created.workflow.row.id;
        self.app.workflows.compiled(WorkspaceId::DEFAULT, id, 1).await.unwrap()
    }

    /// A manual start of a workflow.
    pub(crate) fn request(&self, workflow: &Arc<CompiledWorkflow>, input: Value) -> StartRequest {
        StartRequest {
            workspace: WorkspaceId::DEFAULT,
            workflow: Arc::clone(workflow),
            trigger: TriggerKind::Manual,
            start_node: None,
            items: Item::list_from_value(input),
            business_key: None,
            idempotency: None,
            wait: None,
            trace: None,
        }
    }

    pub(crate) async fn begin(&self, workflow: &Arc<CompiledWorkflow>, input: Value, wait: Option<Wait>) -> Started {
        self.app.executions.start(StartRequest { wait, ..self.request(workflow, input) }).await.unwrap()
    }

    /// Waits until the condition holds.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !holds() {
            assert!(std::time::Instant::now() < deadline, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Runs a workflow to its end.
    pub(crate) async fn run(&self, definition: Value, input: Value) -> FinishedExecution {
        let workflow = self.workflow(definition).await;
        let wait = Wait { until: WaitUntil::Finished, timeout: PATIENCE };
        match self.begin(&workflow, input, Some(wait)).await.answer {
            Some(Answer::Finished(finished)) => finished,
            other => panic!("not finished at {}: {other:?}", clock::now_ms()),
        }
    }
}

/// The JSON of every item.
pub(crate) fn json_of(items: &[Item]) -> Vec<Value> {
    items.iter().map(|item| item.json.clone()).collect()
}
