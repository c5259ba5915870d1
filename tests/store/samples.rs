//! Rows to try the stores with: small, distinct, and with ids that a reader can tell apart.

use bytes::Bytes;
use citadel::{
    model::{
        audit::AuditRecord,
        batch::BatchAction,
        execution::{ExecutionStatus, TriggerKind},
        ids::{
            AuditId, BatchId, CredentialId, ExecutionId, InboxId, NodeInstanceId, SHARD_COUNT, ScheduleId, SessionId, TokenId,
            UserId, WorkflowId, WorkspaceId,
        },
        schedule::Tick,
    },
    store::{
        Append, AppendOutcome, Encoding, IdempotencyKey, InboxKind, InboxRow, InsertMember, JournalRow, MasterKeyRow, NewBatch,
        NewCredential, NewExecution, NewSchedule, NewVariable, NewVersion, NewWorkflow, Payload, PublishedSchedule, RoleGrant,
        ScheduleContent, SealedFields, SealedValue, SessionKind, SessionRow, SetupTokenRow, Snapshot, StateChange, Store,
        StoreError, UserRow, VariableChange, WorkspaceRow,
    },
};
use uuid::Uuid;

/// 2026-11-23 12:00 UTC.
pub(crate) const NOON: u64 = 1_795_435_200_000;
/// Long enough for every test.
pub(crate) const LEASE_MS: u64 = 600_000;

pub(crate) fn execution(number: u128) -> ExecutionId {
    ExecutionId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + number))
}

pub(crate) fn workflow(number: u128) -> WorkflowId {
    WorkflowId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_9000_0000_0000_0000 + number))
}

pub(crate) fn message(number: u128) -> InboxId {
    InboxId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_a000_0000_0000_0000 + number))
}

pub(crate) fn owner(number: u128) -> NodeInstanceId {
    NodeInstanceId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_b000_0000_0000_0000 + number))
}

pub(crate) fn user(number: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_b800_0000_0000_0000 + number))
}

pub(crate) fn token(number: u128) -> TokenId {
    TokenId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_bc00_0000_0000_0000 + number))
}

pub(crate) fn session(number: u128) -> SessionId {
    SessionId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_ba00_0000_0000_0000 + number))
}

pub(crate) fn schedule(number: u128) -> ScheduleId {
    ScheduleId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_be00_0000_0000_0000 + number))
}

pub(crate) fn batch(number: u128) -> BatchId {
    BatchId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_bd00_0000_0000_0000 + number))
}

pub(crate) fn new_batch(number: u128, created_at: u64) -> NewBatch {
    NewBatch {
        id: batch(number),
        workspace: WorkspaceId::DEFAULT,
        action: BatchAction::Retry,
        total: 3,
        request_hash: [7; 32],
        created_at,
        body: payload("[1,2,3]"),
    }
}

