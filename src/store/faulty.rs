//! A store that fails or hangs on demand, in front of the one in memory: for tests of whatever must survive a bad database.

use std::{collections::HashMap, sync::Mutex};

use async_trait::async_trait;

use super::{memory::MemoryStore, *};
use crate::model::{
    audit::AuditRecord,
    ids::{
        BatchId, CredentialId, ExecutionId, InboxId, InvitationId, KeyId, NodeInstanceId, ScheduleId, SessionId, UserId,
        WorkflowId, WorkspaceId,
    },
    schedule::Tick,
};

/// What happens to calls of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Fails with `Unavailable`; nothing takes effect.
    Unavailable,
    /// Never answers, and nothing takes effect.
    Hang,
    /// Takes effect; then the answer is lost, which looks as `Unavailable`. What the store refuses is told.
    LoseAnswer,
}

/// The store in memory, with faults per method.
pub(crate) struct FaultyStore {
    /// The store behind the faults, for what the test itself does.
    pub(crate) inner: MemoryStore,
    faults: Mutex<HashMap<&'static str, Fault>>,
}

impl FaultyStore {
    pub(crate) fn new() -> Self {
        Self { inner: MemoryStore::new(), faults: Mutex::new(HashMap::new()) }
    }

    /// Gives a method a fault, or takes it away.
    pub(crate) fn set(&self, method: &'static str, fault: Option<Fault>) {
        let mut faults = self.faults.lock().unwrap();
        match fault {
            Some(fault) => faults.insert(method, fault),
            None => faults.remove(method),
        };
    }

    /// What becomes of a call; `work` is what it does behind the faults.
    async fn pass<T>(&self, method: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let unavailable = || Err(StoreError::Unavailable { doing: method, source: "a test says so".into() });
        let fault = self.faults.lock().unwrap().get(method).copied();
        match fault {
            None => work.await,
            Some(Fault::Unavailable) => unavailable(),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::LoseAnswer) => work.await.and_then(|_| unavailable()),
        }
    }
}

