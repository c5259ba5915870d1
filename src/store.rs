//! Everything that outlives the process. One trait of semantic methods: each is one atomic operation, and no transaction
//! crosses it. Backends: `sqlite` (embedded default), `postgres` (clusters), `memory` (the reference the others must agree with).
//! The only SQL of the product besides the SQL node type is in this room.

pub mod blobs;
pub mod memory;
pub mod open;
pub mod payload;
pub mod postgres;
pub mod scratch;
pub mod shared_buckets;
pub mod sqlite;

use async_trait::async_trait;

pub use self::{batch_rows::*, error::StoreError, people::PeopleStore, rows::*};
use crate::model::{
    audit::AuditRecord,
    ids::{BatchId, CredentialId, ExecutionId, InboxId, NodeInstanceId, ScheduleId, WorkflowId, WorkspaceId},
    schedule::Tick,
};

mod audit_chain;
mod audit_query;
mod batch_rows;
mod columns;
mod delegate;
mod error;
mod execution_query;
#[cfg(test)]
pub(crate) mod faulty;
mod journal;
mod migrations;
mod people;
mod rows;
mod workflow_query;

/// The result of store operations.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The store. Times are Unix milliseconds; leases run by the store's own clock.
#[async_trait]
pub trait Store: PeopleStore {
    /// The name for people: `sqlite`, `postgres`, `memory`.
    fn kind(&self) -> &'static str;

    /// The connections that it keeps, by what they are for; none where it needs none.
    fn connections(&self) -> Vec<ConnectionPool>;

    /// Answers when the store can be read.
    async fn ping(&self) -> Result<()>;

    /// Closes every connection after the running statements.
    async fn close(&self);

    // ---- journal (`journal.rs`) ----

    /// Appends one journal row per request, with its creation and state changes, all in one commit.
    /// Outcomes are in the order of `batch`; a batch has at most one request per execution.
    ///
    /// A request whose `(shard, epoch)` is not the stored one is [`AppendOutcome::Fenced`] and leaves no trace. Any other either
    /// creates its execution, or needs one that is there and has not finished. A message is stored once the used up ones are
    /// gone, if its target was there and unfinished before the batch and has no such message; otherwise it is dropped. It goes
    /// in a full inbox, too: a child's result is not refused. A snapshot takes the place of its execution's earlier one.
    ///
    /// Errors: `Conflict` if any admitted row breaks a constraint (nothing is written then: the caller splits the batch), such
    /// as `journal_key`, `executions_key` (created twice) or `executions_live` (gone or finished); `Unavailable` if the outcome
    /// is unknown.
    async fn append_batch(&self, batch: &[Append]) -> Result<Vec<AppendOutcome>>;

    /// Creates one execution under an idempotency key, in its own commit.
    /// A live key answers with the execution it made, whatever the request and its epoch; an expired one is replaced.
    ///
    /// Errors: as [`append_batch`](Self::append_batch); the key stays free then.
    async fn create_keyed(&self, append: &Append, key: &IdempotencyKey) -> Result<KeyedOutcome>;

    /// Creates an execution for whoever owns its shard: nothing is fenced, and the epoch of the request does not matter. `schedule`
    /// is the one whose tick it is. `false` if the execution is there already.
    ///
    /// Errors: as [`append_batch`](Self::append_batch).
    async fn create_queued(&self, append: &Append, schedule: Option<ScheduleId>) -> Result<bool>;

    /// Creates one execution that has a business key in its own commit, unless one of the same workspace, workflow and business
    /// key is there that has not finished. Of several such creations at once one is the first, and the others see it.
    /// A live idempotency key answers first, as in [`create_keyed`](Self::create_keyed).
    ///
    /// Errors: as [`append_batch`](Self::append_batch), and `executions_business_key` if it creates none with a business key.
    async fn create_exclusive(
        &self,
        append: &Append,
        key: Option<&IdempotencyKey>,
        on_taken: OnTaken,
    ) -> Result<ExclusiveOutcome>;

    /// Journal rows that hold the event `from_seq` or later ones, in order, at most `limit`. The first of them may begin before it.
    async fn load_journal(&self, execution: ExecutionId, from_seq: u32, limit: u32) -> Result<Vec<JournalRow>>;

