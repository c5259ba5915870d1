//! The reference: what each method of [`Store`] means, in plain maps under one lock. The SQL backends must agree with it, which
//! `tests/store` checks. Serves tests and `sqlite::memory:`; nothing in it outlives the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;

use self::{batches::StoredBatch, executions::StoredExecution, journal::StoredKey, shards::Shard};
use super::{
    Activation, Append, AppendOutcome, BatchCursor, BatchProgress, BatchRow, ConnectionPool, DeleteVariable, DueExecution,
    ExclusiveOutcome, ExecutionCursor, ExecutionFilter, ExecutionRow, FireOutcome, FireSchedule, HookRow, IdempotencyKey,
    InboxRow, InsertBatch, InsertSchedule, InsertVariable, JournalRow, KeyedOutcome, MoveSchedule, NewBatch, NewSchedule,
    NewVariable, NewVersion, NewWorkflow, OnTaken, PageRequest, Payload, Publication, PutInbox, Result, ScheduleContent,
    ScheduleCursor, ScheduleRow, ShardLease, Snapshot, Store, TagCount, TokenKind, TokenRow, UpdateSchedule, UpdateVariable,
    UpdateWorkflow, UserRow, VariableChange, VariableRow, VersionRow, VersionSummary, WorkflowCursor, WorkflowFilter,
    WorkflowRow,
};
use crate::{
    clock,
    model::{
        ids::{BatchId, ExecutionId, InboxId, NodeInstanceId, SHARD_COUNT, ScheduleId, TokenId, UserId, WorkflowId, WorkspaceId},
        schedule::Tick,
    },
};

mod accounts;
mod batches;
mod executions;
mod inbox;
mod journal;
mod schedules;
mod shards;
mod variables;
mod workflows;

/// A store that lives in memory.
pub struct MemoryStore {
    state: Mutex<State>,
}

/// Everything that the store holds. Each method of the trait is one method of this, so it is atomic by the lock.
struct State {
    workspaces: BTreeSet<WorkspaceId>,
    shards: Vec<Shard>,
    executions: BTreeMap<ExecutionId, StoredExecution>,
    journal: BTreeMap<(ExecutionId, u32), JournalRow>,
    snapshots: BTreeMap<ExecutionId, Snapshot>,
    inbox: BTreeMap<(ExecutionId, InboxId), InboxRow>,
    /// By workspace, scope and key.
    keys: BTreeMap<(WorkspaceId, String, String), StoredKey>,
    batches: BTreeMap<BatchId, StoredBatch>,
    workflows: BTreeMap<WorkflowId, WorkflowRow>,
    versions: BTreeMap<(WorkflowId, u32), VersionRow>,
    /// By path and method.
    hooks: BTreeMap<(String, String), HookRow>,
    schedules: BTreeMap<ScheduleId, ScheduleRow>,
    /// Grows with everything that is published or taken down.
    publications: u64,
    /// Processes that live, each until a time.
    nodes: BTreeMap<NodeInstanceId, u64>,
    /// Of the latest versions: workspace, tag, workflow.
    tags: BTreeSet<(WorkspaceId, String, WorkflowId)>,
    variables: BTreeMap<(WorkspaceId, String), VariableRow>,
    users: BTreeMap<UserId, UserRow>,
    tokens: BTreeMap<TokenId, TokenRow>,
}