macro_rules! pass_on {
    (people: $(fn $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl PeopleStore for FaultyStore {
            $(async fn $method(&self, $($arg: $type),*) -> Result<$answer> {
                self.pass(stringify!($method), self.inner.$method($($arg),*)).await
            })*
        }
    };
    ($(fn $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for FaultyStore {
            fn kind(&self) -> &'static str {
                "faulty"
            }

            fn connections(&self) -> Vec<ConnectionPool> {
                self.inner.connections()
            }

            async fn close(&self) {
                self.inner.close().await;
            }

            $(async fn $method(&self, $($arg: $type),*) -> Result<$answer> {
                self.pass(stringify!($method), self.inner.$method($($arg),*)).await
            })*
        }
    };
}

pass_on! {
    fn ping() -> ();
    fn append_batch(batch: &[Append]) -> Vec<AppendOutcome>;
    fn create_keyed(append: &Append, key: &IdempotencyKey) -> KeyedOutcome;
    fn create_queued(append: &Append, schedule: Option<ScheduleId>) -> bool;
    fn create_exclusive(append: &Append, key: Option<&IdempotencyKey>, on_taken: OnTaken) -> ExclusiveOutcome;
    fn load_journal(execution: ExecutionId, from_seq: u32, limit: u32) -> Vec<JournalRow>;
    fn find_journal_epoch(execution: ExecutionId, seq: u32) -> Option<i64>;
    fn find_snapshot(execution: ExecutionId) -> Option<Snapshot>;
    fn find_execution(workspace: WorkspaceId, id: ExecutionId) -> Option<ExecutionRow>;
    fn get_execution(id: ExecutionId) -> Option<ExecutionRow>;
    fn list_executions(workspace: WorkspaceId, filter: &ExecutionFilter, page: &PageRequest<ExecutionCursor>) -> Vec<ExecutionRow>;
    fn list_live(shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionId>;
    fn list_queued(shards: &[u16], limit: u32) -> Vec<ExecutionId>;
    fn list_due(shards: &[u16], until_ms: u64, limit: u32) -> Vec<DueExecution>;
    fn record_activation(id: ExecutionId, seq: u32) -> u32;
    fn clear_activations(id: ExecutionId, seq: u32, count: u32) -> bool;
    fn delete_execution(workspace: WorkspaceId, id: ExecutionId) -> bool;
    fn prune(now_ms: u64, limit: u32) -> u64;
    fn workspace_usage() -> Vec<WorkspaceUsage>;
    fn put_inbox(row: &InboxRow) -> PutInbox;
    fn list_inbox(execution: ExecutionId, limit: u32) -> Vec<InboxRow>;
    fn list_inbox_owners(shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionId>;
    fn take_shards(owner: NodeInstanceId, shards: &[u16], lease_ms: u64) -> Vec<ShardLease>;
    fn renew_shards(owner: NodeInstanceId, lease_ms: u64) -> Vec<ShardLease>;
    fn release_shards(owner: NodeInstanceId) -> u64;
    fn hand_over_shards(owner: NodeInstanceId, shards: &[u16]) -> u64;
    fn announce_node(node: NodeInstanceId, lease_ms: u64) -> Vec<NodeInstanceId>;
    fn insert_batch(batch: &NewBatch, open_max: u32, ended_before: u64) -> InsertBatch;
    fn find_batch(workspace: WorkspaceId, id: BatchId) -> Option<BatchRow>;
    fn get_batch_body(id: BatchId) -> Option<Payload>;
    fn list_batches(workspace: WorkspaceId, page: &PageRequest<BatchCursor>) -> Vec<BatchRow>;
    fn list_open_batches(limit: u32) -> Vec<BatchRow>;
    fn advance_batch(id: BatchId, done: u32, progress: &BatchProgress) -> bool;
    fn cancel_batch(workspace: WorkspaceId, id: BatchId, now_ms: u64) -> bool;
    fn insert_workflow(workflow: &NewWorkflow) -> WorkflowRow;
    fn update_workflow(workspace: WorkspaceId, id: WorkflowId, expected_version: u32, version: &NewVersion) -> UpdateWorkflow;
    fn find_workflow(workspace: WorkspaceId, id: WorkflowId) -> Option<WorkflowRow>;
    fn list_workflows(workspace: WorkspaceId, filter: &WorkflowFilter, page: &PageRequest<WorkflowCursor>) -> Vec<WorkflowRow>;
    fn list_tags(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<TagCount>;
    fn insert_variable(variable: &NewVariable) -> InsertVariable;
    fn update_variable(workspace: WorkspaceId, name: &str, expected_version: Option<u32>, change: &VariableChange) -> UpdateVariable;
    fn delete_variable(workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> DeleteVariable;
    fn find_variable(workspace: WorkspaceId, name: &str) -> Option<VariableRow>;
    fn list_variables(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<VariableRow>;
    fn delete_workflow(workspace: WorkspaceId, id: WorkflowId) -> bool;
    fn find_workflow_version(workspace: WorkspaceId, id: WorkflowId, version: u32) -> Option<VersionRow>;
    fn list_workflow_versions(workspace: WorkspaceId, id: WorkflowId, below: Option<u32>, limit: u32) -> Vec<VersionSummary>;
    fn activate_workflow(workspace: WorkspaceId, id: WorkflowId, publication: &Publication) -> Activation;
    fn deactivate_workflow(workspace: WorkspaceId, id: WorkflowId, now_ms: u64) -> bool;
    fn publication_rev() -> u64;
    fn list_hooks(limit: u32) -> Vec<HookRow>;
    fn insert_schedule(schedule: &NewSchedule, schedules_max: u32) -> InsertSchedule;
    fn update_schedule(
        workspace: WorkspaceId, id: ScheduleId, expected_rev: u32, content: &ScheduleContent, now_ms: u64
    ) -> UpdateSchedule;
    fn pause_schedule(workspace: WorkspaceId, id: ScheduleId, now_ms: u64) -> Option<ScheduleRow>;
    fn resume_schedule(
        workspace: WorkspaceId, id: ScheduleId, expected_rev: u32, next: Option<Tick>, now_ms: u64
    ) -> UpdateSchedule;
    fn delete_schedule(workspace: WorkspaceId, id: ScheduleId) -> bool;
    fn find_schedule(workspace: WorkspaceId, id: ScheduleId) -> Option<ScheduleRow>;
    fn list_schedules(
        workspace: WorkspaceId, workflow: Option<WorkflowId>, page: &PageRequest<ScheduleCursor>
    ) -> Vec<ScheduleRow>;
    fn due_schedules(until_ms: u64, limit: u32) -> Vec<ScheduleRow>;
    fn move_schedule(step: &MoveSchedule) -> bool;
    fn fire_schedule(fire: &FireSchedule) -> FireOutcome;
    fn list_live_of_schedule(id: ScheduleId, limit: u32) -> Vec<ExecutionId>;
    fn insert_credential(credential: &NewCredential) -> InsertCredential;
    fn update_credential(
        workspace: WorkspaceId, id: CredentialId, expected_version: u32, change: &CredentialChange
    ) -> UpdateCredential;
    fn delete_credential(workspace: WorkspaceId, id: CredentialId, expected_version: Option<u32>) -> DeleteCredential;
    fn find_credential(workspace: WorkspaceId, id: CredentialId) -> Option<CredentialRow>;
    fn find_credential_by_name(workspace: WorkspaceId, name: &str) -> Option<CredentialRow>;
    fn list_credentials(
        workspace: WorkspaceId, kind: Option<&str>, after: Option<&str>, limit: u32
    ) -> Vec<CredentialRow>;
    fn list_credential_users(
        workspace: WorkspaceId, name: &str, after: Option<WorkflowId>, limit: u32
    ) -> Vec<CredentialUser>;
    fn use_credential(id: CredentialId, at: u64) -> bool;
    fn begin_grant(id: CredentialId, rev: u32, lease_ms: u64) -> bool;
    fn end_grant(id: CredentialId, rev: u32) -> bool;
    fn put_grant(id: CredentialId, rev: u32, grant: &Grant) -> bool;
    fn list_master_keys() -> Vec<MasterKeyRow>;
    fn admit_master_key(key: &MasterKeyRow, held: &[[u8; MASTER_KEY_ID_BYTES]]) -> AdmitMasterKey;
    fn retire_master_keys(keep: &[u8; MASTER_KEY_ID_BYTES]) -> Option<u64>;
    fn list_sealed_by_others(
        key: &[u8; MASTER_KEY_ID_BYTES], after: Option<CredentialId>, limit: u32
    ) -> Vec<CredentialRow>;
    fn reseal(reseal: &Reseal) -> bool;
    fn append_audit(workspace: WorkspaceId, records: &[AuditRecord]) -> AuditChain;
    fn find_audit_chain(workspace: WorkspaceId) -> AuditChain;
    fn list_audit(workspace: WorkspaceId, filter: &AuditFilter, order: AuditOrder, page: &PageRequest<u64>) -> Vec<AuditRow>;
    fn prune_audit(before: u64, limit: u32) -> u64;
    fn delete_inbox(execution: ExecutionId, id: InboxId) -> bool;
}

pass_on! { people:
    fn setup_state() -> SetupState;
    fn insert_setup_token(token: &SetupTokenRow) -> bool;
    fn find_setup_token(hash: &[u8; 32]) -> Option<SetupTokenRow>;
    fn claim_setup(hash: &[u8; 32], user: &UserRow) -> ClaimSetup;
    fn insert_first_user(user: &UserRow) -> bool;
    fn find_user_by_email(email: &str) -> Option<UserRow>;
    fn find_user(id: UserId) -> Option<UserRow>;
    fn list_accounts(after: Option<&str>, limit: u32) -> Vec<UserRow>;
    fn set_password(id: UserId, hash: &str, step: PasswordStep<'_>) -> bool;
    fn find_identity(issuer: &str, subject: &str) -> Option<UserId>;
    fn insert_identity(identity: &IdentityRow) -> bool;
    fn rehash_password(id: UserId, from: &str, to: &str) -> bool;
    fn insert_session(session: &SessionRow, password_hash: Option<&str>) -> bool;
    fn find_session(id: SessionId) -> Option<SessionRow>;
    fn rotate_session(step: &RotateSession) -> RotateOutcome;
    fn touch_session(id: SessionId, expires_at: u64) -> bool;
    fn delete_session(id: SessionId) -> bool;
    fn find_access(user: UserId, wanted: Option<WorkspaceId>) -> Option<AccessRow>;
    fn insert_user(user: &UserRow, role: &RoleGrant) -> InsertMember;
    fn insert_member(workspace: WorkspaceId, user: UserId, role: &RoleGrant, now_ms: u64) -> InsertMember;
    fn find_member(workspace: WorkspaceId, user: UserId) -> Option<MemberRow>;
    fn list_members(workspace: WorkspaceId, after: Option<UserId>, limit: u32) -> Vec<MemberRow>;
    fn set_member_role(workspace: WorkspaceId, user: UserId, role: &RoleGrant) -> ChangeMember;
    fn delete_member(workspace: WorkspaceId, user: UserId) -> ChangeMember;
    fn update_user(id: UserId, change: &UserChange) -> ChangeMember;
    fn delete_user(id: UserId) -> ChangeMember;
    fn insert_role(role: &NewRole) -> InsertRole;
    fn update_role(workspace: WorkspaceId, name: &str, expected_version: Option<u32>, change: &RoleChange) -> UpdateRole;
    fn delete_role(workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> DeleteRole;
    fn find_role(workspace: WorkspaceId, name: &str) -> Option<RoleRow>;
    fn list_roles(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<RoleRow>;
    fn insert_api_key(key: &ApiKeyRow) -> bool;
    fn get_api_key(id: KeyId) -> Option<ApiKeyRow>;
    fn find_api_key(workspace: WorkspaceId, id: KeyId) -> Option<ApiKeyRow>;
    fn list_api_keys(workspace: WorkspaceId, user: Option<UserId>, page: &PageRequest<ApiKeyCursor>) -> Vec<ApiKeyRow>;
    fn update_api_key(workspace: WorkspaceId, id: KeyId, change: &ApiKeyChange) -> Option<ApiKeyRow>;
    fn rotate_api_key(workspace: WorkspaceId, id: KeyId, rotation: &RotateApiKey) -> Option<ApiKeyRow>;
    fn delete_api_key(workspace: WorkspaceId, id: KeyId) -> bool;
    fn touch_api_key(id: KeyId, now_ms: u64, unless_after: u64) -> bool;
    fn insert_workspace(workspace: &WorkspaceRow, owner: UserId) -> InsertWorkspace;
    fn find_workspace(id: WorkspaceId) -> Option<WorkspaceRow>;
    fn list_workspaces(user: UserId, after: Option<WorkspaceId>, limit: u32) -> Vec<JoinedWorkspace>;
    fn rename_workspace(id: WorkspaceId, name: &str) -> Option<WorkspaceRow>;
    fn delete_workspace(id: WorkspaceId) -> DeleteWorkspace;
    fn insert_invitation(invitation: &InvitationRow, role: &RoleGrant) -> InsertInvitation;
    fn find_invitation(hash: &[u8; 32]) -> Option<InvitationRow>;
    fn list_invitations(workspace: WorkspaceId, after: Option<InvitationId>, limit: u32) -> Vec<InvitationRow>;
    fn delete_invitation(workspace: WorkspaceId, id: InvitationId) -> bool;
    fn accept_invitation(invitation: &InvitationRow, invitee: &Invitee, now_ms: u64) -> AcceptInvitation;
}
