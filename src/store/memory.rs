//! The reference: what each method of [`Store`] means, in plain maps under one lock. The SQL backends must agree with it, which
//! `tests/store` checks. Serves tests and `sqlite::memory:`; nothing in it outlives the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard},
};

use async_trait::async_trait;

use self::{
    batches::StoredBatch, credentials::StoredCredential, executions::StoredExecution, journal::StoredKey, members::Member,
    shards::Shard, workspaces::Workspaces,
};
use super::*;
use crate::{
    clock,
    model::{
        audit::AuditRecord,
        ids::{
            BatchId, CredentialId, ExecutionId, InboxId, InvitationId, KeyId, NodeInstanceId, SHARD_COUNT, ScheduleId, SessionId,
            UserId, WorkflowId, WorkspaceId,
        },
        schedule::Tick,
    },
};

mod accounts;
mod api_keys;
mod audit;
mod batches;
mod credentials;
mod executions;
mod inbox;
mod invitations;
mod journal;
mod members;
mod roles;
mod schedules;
mod sessions;
mod shards;
mod usage;
mod variables;
mod workflows;
mod workspaces;

/// A store that lives in memory.
pub struct MemoryStore {
    state: Mutex<State>,
}

/// Everything that the store holds. Each method of the trait is one method of this, so it is atomic by the lock.
struct State {
    workspaces: Workspaces,
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
    credentials: BTreeMap<CredentialId, StoredCredential>,
    /// Of all versions: workspace, credential, workflow, version.
    credential_uses: BTreeSet<(WorkspaceId, String, WorkflowId, u32)>,
    master_keys: BTreeMap<[u8; MASTER_KEY_ID_BYTES], MasterKeyRow>,
    users: BTreeMap<UserId, UserRow>,
    setup_token: Option<SetupTokenRow>,
    sessions: BTreeMap<SessionId, SessionRow>,
    /// By issuer and subject.
    identities: BTreeMap<(String, String), UserId>,
    members: BTreeMap<(WorkspaceId, UserId), Member>,
    roles: BTreeMap<(WorkspaceId, String), RoleRow>,
    api_keys: BTreeMap<KeyId, ApiKeyRow>,
    invitations: BTreeMap<InvitationId, InvitationRow>,
    audit: BTreeMap<(WorkspaceId, u64), AuditRow>,
    audit_chains: BTreeMap<WorkspaceId, AuditChain>,
}