/// A workspace that has no row: executions may name it, workflows may not.
pub(crate) fn stranger() -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(7))
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload { encoding: Encoding::Raw, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

pub(crate) fn entry(seq: u32, epoch: i64) -> JournalRow {
    JournalRow { seq, count: 1, epoch, at: NOON + u64::from(seq), body: payload(&format!("[{seq}]")) }
}

pub(crate) fn new_execution() -> NewExecution {
    NewExecution {
        workspace: WorkspaceId::DEFAULT,
        workflow: workflow(1),
        version: 1,
        trigger: TriggerKind::Manual,
        parent: None,
        retry_of: None,
        business_key: None,
    }
}

pub(crate) fn state(status: ExecutionStatus) -> StateChange {
    StateChange { status, wake_at: None, finished_at: None, error_code: None, expires_at: None }
}

pub(crate) fn waiting_until(wake_at: u64) -> StateChange {
    StateChange { wake_at: Some(wake_at), ..state(ExecutionStatus::Waiting) }
}

pub(crate) fn finished(status: ExecutionStatus, expires_at: u64) -> StateChange {
    StateChange { finished_at: Some(NOON), expires_at: Some(expires_at), ..state(status) }
}

/// The first append of an execution: it is running.
pub(crate) fn creation(id: ExecutionId, epoch: i64) -> Append {
    Append {
        execution: id,
        epoch,
        created_at: NOON,
        entry: entry(0, epoch),
        create: Some(new_execution()),
        state: Some(state(ExecutionStatus::Running)),
        consumed: Vec::new(),
        notify: Vec::new(),
        snapshot: None,
    }
}

/// A later append that leaves the state as it is.
pub(crate) fn later(id: ExecutionId, epoch: i64, seq: u32) -> Append {
    Append { entry: entry(seq, epoch), create: None, state: None, ..creation(id, epoch) }
}

/// A snapshot of the state before the event `seq`.
pub(crate) fn snapshot(seq: u32) -> Snapshot {
    Snapshot { seq, version: 1, body: payload(&format!("{{\"before\":{seq}}}")) }
}

/// A later append with a snapshot of the state after it.
pub(crate) fn kept(id: ExecutionId, epoch: i64, seq: u32) -> Append {
    Append { snapshot: Some(snapshot(seq + 1)), ..later(id, epoch, seq) }
}

/// A later append that changes the state.
pub(crate) fn change(id: ExecutionId, epoch: i64, seq: u32, state: StateChange) -> Append {
    Append { state: Some(state), ..later(id, epoch, seq) }
}

pub(crate) fn signal(number: u128, target: ExecutionId) -> InboxRow {
    InboxRow {
        id: message(number),
        execution: target,
        kind: InboxKind::Signal,
        name: "approved".to_owned(),
        dedupe_key: None,
        body: payload(&format!("{{\"number\":{number}}}")),
        at: NOON + u64::try_from(number).unwrap(),
    }
}

pub(crate) fn idempotency_key(key: &str) -> IdempotencyKey {
    IdempotencyKey {
        workspace: WorkspaceId::DEFAULT,
        scope: "executions".to_owned(),
        key: key.to_owned(),
        request_hash: [1; 32],
        now_ms: NOON,
        expires_at: NOON + 1_000,
    }
}

pub(crate) fn version(name: &str, created_at: u64) -> NewVersion {
    let definition = Bytes::from(format!("{{\"name\":\"{name}\"}}"));
    NewVersion { name: name.to_owned(), tags: Vec::new(), credentials: Vec::new(), definition, created_at }
}

/// A version whose definition has these tags.
pub(crate) fn tagged(name: &str, created_at: u64, tags: &[&str]) -> NewVersion {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let definition = Bytes::from(serde_json::json!({ "name": name, "tags": tags }).to_string());
    NewVersion { tags, definition, ..version(name, created_at) }
}

/// What a variable is or becomes.
pub(crate) fn content(number: u64) -> VariableChange {
    let value = Bytes::from(format!("{{\"number\":{number}}}"));
    VariableChange { description: Some(format!("number {number}")), value, at: NOON + number % 1_000 }
}

pub(crate) fn new_variable(name: &str, number: u64) -> NewVariable {
    NewVariable { workspace: WorkspaceId::DEFAULT, name: name.to_owned(), content: content(number) }
}

pub(crate) fn credential(number: u128) -> CredentialId {
    CredentialId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_bf00_0000_0000_0000 + number))
}

/// A value that a master key has sealed, for the store.
pub(crate) fn sealed(key: u8, text: &str) -> SealedValue {
    SealedValue { key: [key; 8], bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

pub(crate) fn master_key(number: u8) -> MasterKeyRow {
    MasterKeyRow { id: [number; 8], check_value: [number; 32], created_at: NOON + u64::from(number) }
}

/// A credential whose fields the master key 1 has sealed.
pub(crate) fn new_credential(number: u128, name: &str) -> NewCredential {
    let names = vec!["token".to_owned()];
    NewCredential {
        id: credential(number),
        workspace: WorkspaceId::DEFAULT,
        name: name.to_owned(),
        kind: "http_bearer".to_owned(),
        description: Some(format!("number {number}")),
        fields: SealedFields { names, value: sealed(1, &format!("sealed {number}")) },
        at: NOON,
    }
}

/// A version whose nodes name these credentials.
pub(crate) fn version_using(name: &str, credentials: &[&str]) -> NewVersion {
    let credentials: Vec<String> = credentials.iter().map(|name| (*name).to_owned()).collect();
    NewVersion { credentials, ..version(name, NOON) }
}

pub(crate) fn new_workflow(number: u128, created_at: u64) -> NewWorkflow {
    NewWorkflow {
        id: workflow(number),
        workspace: WorkspaceId::DEFAULT,
        version: version(&format!("workflow {number}"), created_at),
    }
}

/// A tick that is due a second after its time.
pub(crate) fn tick(scheduled_at: u64) -> Tick {
    Tick { scheduled_at, due_at: scheduled_at + 1_000, waits: false }
}

/// A schedule that stands alone, of workflow 1.
pub(crate) fn new_schedule(number: u128, created_at: u64, next: Option<Tick>) -> NewSchedule {
    NewSchedule {
        id: schedule(number),
        workspace: WorkspaceId::DEFAULT,
        workflow: workflow(1),
        content: ScheduleContent {
            node: None,
            spec: Bytes::from(format!("{{\"every\":\"{number}s\"}}")),
            input: Some(Bytes::from_static(b"[{}]")),
            next,
        },
        paused_at: None,
        created_at,
    }
}

/// A schedule that a workflow publishes.
pub(crate) fn published(number: u128, spec: &'static str, next: Option<Tick>) -> PublishedSchedule {
    let node = format!("node {number}");
    PublishedSchedule { id: schedule(number), node, spec: Bytes::from_static(spec.as_bytes()), next }
}

/// A record of the audit log, so many milliseconds after noon.
pub(crate) fn audit_record(number: u128, late_ms: u8) -> AuditRecord {
    AuditRecord {
        id: AuditId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_8100_0000_0000_0000 + number)),
        at: NOON + u64::from(late_ms),
        actor: "system".to_owned(),
        token: None,
        action: if number.is_multiple_of(3) { "variable.created" } else { "workflow.updated" }.to_owned(),
        target: Some(format!("wf_{number}")),
        address: None,
        request_id: None,
        before: None,
        after: None,
        details: "{}".to_owned(),
    }
}