impl MemoryStore {
    /// An empty store with the default workspace.
    pub fn new() -> Self {
        let state = State {
            workspaces: BTreeSet::from([WorkspaceId::DEFAULT]),
            shards: vec![Shard::default(); usize::from(SHARD_COUNT)],
            executions: BTreeMap::new(),
            journal: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            inbox: BTreeMap::new(),
            keys: BTreeMap::new(),
            batches: BTreeMap::new(),
            workflows: BTreeMap::new(),
            versions: BTreeMap::new(),
            hooks: BTreeMap::new(),
            schedules: BTreeMap::new(),
            publications: 0,
            nodes: BTreeMap::new(),
            tags: BTreeSet::new(),
            variables: BTreeMap::new(),
            users: BTreeMap::new(),
            tokens: BTreeMap::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// A panic under the lock leaves a half-written state, so nobody may go on after one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no operation of the store panics")
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn connections(&self) -> Vec<ConnectionPool> {
        Vec::new()
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {}

    async fn append_batch(&self, batch: &[Append]) -> Result<Vec<AppendOutcome>> {
        self.state().append_batch(batch)
    }

    async fn create_keyed(&self, append: &Append, key: &IdempotencyKey) -> Result<KeyedOutcome> {
        self.state().create_keyed(append, key)
    }

    async fn create_queued(&self, append: &Append, schedule: Option<ScheduleId>) -> Result<bool> {
        self.state().create_queued(append, schedule)
    }

    async fn create_exclusive(
        &self,
        append: &Append,
        key: Option<&IdempotencyKey>,
        on_taken: OnTaken,
    ) -> Result<ExclusiveOutcome> {
        self.state().create_exclusive(append, key, on_taken)
    }

    async fn load_journal(&self, execution: ExecutionId, from_seq: u32, limit: u32) -> Result<Vec<JournalRow>> {
        Ok(self.state().load_journal(execution, from_seq, limit))
    }

    async fn find_journal_epoch(&self, execution: ExecutionId, seq: u32) -> Result<Option<i64>> {
        Ok(self.state().find_journal_epoch(execution, seq))
    }

    async fn find_snapshot(&self, execution: ExecutionId) -> Result<Option<Snapshot>> {
        Ok(self.state().snapshots.get(&execution).cloned())
    }

    async fn find_execution(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<Option<ExecutionRow>> {
        Ok(self.state().find_execution(workspace, id))
    }

    async fn get_execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>> {
        Ok(self.state().get_execution(id))
    }

    async fn list_executions(
        &self,
        workspace: WorkspaceId,
        filter: &ExecutionFilter,
        page: &PageRequest<ExecutionCursor>,
    ) -> Result<Vec<ExecutionRow>> {
        Ok(self.state().list_executions(workspace, filter, page))
    }

    async fn list_live(&self, shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Result<Vec<ExecutionId>> {
        Ok(self.state().list_live(shards, after, limit))
    }

    async fn list_queued(&self, shards: &[u16], limit: u32) -> Result<Vec<ExecutionId>> {
        Ok(self.state().list_queued(shards, limit))
    }

    async fn list_due(&self, shards: &[u16], until_ms: u64, limit: u32) -> Result<Vec<DueExecution>> {
        Ok(self.state().list_due(shards, until_ms, limit))
    }

    async fn record_activation(&self, id: ExecutionId, seq: u32) -> Result<u32> {
        Ok(self.state().record_activation(id, seq))
    }

    async fn clear_activations(&self, id: ExecutionId, seq: u32, count: u32) -> Result<bool> {
        Ok(self.state().clear_activations(id, seq, count))
    }

    async fn delete_execution(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<bool> {
        Ok(self.state().delete_execution(workspace, id))
    }

    async fn prune(&self, now_ms: u64, limit: u32) -> Result<u64> {
        Ok(self.state().prune(now_ms, limit))
    }

    async fn put_inbox(&self, row: &InboxRow) -> Result<PutInbox> {
        Ok(self.state().put_inbox(row))
    }

    async fn list_inbox(&self, execution: ExecutionId, limit: u32) -> Result<Vec<InboxRow>> {
        Ok(self.state().list_inbox(execution, limit))
    }

    async fn list_inbox_owners(&self, shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Result<Vec<ExecutionId>> {
        Ok(self.state().list_inbox_owners(shards, after, limit))
    }

    async fn delete_inbox(&self, execution: ExecutionId, id: InboxId) -> Result<bool> {
        Ok(self.state().delete_inbox(execution, id))
    }

    async fn take_shards(&self, owner: NodeInstanceId, shards: &[u16], lease_ms: u64) -> Result<Vec<ShardLease>> {
        Ok(self.state().take_shards(owner, shards, lease_ms, clock::now_ms()))
    }

    async fn renew_shards(&self, owner: NodeInstanceId, lease_ms: u64) -> Result<Vec<ShardLease>> {
        Ok(self.state().renew_shards(owner, lease_ms, clock::now_ms()))
    }

    async fn release_shards(&self, owner: NodeInstanceId) -> Result<u64> {
        Ok(self.state().release_shards(owner))
    }

    async fn hand_over_shards(&self, owner: NodeInstanceId, shards: &[u16]) -> Result<u64> {
        Ok(self.state().hand_over_shards(owner, shards))
    }

    async fn announce_node(&self, node: NodeInstanceId, lease_ms: u64) -> Result<Vec<NodeInstanceId>> {
        Ok(self.state().announce_node(node, lease_ms, clock::now_ms()))
    }

    async fn insert_batch(&self, batch: &NewBatch, open_max: u32, ended_before: u64) -> Result<InsertBatch> {
        Ok(self.state().insert_batch(batch, open_max, ended_before))
    }

    async fn find_batch(&self, workspace: WorkspaceId, id: BatchId) -> Result<Option<BatchRow>> {
        Ok(self.state().find_batch(workspace, id))
    }

    async fn get_batch_body(&self, id: BatchId) -> Result<Option<Payload>> {
        Ok(self.state().get_batch_body(id))
    }

    async fn list_batches(&self, workspace: WorkspaceId, page: &PageRequest<BatchCursor>) -> Result<Vec<BatchRow>> {
        Ok(self.state().list_batches(workspace, page))
    }

    async fn list_open_batches(&self, limit: u32) -> Result<Vec<BatchRow>> {
        Ok(self.state().list_open_batches(limit))
    }

    async fn advance_batch(&self, id: BatchId, done: u32, progress: &BatchProgress) -> Result<bool> {
        Ok(self.state().advance_batch(id, done, progress))
    }

    async fn cancel_batch(&self, workspace: WorkspaceId, id: BatchId, now_ms: u64) -> Result<bool> {
        Ok(self.state().cancel_batch(workspace, id, now_ms))
    }

    async fn insert_workflow(&self, workflow: &NewWorkflow) -> Result<WorkflowRow> {
        self.state().insert_workflow(workflow)
    }

    async fn update_workflow(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        expected_version: u32,
        version: &NewVersion,
    ) -> Result<UpdateWorkflow> {
        Ok(self.state().update_workflow(workspace, id, expected_version, version))
    }

    async fn find_workflow(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<Option<WorkflowRow>> {
        Ok(self.state().find_workflow(workspace, id))
    }

    async fn list_workflows(
        &self,
        workspace: WorkspaceId,
        filter: &WorkflowFilter,
        page: &PageRequest<WorkflowCursor>,
    ) -> Result<Vec<WorkflowRow>> {
        Ok(self.state().list_workflows(workspace, filter, page))
    }

    async fn list_tags(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Result<Vec<TagCount>> {
        Ok(self.state().list_tags(workspace, after, limit))
    }

    async fn delete_workflow(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<bool> {
        Ok(self.state().delete_workflow(workspace, id))
    }

    async fn find_workflow_version(&self, workspace: WorkspaceId, id: WorkflowId, version: u32) -> Result<Option<VersionRow>> {
        Ok(self.state().find_workflow_version(workspace, id, version))
    }

    async fn list_workflow_versions(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        below: Option<u32>,
        limit: u32,
    ) -> Result<Vec<VersionSummary>> {
        Ok(self.state().list_workflow_versions(workspace, id, below, limit))
    }

    async fn activate_workflow(&self, workspace: WorkspaceId, id: WorkflowId, publication: &Publication) -> Result<Activation> {
        self.state().activate_workflow(workspace, id, publication)
    }

    async fn deactivate_workflow(&self, workspace: WorkspaceId, id: WorkflowId, now_ms: u64) -> Result<bool> {
        Ok(self.state().deactivate_workflow(workspace, id, now_ms))
    }

    async fn publication_rev(&self) -> Result<u64> {
        Ok(self.state().publications)
    }

    async fn list_hooks(&self, limit: u32) -> Result<Vec<HookRow>> {
        Ok(self.state().list_hooks(limit))
    }

    async fn insert_schedule(&self, schedule: &NewSchedule, schedules_max: u32) -> Result<InsertSchedule> {
        self.state().insert_schedule(schedule, schedules_max)
    }

    async fn update_schedule(
        &self,
        workspace: WorkspaceId,
        id: ScheduleId,
        expected_rev: u32,
        content: &ScheduleContent,
        now_ms: u64,
    ) -> Result<UpdateSchedule> {
        Ok(self.state().update_schedule(workspace, id, expected_rev, content, now_ms))
    }

    async fn pause_schedule(&self, workspace: WorkspaceId, id: ScheduleId, now_ms: u64) -> Result<Option<ScheduleRow>> {
        Ok(self.state().pause_schedule(workspace, id, now_ms))
    }

    async fn resume_schedule(
        &self,
        workspace: WorkspaceId,
        id: ScheduleId,
        expected_rev: u32,
        next: Option<Tick>,
        now_ms: u64,
    ) -> Result<UpdateSchedule> {
        Ok(self.state().resume_schedule(workspace, id, expected_rev, next, now_ms))
    }

    async fn delete_schedule(&self, workspace: WorkspaceId, id: ScheduleId) -> Result<bool> {
        Ok(self.state().delete_schedule(workspace, id))
    }

    async fn find_schedule(&self, workspace: WorkspaceId, id: ScheduleId) -> Result<Option<ScheduleRow>> {
        Ok(self.state().find_schedule(workspace, id))
    }

    async fn list_schedules(
        &self,
        workspace: WorkspaceId,
        workflow: Option<WorkflowId>,
        page: &PageRequest<ScheduleCursor>,
    ) -> Result<Vec<ScheduleRow>> {
        Ok(self.state().list_schedules(workspace, workflow, page))
    }

    async fn due_schedules(&self, until_ms: u64, limit: u32) -> Result<Vec<ScheduleRow>> {
        Ok(self.state().due_schedules(until_ms, limit))
    }

    async fn move_schedule(&self, step: &MoveSchedule) -> Result<bool> {
        Ok(self.state().move_schedule(step))
    }

    async fn fire_schedule(&self, fire: &FireSchedule) -> Result<FireOutcome> {
        self.state().fire_schedule(fire)
    }

    async fn list_live_of_schedule(&self, id: ScheduleId, limit: u32) -> Result<Vec<ExecutionId>> {
        Ok(self.state().list_live_of_schedule(id, limit))
    }

    async fn insert_variable(&self, variable: &NewVariable) -> Result<InsertVariable> {
        self.state().insert_variable(variable)
    }

    async fn update_variable(
        &self,
        workspace: WorkspaceId,
        name: &str,
        expected_version: Option<u32>,
        change: &VariableChange,
    ) -> Result<UpdateVariable> {
        Ok(self.state().update_variable(workspace, name, expected_version, change))
    }

    async fn delete_variable(&self, workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> Result<DeleteVariable> {
        Ok(self.state().delete_variable(workspace, name, expected_version))
    }

    async fn find_variable(&self, workspace: WorkspaceId, name: &str) -> Result<Option<VariableRow>> {
        Ok(self.state().find_variable(workspace, name))
    }

    async fn list_variables(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Result<Vec<VariableRow>> {
        Ok(self.state().list_variables(workspace, after, limit))
    }

    async fn insert_first_user(&self, user: &UserRow) -> Result<bool> {
        self.state().insert_first_user(user)
    }

    async fn find_user_by_email(&self, email: &str) -> Result<Option<UserRow>> {
        Ok(self.state().find_user_by_email(email))
    }

    async fn find_user(&self, id: UserId) -> Result<Option<UserRow>> {
        Ok(self.state().find_user(id))
    }

    async fn insert_token(&self, token: &TokenRow) -> Result<()> {
        self.state().insert_token(token)
    }

    async fn find_token(&self, hash: &[u8; 32]) -> Result<Option<TokenRow>> {
        Ok(self.state().find_token(hash))
    }

    async fn has_token(&self, kind: TokenKind) -> Result<bool> {
        Ok(self.state().has_token(kind))
    }

    async fn delete_token(&self, id: TokenId) -> Result<bool> {
        Ok(self.state().delete_token(id))
    }
}

/// A limit as a number of elements.
fn take(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