    /// The epoch under which the row `(execution, seq)` was written; `None` if there is no such row.
    /// Settles a commit whose outcome is unknown.
    async fn find_journal_epoch(&self, execution: ExecutionId, seq: u32) -> Result<Option<i64>>;

    /// The latest snapshot of an execution; `None` if none was appended.
    async fn find_snapshot(&self, execution: ExecutionId) -> Result<Option<Snapshot>>;

    // ---- executions (`executions.rs`, `retention.rs`) ----

    async fn find_execution(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<Option<ExecutionRow>>;

    /// The row of an execution, whatever its workspace: for its owner.
    async fn get_execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>>;

    /// Executions of a workspace, newest first (`created_at`, then `id`, both descending).
    async fn list_executions(
        &self,
        workspace: WorkspaceId,
        filter: &ExecutionFilter,
        page: &PageRequest<ExecutionCursor>,
    ) -> Result<Vec<ExecutionRow>>;

    /// Queued and running executions of the shards with an id above `after`, by id: what an owner starts again.
    async fn list_live(&self, shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Result<Vec<ExecutionId>>;

    /// Queued executions of the shards, by id: what others left to their owner.
    async fn list_queued(&self, shards: &[u16], limit: u32) -> Result<Vec<ExecutionId>>;

    /// Waiting executions of the shards that are due at `until_ms` or before, soonest first.
    async fn list_due(&self, shards: &[u16], until_ms: u64, limit: u32) -> Result<Vec<DueExecution>>;

    /// Records that an execution is about to be resumed at `seq`, before it runs. Answers how often that has happened at this
    /// `seq` in a row; 0 for an execution that is not there.
    async fn record_activation(&self, id: ExecutionId, seq: u32) -> Result<u32>;

    /// Forgets the activations at `seq` if they are still `count`: the execution left memory in order. One that has been resumed
    /// since then counts on. Answers whether anything was forgotten.
    async fn clear_activations(&self, id: ExecutionId, seq: u32, count: u32) -> Result<bool>;

    /// Deletes one finished execution with its journal and snapshot. `false` if it is not there or not finished.
    async fn delete_execution(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<bool>;

    /// Deletes at most `limit` finished executions whose `expires_at` is before `now_ms`, with their journals and snapshots, and
    /// at most as many expired idempotency keys and sessions each. Answers how many executions went.
    async fn prune(&self, now_ms: u64, limit: u32) -> Result<u64>;

    /// What each workspace has stored, by id; those that have nothing are left out. Reads all of it: not for every request.
    async fn workspace_usage(&self) -> Result<Vec<WorkspaceUsage>>;

    // ---- inbox (`inbox.rs`) ----

    /// Puts a signal or a cancel request in an execution's inbox. Callers that come at the same time do not overfill it; one that
    /// comes while its execution finishes may still find room.
    async fn put_inbox(&self, row: &InboxRow) -> Result<PutInbox>;

    /// What waits in an execution's inbox, oldest first, at most `limit`.
    async fn list_inbox(&self, execution: ExecutionId, limit: u32) -> Result<Vec<InboxRow>>;

    /// Executions of the shards with something in their inbox, with an id above `after`, by id.
    async fn list_inbox_owners(&self, shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Result<Vec<ExecutionId>>;

    /// Takes a row out of an inbox that belongs to a finished execution.
    async fn delete_inbox(&self, execution: ExecutionId, id: InboxId) -> Result<bool>;

    // ---- shards (`shards.rs`) ----

    /// Takes those of `shards` that are free, expired, or this owner's already; each taken one's epoch grows by one, and no
    /// append under an earlier epoch is committed after that. Answers in the order of the shards; others stay as they are.
    async fn take_shards(&self, owner: NodeInstanceId, shards: &[u16], lease_ms: u64) -> Result<Vec<ShardLease>>;

    /// Extends every lease of the owner, also one that has run out but was not taken. Answers the shards it still has.
    async fn renew_shards(&self, owner: NodeInstanceId, lease_ms: u64) -> Result<Vec<ShardLease>>;

    /// Gives up every lease of the owner at once, and its place among the live processes. Fences nobody: appends of the owner go
    /// on until the next one takes the shard.
    async fn release_shards(&self, owner: NodeInstanceId) -> Result<u64>;

    /// Gives up the leases of some shards; those of others stay. Fences nobody, as above.
    async fn hand_over_shards(&self, owner: NodeInstanceId, shards: &[u16]) -> Result<u64>;

    /// Says that a process lives for `lease_ms` from now on. Answers every process that lives, by id.
    async fn announce_node(&self, node: NodeInstanceId, lease_ms: u64) -> Result<Vec<NodeInstanceId>>;

    // ---- batches (`batches.rs`) ----

    /// Stores a running batch, unless its workspace has `open_max` running ones. Batches of the workspace that ended before
    /// `ended_before` go, at most [`BATCHES_CLEARED`] at a time. Callers that come at the same time may exceed the bound by their
    /// number.
    async fn insert_batch(&self, batch: &NewBatch, open_max: u32, ended_before: u64) -> Result<InsertBatch>;

    async fn find_batch(&self, workspace: WorkspaceId, id: BatchId) -> Result<Option<BatchRow>>;

    /// The body of a batch, whatever its workspace: for whoever works it off.
    async fn get_batch_body(&self, id: BatchId) -> Result<Option<Payload>>;

    /// Batches of a workspace, newest first.
    async fn list_batches(&self, workspace: WorkspaceId, page: &PageRequest<BatchCursor>) -> Result<Vec<BatchRow>>;

    /// Running batches of every workspace, oldest first, at most `limit`.
    async fn list_open_batches(&self, limit: u32) -> Result<Vec<BatchRow>>;

    /// Moves a running batch on from `done`; one with a `finished_at` is finished then. `false` if it is not there, has ended, or is
    /// elsewhere already.
    async fn advance_batch(&self, id: BatchId, done: u32, progress: &BatchProgress) -> Result<bool>;

    /// Ends a running batch as cancelled. `false` if it is not there or has ended.
    async fn cancel_batch(&self, workspace: WorkspaceId, id: BatchId, now_ms: u64) -> Result<bool>;

    // ---- workflows (`workflows.rs`, `hooks.rs`) ----

    /// Stores a new workflow with its version 1.
    ///
    /// Errors: `Conflict` if its id is taken or its workspace is not there.
    async fn insert_workflow(&self, workflow: &NewWorkflow) -> Result<WorkflowRow>;

    /// Stores the next version, if the latest one is `expected_version`.
    async fn update_workflow(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        expected_version: u32,
        version: &NewVersion,
    ) -> Result<UpdateWorkflow>;

    async fn find_workflow(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<Option<WorkflowRow>>;

    /// Workflows of a workspace, newest first.
    async fn list_workflows(
        &self,
        workspace: WorkspaceId,
        filter: &WorkflowFilter,
        page: &PageRequest<WorkflowCursor>,
    ) -> Result<Vec<WorkflowRow>>;

    /// Tags in use above `after`, by their bytes, with the number of workflows that have them.
    async fn list_tags(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Result<Vec<TagCount>>;

    /// Deletes a workflow, its versions, hooks and schedules. Executions stay. `false` if it is not there.
    async fn delete_workflow(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<bool>;

    async fn find_workflow_version(&self, workspace: WorkspaceId, id: WorkflowId, version: u32) -> Result<Option<VersionRow>>;

    /// Versions of a workflow, newest first, without their definitions.
    async fn list_workflow_versions(
        &self,
        workspace: WorkspaceId,
        id: WorkflowId,
        below: Option<u32>,
        limit: u32,
    ) -> Result<Vec<VersionSummary>>;

    /// Makes a version the active one and publishes its hooks and schedules instead of the earlier ones.
    ///
    /// Errors: `Conflict` (`hooks_key`) if there is a path and method twice.
    async fn activate_workflow(&self, workspace: WorkspaceId, id: WorkflowId, publication: &Publication) -> Result<Activation>;

    /// Takes the workflow's hooks and published schedules down. `false` if it is not there.
    async fn deactivate_workflow(&self, workspace: WorkspaceId, id: WorkflowId, now_ms: u64) -> Result<bool>;

    /// A number that grows with every activation and deactivation, and with every deletion of a workflow.
    async fn publication_rev(&self) -> Result<u64>;

    /// Every published hook, by path and method, at most `limit`.
    async fn list_hooks(&self, limit: u32) -> Result<Vec<HookRow>>;

    // ---- schedules (`schedules.rs`) ----

    /// Stores a schedule that stands alone, unless its workspace has `schedules_max` of them. Callers that come at the same time
    /// may overfill it by their number.
    ///
    /// Errors: `Conflict` (`schedules_key`) if its id is taken.
    async fn insert_schedule(&self, schedule: &NewSchedule, schedules_max: u32) -> Result<InsertSchedule>;

    /// Changes a schedule that stands alone, if its number is `expected_rev`.
    async fn update_schedule(
        &self,
        workspace: WorkspaceId,
        id: ScheduleId,
        expected_rev: u32,
        content: &ScheduleContent,
        now_ms: u64,
    ) -> Result<UpdateSchedule>;

    /// Keeps a schedule from firing. One that is paused already stays as it is. `None` if it is not there.
    async fn pause_schedule(&self, workspace: WorkspaceId, id: ScheduleId, now_ms: u64) -> Result<Option<ScheduleRow>>;

    /// Lets a schedule fire again, from the tick `next` on, if its number is `expected_rev`. Never answers `Published`.
    async fn resume_schedule(
        &self,
        workspace: WorkspaceId,
        id: ScheduleId,
        expected_rev: u32,
        next: Option<Tick>,
        now_ms: u64,
    ) -> Result<UpdateSchedule>;

    /// Deletes a schedule that stands alone. Executions stay. `false` if it is not there or published.
    async fn delete_schedule(&self, workspace: WorkspaceId, id: ScheduleId) -> Result<bool>;

    async fn find_schedule(&self, workspace: WorkspaceId, id: ScheduleId) -> Result<Option<ScheduleRow>>;

    /// Schedules of a workspace, or of one of its workflows, newest first.
    async fn list_schedules(
        &self,
        workspace: WorkspaceId,
        workflow: Option<WorkflowId>,
        page: &PageRequest<ScheduleCursor>,
    ) -> Result<Vec<ScheduleRow>>;

    /// Schedules of all workspaces that are not paused and whose next tick is due at `until_ms` or before, soonest first.
    async fn due_schedules(&self, until_ms: u64, limit: u32) -> Result<Vec<ScheduleRow>>;

    /// Passes ticks over, or lets the next one wait. `false` if the schedule is in another state, paused, or gone.
    async fn move_schedule(&self, step: &MoveSchedule) -> Result<bool>;

    /// Fires a tick: creates its execution as [`create_queued`](Self::create_queued) does and moves the schedule on, in one
    /// commit.
    ///
    /// Errors: as [`append_batch`](Self::append_batch).
    async fn fire_schedule(&self, fire: &FireSchedule) -> Result<FireOutcome>;

    /// Executions of a schedule that have not ended, by id.
    async fn list_live_of_schedule(&self, id: ScheduleId, limit: u32) -> Result<Vec<ExecutionId>>;

    // ---- variables (`variables.rs`) ----

    /// Stores a new variable, at version 1.
    ///
    /// Errors: `Conflict` if its workspace is not there.
    async fn insert_variable(&self, variable: &NewVariable) -> Result<InsertVariable>;

    /// Changes a variable, if it is at `expected_version`; whatever its version where none is given.
    async fn update_variable(
        &self,
        workspace: WorkspaceId,
        name: &str,
        expected_version: Option<u32>,
        change: &VariableChange,
    ) -> Result<UpdateVariable>;

    /// Deletes a variable, under the same condition as [`update_variable`](Self::update_variable).
    async fn delete_variable(&self, workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> Result<DeleteVariable>;

    async fn find_variable(&self, workspace: WorkspaceId, name: &str) -> Result<Option<VariableRow>>;

    /// Variables of a workspace above `after`, by name.
    async fn list_variables(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Result<Vec<VariableRow>>;

    // ---- credentials (`credentials.rs`) ----

    /// Stores a new credential, at version 1.
    ///
    /// Errors: `Conflict` if its id is taken, its workspace is not there, or its master key is not in use.
    async fn insert_credential(&self, credential: &NewCredential) -> Result<InsertCredential>;

    /// Changes a credential, if it is at `expected_version`.
    ///
    /// Errors: `Conflict` if the master key of new fields is not in use.
    async fn update_credential(
        &self,
        workspace: WorkspaceId,
        id: CredentialId,
        expected_version: u32,
        change: &CredentialChange,
    ) -> Result<UpdateCredential>;

    /// Deletes a credential, if it is at `expected_version`; whatever its version where none is given.
    async fn delete_credential(
        &self,
        workspace: WorkspaceId,
        id: CredentialId,
        expected_version: Option<u32>,
    ) -> Result<DeleteCredential>;

    async fn find_credential(&self, workspace: WorkspaceId, id: CredentialId) -> Result<Option<CredentialRow>>;

    async fn find_credential_by_name(&self, workspace: WorkspaceId, name: &str) -> Result<Option<CredentialRow>>;

    /// Credentials of a workspace, or those of one type, above `after`, by name.
    async fn list_credentials(
        &self,
        workspace: WorkspaceId,
        kind: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CredentialRow>>;

    /// Workflows above `after` whose latest or active version names this credential, by id.
    async fn list_credential_users(
        &self,
        workspace: WorkspaceId,
        name: &str,
        after: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<CredentialUser>>;

    /// Remembers that a credential was used, unless a later use is known. No new version. `false` if nothing changed.
    async fn use_credential(&self, id: CredentialId, at: u64) -> Result<bool>;

    /// Takes the right to renew a credential's grant for `lease_ms`, if the grant is at `rev` and nobody has that right.
    async fn begin_grant(&self, id: CredentialId, rev: u32, lease_ms: u64) -> Result<bool>;

    /// Gives that right back without a new grant.
    async fn end_grant(&self, id: CredentialId, rev: u32) -> Result<bool>;

    /// Stores a new grant, at the next number, if the one before is at `rev`. No new version.
    ///
    /// Errors: `Conflict` if its master key is not in use.
    async fn put_grant(&self, id: CredentialId, rev: u32, grant: &Grant) -> Result<bool>;

    // ---- master keys (`master_keys.rs`) ----

    /// Master keys in use, the oldest first.
    async fn list_master_keys(&self) -> Result<Vec<MasterKeyRow>>;

    /// Puts a master key into use, if every key in use is among `held`, which a process has. One that is in use stays as it is. Of
    /// several calls at once one is the first, and the others see it.
    async fn admit_master_key(&self, key: &MasterKeyRow, held: &[[u8; MASTER_KEY_ID_BYTES]]) -> Result<AdmitMasterKey>;

    /// Takes every master key but one out of use, and answers how many went; `None` if any of them still seals something.
    async fn retire_master_keys(&self, keep: &[u8; MASTER_KEY_ID_BYTES]) -> Result<Option<u64>>;

    /// Credentials of all workspaces with an id above `after` of which something is sealed by another master key, by id.
    async fn list_sealed_by_others(
        &self,
        key: &[u8; MASTER_KEY_ID_BYTES],
        after: Option<CredentialId>,
        limit: u32,
    ) -> Result<Vec<CredentialRow>>;

    /// Puts a sealed value in the place of one with the same meaning. No new version. `false` if the old one is not there any more.
    ///
    /// Errors: `Conflict` if its master key is not in use.
    async fn reseal(&self, reseal: &Reseal) -> Result<bool>;
    // ---- audit (`audit.rs`) ----

    /// Adds rows to the chain of a workspace, in their order, in one commit; nobody else's come between them. A record whose id is
    /// stored already is left out, so that a call whose outcome is unknown can be repeated. Answers the chain after it.
    async fn append_audit(&self, workspace: WorkspaceId, records: &[AuditRecord]) -> Result<AuditChain>;

    /// Where the chain of a workspace begins and ends; a workspace without a row has [`AuditChain::NEW`].
    async fn find_audit_chain(&self, workspace: WorkspaceId) -> Result<AuditChain>;

    /// Rows of a workspace by their numbers, behind `after`.
    async fn list_audit(
        &self,
        workspace: WorkspaceId,
        filter: &AuditFilter,
        order: AuditOrder,
        page: &PageRequest<u64>,
    ) -> Result<Vec<AuditRow>>;

    /// Takes rows from before a time off the beginning of one chain that has such, at most `limit`, up to the first that is younger.
    /// Answers how many went: none if no chain begins with such a row.
    async fn prune_audit(&self, before: u64, limit: u32) -> Result<u64>;
}