pub(crate) fn user_row(number: u128) -> UserRow {
    UserRow {
        id: user(number),
        workspace: WorkspaceId::DEFAULT,
        email: format!("user{number}@example.org"),
        name: format!("User {number}"),
        password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
        created_at: NOON,
        disabled_at: None,
    }
}

/// A role that every workspace has.
pub(crate) fn built_in(name: &str) -> RoleGrant {
    RoleGrant { name: name.to_owned(), is_custom: false }
}

/// A role that is a row.
pub(crate) fn custom(name: &str) -> RoleGrant {
    RoleGrant { name: name.to_owned(), is_custom: true }
}

/// A workspace beside the first one.
pub(crate) fn workspace_row(number: u128) -> WorkspaceRow {
    let id = WorkspaceId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_bf00_0000_0000_0000 + number));
    WorkspaceRow { id, name: format!("workspace {number}"), created_at: NOON + u64::try_from(number).unwrap() }
}

/// Stores user `number` with a role in the first workspace.
#[track_caller]
pub(crate) fn join<'a>(store: &'a dyn Store, number: u128, role: &'a str) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let inserted = store.insert_user(&user_row(number), &built_in(role)).await.unwrap();
        assert_eq!(inserted, InsertMember::Inserted, "at {caller}");
    }
}

pub(crate) fn setup_token(number: u8) -> SetupTokenRow {
    SetupTokenRow { id: token(number.into()), hash: [number; 32], created_at: NOON }
}

/// A session of user 1 that ends a second after noon unless it is used, and a minute after noon in any case.
pub(crate) fn session_row(number: u8) -> SessionRow {
    SessionRow {
        id: session(number.into()),
        user: user(1),
        kind: SessionKind::Refresh,
        hash: [number; 32],
        previous_hash: None,
        rotated_at: NOON,
        created_at: NOON + u64::from(number),
        expires_at: NOON + 1_000,
        ends_at: NOON + 60_000,
    }
}

/// Every shard.
pub(crate) fn all_shards() -> Vec<u16> {
    (0..SHARD_COUNT).collect()
}

/// Takes every shard for owner 1, which is then at epoch 1.
pub(crate) async fn own_all(store: &dyn Store) -> i64 {
    let leases = store.take_shards(owner(1), &all_shards(), LEASE_MS).await.unwrap();
    assert_eq!(leases.len(), usize::from(SHARD_COUNT));
    assert!(leases.iter().all(|lease| lease.epoch == leases[0].epoch));
    leases[0].epoch
}

/// Appends one request, which has to be committed.
#[track_caller]
pub(crate) fn commit<'a>(store: &'a dyn Store, append: &'a Append) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let outcome = store.append_batch(std::slice::from_ref(append)).await;
        assert!(matches!(outcome.as_deref(), Ok([AppendOutcome::Committed])), "{outcome:?} at {caller}");
    }
}

/// The constraint that a result says is broken.
#[track_caller]
pub(crate) fn broken<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Conflict { constraint }) => constraint,
        other => panic!("expected a conflict, got {other:?}"),
    }
}