impl MemoryStore {
    /// An empty store with the default workspace.
    pub fn new() -> Self {
        let state = State {
            workspaces: Workspaces::new(),
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
            credentials: BTreeMap::new(),
            credential_uses: BTreeSet::new(),
            master_keys: BTreeMap::new(),
            users: BTreeMap::new(),
            setup_token: None,
            sessions: BTreeMap::new(),
            identities: BTreeMap::new(),
            members: BTreeMap::new(),
            roles: BTreeMap::new(),
            api_keys: BTreeMap::new(),
            invitations: BTreeMap::new(),
            audit: BTreeMap::new(),
            audit_chains: BTreeMap::new(),
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

/// Writes the `impl`: every method is the one of the same name of [`State`], under the lock. `sure` ones always succeed, `timed` ones
/// get the time, too.
macro_rules! under_lock {
    (@sure $store:ident $method:ident $($arg:ident),*) => { Ok($store.state().$method($($arg),*)) };
    (@fallible $store:ident $method:ident $($arg:ident),*) => { $store.state().$method($($arg),*) };
    (@timed $store:ident $method:ident $($arg:ident),*) => { Ok($store.state().$method($($arg,)* clock::now_ms())) };
    (people: $($kind:ident fn $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl PeopleStore for MemoryStore {
            $(async fn $method(&self, $($arg: $type),*) -> Result<$answer> {
                under_lock!(@$kind self $method $($arg),*)
            })*
        }
    };
    ($($kind:ident fn $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
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

            $(async fn $method(&self, $($arg: $type),*) -> Result<$answer> {
                under_lock!(@$kind self $method $($arg),*)
            })*
        }
    };
}

under_lock! {
    fallible fn append_batch(batch: &[Append]) -> Vec<AppendOutcome>;
    fallible fn create_keyed(append: &Append, key: &IdempotencyKey) -> KeyedOutcome;
    fallible fn create_queued(append: &Append, schedule: Option<ScheduleId>) -> bool;
    fallible fn create_exclusive(append: &Append, key: Option<&IdempotencyKey>, on_taken: OnTaken) -> ExclusiveOutcome;
    sure fn load_journal(execution: ExecutionId, from_seq: u32, limit: u32) -> Vec<JournalRow>;
    sure fn find_journal_epoch(execution: ExecutionId, seq: u32) -> Option<i64>;
    sure fn find_snapshot(execution: ExecutionId) -> Option<Snapshot>;
    sure fn find_execution(workspace: WorkspaceId, id: ExecutionId) -> Option<ExecutionRow>;
    sure fn get_execution(id: ExecutionId) -> Option<ExecutionRow>;
    sure fn list_executions(
        workspace: WorkspaceId, filter: &ExecutionFilter, page: &PageRequest<ExecutionCursor>
    ) -> Vec<ExecutionRow>;
    sure fn list_live(shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionId>;
    sure fn list_queued(shards: &[u16], limit: u32) -> Vec<ExecutionId>;
    sure fn list_due(shards: &[u16], until_ms: u64, limit: u32) -> Vec<DueExecution>;
    sure fn record_activation(id: ExecutionId, seq: u32) -> u32;
    sure fn clear_activations(id: ExecutionId, seq: u32, count: u32) -> bool;
    sure fn delete_execution(workspace: WorkspaceId, id: ExecutionId) -> bool;
    sure fn prune(now_ms: u64, limit: u32) -> u64;
    sure fn workspace_usage() -> Vec<WorkspaceUsage>;
    sure fn put_inbox(row: &InboxRow) -> PutInbox;
    sure fn list_inbox(execution: ExecutionId, limit: u32) -> Vec<InboxRow>;
    sure fn list_inbox_owners(shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionId>;
    sure fn delete_inbox(execution: ExecutionId, id: InboxId) -> bool;
    timed fn take_shards(owner: NodeInstanceId, shards: &[u16], lease_ms: u64) -> Vec<ShardLease>;
    timed fn renew_shards(owner: NodeInstanceId, lease_ms: u64) -> Vec<ShardLease>;
    sure fn release_shards(owner: NodeInstanceId) -> u64;
    sure fn hand_over_shards(owner: NodeInstanceId, shards: &[u16]) -> u64;
    timed fn announce_node(node: NodeInstanceId, lease_ms: u64) -> Vec<NodeInstanceId>;
    sure fn insert_batch(batch: &NewBatch, open_max: u32, ended_before: u64) -> InsertBatch;
    sure fn find_batch(workspace: WorkspaceId, id: BatchId) -> Option<BatchRow>;
    sure fn get_batch_body(id: BatchId) -> Option<Payload>;
    sure fn list_batches(workspace: WorkspaceId, page: &PageRequest<BatchCursor>) -> Vec<BatchRow>;
    sure fn list_open_batches(limit: u32) -> Vec<BatchRow>;
    sure fn advance_batch(id: BatchId, done: u32, progress: &BatchProgress) -> bool;
    sure fn cancel_batch(workspace: WorkspaceId, id: BatchId, now_ms: u64) -> bool;
    fallible fn insert_workflow(workflow: &NewWorkflow) -> WorkflowRow;
    sure fn update_workflow(
        workspace: WorkspaceId, id: WorkflowId, expected_version: u32, version: &NewVersion
    ) -> UpdateWorkflow;
    sure fn find_workflow(workspace: WorkspaceId, id: WorkflowId) -> Option<WorkflowRow>;
    sure fn list_workflows(
        workspace: WorkspaceId, filter: &WorkflowFilter, page: &PageRequest<WorkflowCursor>
    ) -> Vec<WorkflowRow>;
    sure fn list_tags(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<TagCount>;
    sure fn delete_workflow(workspace: WorkspaceId, id: WorkflowId) -> bool;
    sure fn find_workflow_version(workspace: WorkspaceId, id: WorkflowId, version: u32) -> Option<VersionRow>;
    sure fn list_workflow_versions(workspace: WorkspaceId, id: WorkflowId, below: Option<u32>, limit: u32) -> Vec<VersionSummary>;
    fallible fn activate_workflow(workspace: WorkspaceId, id: WorkflowId, publication: &Publication) -> Activation;
    sure fn deactivate_workflow(workspace: WorkspaceId, id: WorkflowId, now_ms: u64) -> bool;
    sure fn publication_rev() -> u64;
    sure fn list_hooks(limit: u32) -> Vec<HookRow>;
    fallible fn insert_schedule(schedule: &NewSchedule, schedules_max: u32) -> InsertSchedule;
    sure fn update_schedule(
        workspace: WorkspaceId, id: ScheduleId, expected_rev: u32, content: &ScheduleContent, now_ms: u64
    ) -> UpdateSchedule;
    sure fn pause_schedule(workspace: WorkspaceId, id: ScheduleId, now_ms: u64) -> Option<ScheduleRow>;
    sure fn resume_schedule(
        workspace: WorkspaceId, id: ScheduleId, expected_rev: u32, next: Option<Tick>, now_ms: u64
    ) -> UpdateSchedule;
    sure fn delete_schedule(workspace: WorkspaceId, id: ScheduleId) -> bool;
    sure fn find_schedule(workspace: WorkspaceId, id: ScheduleId) -> Option<ScheduleRow>;
    sure fn list_schedules(
        workspace: WorkspaceId, workflow: Option<WorkflowId>, page: &PageRequest<ScheduleCursor>
    ) -> Vec<ScheduleRow>;
    sure fn due_schedules(until_ms: u64, limit: u32) -> Vec<ScheduleRow>;
    sure fn move_schedule(step: &MoveSchedule) -> bool;
    fallible fn fire_schedule(fire: &FireSchedule) -> FireOutcome;
    sure fn list_live_of_schedule(id: ScheduleId, limit: u32) -> Vec<ExecutionId>;
    fallible fn insert_variable(variable: &NewVariable) -> InsertVariable;
    sure fn update_variable(
        workspace: WorkspaceId, name: &str, expected_version: Option<u32>, change: &VariableChange
    ) -> UpdateVariable;
    sure fn delete_variable(workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> DeleteVariable;
    sure fn find_variable(workspace: WorkspaceId, name: &str) -> Option<VariableRow>;
    sure fn list_variables(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<VariableRow>;
    fallible fn insert_credential(credential: &NewCredential) -> InsertCredential;
    fallible fn update_credential(
        workspace: WorkspaceId, id: CredentialId, expected_version: u32, change: &CredentialChange
    ) -> UpdateCredential;
    sure fn delete_credential(workspace: WorkspaceId, id: CredentialId, expected_version: Option<u32>) -> DeleteCredential;
    sure fn find_credential(workspace: WorkspaceId, id: CredentialId) -> Option<CredentialRow>;
    sure fn find_credential_by_name(workspace: WorkspaceId, name: &str) -> Option<CredentialRow>;
    sure fn list_credentials(workspace: WorkspaceId, kind: Option<&str>, after: Option<&str>, limit: u32) -> Vec<CredentialRow>;
    sure fn list_credential_users(
        workspace: WorkspaceId, name: &str, after: Option<WorkflowId>, limit: u32
    ) -> Vec<CredentialUser>;
    sure fn use_credential(id: CredentialId, at: u64) -> bool;
    timed fn begin_grant(id: CredentialId, rev: u32, lease_ms: u64) -> bool;
    sure fn end_grant(id: CredentialId, rev: u32) -> bool;
    fallible fn put_grant(id: CredentialId, rev: u32, grant: &Grant) -> bool;
    sure fn list_master_keys() -> Vec<MasterKeyRow>;
    sure fn admit_master_key(key: &MasterKeyRow, held: &[[u8; MASTER_KEY_ID_BYTES]]) -> AdmitMasterKey;
    sure fn retire_master_keys(keep: &[u8; MASTER_KEY_ID_BYTES]) -> Option<u64>;
    sure fn list_sealed_by_others(key: &[u8; MASTER_KEY_ID_BYTES], after: Option<CredentialId>, limit: u32) -> Vec<CredentialRow>;
    fallible fn reseal(reseal: &Reseal) -> bool;
    fallible fn append_audit(workspace: WorkspaceId, records: &[AuditRecord]) -> AuditChain;
    sure fn find_audit_chain(workspace: WorkspaceId) -> AuditChain;
    sure fn list_audit(
        workspace: WorkspaceId, filter: &AuditFilter, order: AuditOrder, page: &PageRequest<u64>
    ) -> Vec<AuditRow>;
    sure fn prune_audit(before: u64, limit: u32) -> u64;
}

under_lock! { people:
    sure fn setup_state() -> SetupState;
    sure fn insert_setup_token(token: &SetupTokenRow) -> bool;
    sure fn find_setup_token(hash: &[u8; 32]) -> Option<SetupTokenRow>;
    fallible fn claim_setup(hash: &[u8; 32], user: &UserRow) -> ClaimSetup;
    fallible fn insert_first_user(user: &UserRow) -> bool;
    sure fn find_user_by_email(email: &str) -> Option<UserRow>;
    sure fn find_user(id: UserId) -> Option<UserRow>;
    sure fn list_accounts(after: Option<&str>, limit: u32) -> Vec<UserRow>;
    sure fn set_password(id: UserId, hash: &str, step: PasswordStep<'_>) -> bool;
    sure fn find_identity(issuer: &str, subject: &str) -> Option<UserId>;
    fallible fn insert_identity(identity: &IdentityRow) -> bool;
    sure fn rehash_password(id: UserId, from: &str, to: &str) -> bool;
    fallible fn insert_session(session: &SessionRow, password_hash: Option<&str>) -> bool;
    sure fn find_session(id: SessionId) -> Option<SessionRow>;
    sure fn rotate_session(step: &RotateSession) -> RotateOutcome;
    sure fn touch_session(id: SessionId, expires_at: u64) -> bool;
    sure fn delete_session(id: SessionId) -> bool;
    sure fn find_access(user: UserId, wanted: Option<WorkspaceId>) -> Option<AccessRow>;
    fallible fn insert_user(user: &UserRow, role: &RoleGrant) -> InsertMember;
    fallible fn insert_member(workspace: WorkspaceId, user: UserId, role: &RoleGrant, now_ms: u64) -> InsertMember;
    sure fn find_member(workspace: WorkspaceId, user: UserId) -> Option<MemberRow>;
    sure fn list_members(workspace: WorkspaceId, after: Option<UserId>, limit: u32) -> Vec<MemberRow>;
    sure fn set_member_role(workspace: WorkspaceId, user: UserId, role: &RoleGrant) -> ChangeMember;
    sure fn delete_member(workspace: WorkspaceId, user: UserId) -> ChangeMember;
    sure fn update_user(id: UserId, change: &UserChange) -> ChangeMember;
    sure fn delete_user(id: UserId) -> ChangeMember;
    fallible fn insert_role(role: &NewRole) -> InsertRole;
    sure fn update_role(workspace: WorkspaceId, name: &str, expected_version: Option<u32>, change: &RoleChange) -> UpdateRole;
    sure fn delete_role(workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> DeleteRole;
    sure fn find_role(workspace: WorkspaceId, name: &str) -> Option<RoleRow>;
    sure fn list_roles(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<RoleRow>;
    fallible fn insert_api_key(key: &ApiKeyRow) -> bool;
    sure fn get_api_key(id: KeyId) -> Option<ApiKeyRow>;
    sure fn find_api_key(workspace: WorkspaceId, id: KeyId) -> Option<ApiKeyRow>;
    sure fn list_api_keys(workspace: WorkspaceId, user: Option<UserId>, page: &PageRequest<ApiKeyCursor>) -> Vec<ApiKeyRow>;
    sure fn update_api_key(workspace: WorkspaceId, id: KeyId, change: &ApiKeyChange) -> Option<ApiKeyRow>;
    sure fn rotate_api_key(workspace: WorkspaceId, id: KeyId, rotation: &RotateApiKey) -> Option<ApiKeyRow>;
    sure fn delete_api_key(workspace: WorkspaceId, id: KeyId) -> bool;
    sure fn touch_api_key(id: KeyId, now_ms: u64, unless_after: u64) -> bool;
    fallible fn insert_workspace(workspace: &WorkspaceRow, owner: UserId) -> InsertWorkspace;
    sure fn find_workspace(id: WorkspaceId) -> Option<WorkspaceRow>;
    sure fn list_workspaces(user: UserId, after: Option<WorkspaceId>, limit: u32) -> Vec<JoinedWorkspace>;
    sure fn rename_workspace(id: WorkspaceId, name: &str) -> Option<WorkspaceRow>;
    sure fn delete_workspace(id: WorkspaceId) -> DeleteWorkspace;
    fallible fn insert_invitation(invitation: &InvitationRow, role: &RoleGrant) -> InsertInvitation;
    sure fn find_invitation(hash: &[u8; 32]) -> Option<InvitationRow>;
    sure fn list_invitations(workspace: WorkspaceId, after: Option<InvitationId>, limit: u32) -> Vec<InvitationRow>;
    sure fn delete_invitation(workspace: WorkspaceId, id: InvitationId) -> bool;
    fallible fn accept_invitation(invitation: &InvitationRow, invitee: &Invitee, now_ms: u64) -> AcceptInvitation;
}

/// A limit as a number of elements.
fn take(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
