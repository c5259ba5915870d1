//! Gives a SQL backend its `impl Store`. Both have one file per aggregate with functions of the same names, so the list of
//! methods is written once; a function that is missing or differs in one of them does not compile.

/// Implements [`Store`](super::Store) and [`PeopleStore`](super::PeopleStore) for `$store` by the functions of the modules around the call. The type has
/// `reader()`, the pool for reads, `pools()`, all of them by name, and `close_pools()`.
macro_rules! implement_store {
    ($store:ty, $kind:literal) => {
        $crate::store::delegate::delegate! { $store, $kind;
            journal: fn append_batch(batch: &[Append]) -> Vec<AppendOutcome>;
            journal: fn create_keyed(append: &Append, key: &IdempotencyKey) -> KeyedOutcome;
            journal: fn create_queued(append: &Append, schedule: Option<ScheduleId>) -> bool;
            journal: fn create_exclusive(
                append: &Append, key: Option<&IdempotencyKey>, on_taken: OnTaken
            ) -> ExclusiveOutcome;
            journal: fn load_journal(execution: ExecutionId, from_seq: u32, limit: u32) -> Vec<JournalRow>;
            journal: fn find_journal_epoch(execution: ExecutionId, seq: u32) -> Option<i64>;
            snapshots: fn find_snapshot(execution: ExecutionId) -> Option<Snapshot>;

            executions: fn find_execution(workspace: WorkspaceId, id: ExecutionId) -> Option<ExecutionRow>;
            executions: fn get_execution(id: ExecutionId) -> Option<ExecutionRow>;
            executions: fn list_executions(
                workspace: WorkspaceId, filter: &ExecutionFilter, page: &PageRequest<ExecutionCursor>
            ) -> Vec<ExecutionRow>;
            executions: fn list_live(shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionId>;
            executions: fn list_queued(shards: &[u16], limit: u32) -> Vec<ExecutionId>;
            executions: fn list_due(shards: &[u16], until_ms: u64, limit: u32) -> Vec<DueExecution>;
            executions: fn record_activation(id: ExecutionId, seq: u32) -> u32;
            executions: fn clear_activations(id: ExecutionId, seq: u32, count: u32) -> bool;

            retention: fn delete_execution(workspace: WorkspaceId, id: ExecutionId) -> bool;
            retention: fn prune(now_ms: u64, limit: u32) -> u64;
            usage: fn workspace_usage() -> Vec<super::WorkspaceUsage>;

            inbox: fn put_inbox(row: &InboxRow) -> PutInbox;
            inbox: fn list_inbox(execution: ExecutionId, limit: u32) -> Vec<InboxRow>;
            inbox: fn list_inbox_owners(shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Vec<ExecutionId>;
            inbox: fn delete_inbox(execution: ExecutionId, id: InboxId) -> bool;

            shards: fn take_shards(owner: NodeInstanceId, shards: &[u16], lease_ms: u64) -> Vec<ShardLease>;
            shards: fn renew_shards(owner: NodeInstanceId, lease_ms: u64) -> Vec<ShardLease>;
            shards: fn release_shards(owner: NodeInstanceId) -> u64;
            shards: fn hand_over_shards(owner: NodeInstanceId, shards: &[u16]) -> u64;
            shards: fn announce_node(node: NodeInstanceId, lease_ms: u64) -> Vec<NodeInstanceId>;

            batches: fn insert_batch(batch: &NewBatch, open_max: u32, ended_before: u64) -> InsertBatch;
            batches: fn find_batch(workspace: WorkspaceId, id: BatchId) -> Option<BatchRow>;
            batches: fn get_batch_body(id: BatchId) -> Option<Payload>;
            batches: fn list_batches(workspace: WorkspaceId, page: &PageRequest<BatchCursor>) -> Vec<BatchRow>;
            batches: fn list_open_batches(limit: u32) -> Vec<BatchRow>;
            batches: fn advance_batch(id: BatchId, done: u32, progress: &BatchProgress) -> bool;
            batches: fn cancel_batch(workspace: WorkspaceId, id: BatchId, now_ms: u64) -> bool;

            workflows: fn insert_workflow(workflow: &NewWorkflow) -> WorkflowRow;
            workflows: fn update_workflow(
                workspace: WorkspaceId, id: WorkflowId, expected_version: u32, version: &NewVersion
            ) -> UpdateWorkflow;
            workflows: fn find_workflow(workspace: WorkspaceId, id: WorkflowId) -> Option<WorkflowRow>;
            workflows: fn list_workflows(
                workspace: WorkspaceId, filter: &WorkflowFilter, page: &PageRequest<WorkflowCursor>
            ) -> Vec<WorkflowRow>;
            tags: fn list_tags(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<TagCount>;
            workflows: fn delete_workflow(workspace: WorkspaceId, id: WorkflowId) -> bool;
            workflows: fn find_workflow_version(workspace: WorkspaceId, id: WorkflowId, version: u32) -> Option<VersionRow>;
            workflows: fn list_workflow_versions(
                workspace: WorkspaceId, id: WorkflowId, below: Option<u32>, limit: u32
            ) -> Vec<VersionSummary>;

            hooks: fn activate_workflow(workspace: WorkspaceId, id: WorkflowId, publication: &Publication) -> Activation;
            hooks: fn deactivate_workflow(workspace: WorkspaceId, id: WorkflowId, now_ms: u64) -> bool;
            hooks: fn publication_rev() -> u64;
            hooks: fn list_hooks(limit: u32) -> Vec<HookRow>;

            schedules: fn insert_schedule(schedule: &NewSchedule, schedules_max: u32) -> InsertSchedule;
            schedules: fn update_schedule(
                workspace: WorkspaceId, id: ScheduleId, expected_rev: u32, content: &ScheduleContent, now_ms: u64
            ) -> UpdateSchedule;
            schedules: fn pause_schedule(workspace: WorkspaceId, id: ScheduleId, now_ms: u64) -> Option<ScheduleRow>;
            schedules: fn resume_schedule(
                workspace: WorkspaceId, id: ScheduleId, expected_rev: u32, next: Option<Tick>, now_ms: u64
            ) -> UpdateSchedule;
            schedules: fn delete_schedule(workspace: WorkspaceId, id: ScheduleId) -> bool;
            schedules: fn find_schedule(workspace: WorkspaceId, id: ScheduleId) -> Option<ScheduleRow>;
            schedules: fn list_schedules(
                workspace: WorkspaceId, workflow: Option<WorkflowId>, page: &PageRequest<ScheduleCursor>
            ) -> Vec<ScheduleRow>;
            schedules: fn due_schedules(until_ms: u64, limit: u32) -> Vec<ScheduleRow>;
            schedules: fn move_schedule(step: &MoveSchedule) -> bool;
            schedules: fn fire_schedule(fire: &FireSchedule) -> FireOutcome;
            schedules: fn list_live_of_schedule(id: ScheduleId, limit: u32) -> Vec<ExecutionId>;
            variables: fn insert_variable(variable: &NewVariable) -> InsertVariable;
            variables: fn update_variable(
                workspace: WorkspaceId, name: &str, expected_version: Option<u32>, change: &VariableChange
            ) -> UpdateVariable;
            variables: fn delete_variable(workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> DeleteVariable;
            variables: fn find_variable(workspace: WorkspaceId, name: &str) -> Option<VariableRow>;
            variables: fn list_variables(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<VariableRow>;

            credentials: fn insert_credential(credential: &NewCredential) -> InsertCredential;
            credentials: fn update_credential(
                workspace: WorkspaceId, id: CredentialId, expected_version: u32, change: &CredentialChange
            ) -> UpdateCredential;
            credentials: fn delete_credential(workspace: WorkspaceId, id: CredentialId, expected_version: Option<u32>) -> DeleteCredential;
            credentials: fn find_credential(workspace: WorkspaceId, id: CredentialId) -> Option<CredentialRow>;
            credentials: fn find_credential_by_name(workspace: WorkspaceId, name: &str) -> Option<CredentialRow>;
            credentials: fn list_credentials(
                workspace: WorkspaceId, kind: Option<&str>, after: Option<&str>, limit: u32
            ) -> Vec<CredentialRow>;
            credentials: fn list_credential_users(
                workspace: WorkspaceId, name: &str, after: Option<WorkflowId>, limit: u32
            ) -> Vec<CredentialUser>;
            credentials: fn use_credential(id: CredentialId, at: u64) -> bool;
            credentials: fn begin_grant(id: CredentialId, rev: u32, lease_ms: u64) -> bool;
            credentials: fn end_grant(id: CredentialId, rev: u32) -> bool;
            credentials: fn put_grant(id: CredentialId, rev: u32, grant: &Grant) -> bool;

            master_keys: fn list_master_keys() -> Vec<MasterKeyRow>;
            master_keys: fn admit_master_key(key: &MasterKeyRow, held: &[[u8; MASTER_KEY_ID_BYTES]]) -> AdmitMasterKey;
            master_keys: fn retire_master_keys(keep: &[u8; MASTER_KEY_ID_BYTES]) -> Option<u64>;
            master_keys: fn list_sealed_by_others(
                key: &[u8; MASTER_KEY_ID_BYTES], after: Option<CredentialId>, limit: u32
            ) -> Vec<CredentialRow>;
            master_keys: fn reseal(reseal: &Reseal) -> bool;
            audit: fn append_audit(workspace: WorkspaceId, records: &[AuditRecord]) -> AuditChain;
            audit: fn find_audit_chain(workspace: WorkspaceId) -> AuditChain;
            audit: fn list_audit(
                workspace: WorkspaceId, filter: &AuditFilter, order: AuditOrder, page: &PageRequest<u64>
            ) -> Vec<AuditRow>;
            audit: fn prune_audit(before: u64, limit: u32) -> u64;
        }
        $crate::store::delegate::delegate! { $store, PeopleStore;
            accounts: fn setup_state() -> SetupState;
            accounts: fn insert_setup_token(token: &SetupTokenRow) -> bool;
            accounts: fn find_setup_token(hash: &[u8; 32]) -> Option<SetupTokenRow>;
            accounts: fn claim_setup(hash: &[u8; 32], user: &UserRow) -> ClaimSetup;
            accounts: fn insert_first_user(user: &UserRow) -> bool;
            accounts: fn find_user_by_email(email: &str) -> Option<UserRow>;
            accounts: fn find_user(id: UserId) -> Option<UserRow>;
            accounts: fn list_accounts(after: Option<&str>, limit: u32) -> Vec<UserRow>;
            accounts: fn set_password(id: UserId, hash: &str, step: PasswordStep<'_>) -> bool;
            accounts: fn find_identity(issuer: &str, subject: &str) -> Option<UserId>;
            accounts: fn insert_identity(identity: &IdentityRow) -> bool;
            accounts: fn rehash_password(id: UserId, from: &str, to: &str) -> bool;
            sessions: fn insert_session(session: &SessionRow, password_hash: Option<&str>) -> bool;
            sessions: fn find_session(id: SessionId) -> Option<SessionRow>;
            sessions: fn rotate_session(step: &RotateSession) -> RotateOutcome;
            sessions: fn touch_session(id: SessionId, expires_at: u64) -> bool;
            sessions: fn delete_session(id: SessionId) -> bool;
            members: fn find_access(user: UserId, wanted: Option<WorkspaceId>) -> Option<AccessRow>;
            members: fn insert_user(user: &UserRow, role: &RoleGrant) -> InsertMember;
            members: fn insert_member(
                workspace: WorkspaceId, user: UserId, role: &RoleGrant, now_ms: u64
            ) -> InsertMember;
            members: fn find_member(workspace: WorkspaceId, user: UserId) -> Option<MemberRow>;
            members: fn list_members(workspace: WorkspaceId, after: Option<UserId>, limit: u32) -> Vec<MemberRow>;
            members: fn set_member_role(workspace: WorkspaceId, user: UserId, role: &RoleGrant) -> ChangeMember;
            members: fn delete_member(workspace: WorkspaceId, user: UserId) -> ChangeMember;
            members: fn update_user(id: UserId, change: &UserChange) -> ChangeMember;
            members: fn delete_user(id: UserId) -> ChangeMember;
            roles: fn insert_role(role: &NewRole) -> InsertRole;
            roles: fn update_role(
                workspace: WorkspaceId, name: &str, expected_version: Option<u32>, change: &RoleChange
            ) -> UpdateRole;
            roles: fn delete_role(workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> DeleteRole;
            roles: fn find_role(workspace: WorkspaceId, name: &str) -> Option<RoleRow>;
            roles: fn list_roles(workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Vec<RoleRow>;
            api_keys: fn insert_api_key(key: &ApiKeyRow) -> bool;
            api_keys: fn get_api_key(id: KeyId) -> Option<ApiKeyRow>;
            api_keys: fn find_api_key(workspace: WorkspaceId, id: KeyId) -> Option<ApiKeyRow>;
            api_keys: fn list_api_keys(
                workspace: WorkspaceId, user: Option<UserId>, page: &PageRequest<ApiKeyCursor>
            ) -> Vec<ApiKeyRow>;
            api_keys: fn update_api_key(
                workspace: WorkspaceId, id: KeyId, change: &ApiKeyChange
            ) -> Option<ApiKeyRow>;
            api_keys: fn rotate_api_key(
                workspace: WorkspaceId, id: KeyId, rotation: &RotateApiKey
            ) -> Option<ApiKeyRow>;
            api_keys: fn delete_api_key(workspace: WorkspaceId, id: KeyId) -> bool;
            api_keys: fn touch_api_key(id: KeyId, now_ms: u64, unless_after: u64) -> bool;
            workspaces: fn insert_workspace(workspace: &WorkspaceRow, owner: UserId) -> InsertWorkspace;
            workspaces: fn find_workspace(id: WorkspaceId) -> Option<WorkspaceRow>;
            workspaces: fn list_workspaces(user: UserId, after: Option<WorkspaceId>, limit: u32) -> Vec<JoinedWorkspace>;
            workspaces: fn rename_workspace(id: WorkspaceId, name: &str) -> Option<WorkspaceRow>;
            workspaces: fn delete_workspace(id: WorkspaceId) -> DeleteWorkspace;
            invitations: fn insert_invitation(invitation: &InvitationRow, role: &RoleGrant) -> InsertInvitation;
            invitations: fn find_invitation(hash: &[u8; 32]) -> Option<InvitationRow>;
            invitations: fn list_invitations(workspace: WorkspaceId, after: Option<InvitationId>, limit: u32) -> Vec<InvitationRow>;
            invitations: fn delete_invitation(workspace: WorkspaceId, id: InvitationId) -> bool;
            invitations: fn accept_invitation(invitation: &InvitationRow, invitee: &Invitee, now_ms: u64) -> AcceptInvitation;
        }
    };
}

/// Writes the `impl` for a list of methods with their modules.
macro_rules! delegate {
    ($store:ty, PeopleStore; $($module:ident: fn $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl PeopleStore for $store {
            $(async fn $method(&self, $($arg: $type),*) -> Result<$answer> {
                $module::$method(self, $($arg),*).await
            })*
        }
    };
    ($store:ty, $kind:literal; $($module:ident: fn $method:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Store for $store {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn connections(&self) -> Vec<ConnectionPool> {
                let pool = |(name, pool): (&'static str, &sqlx::Pool<_>)| {
                    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
                    let max = pool.options().get_max_connections();
                    ConnectionPool { name, in_use: pool.size().saturating_sub(idle), idle, max }
                };
                self.pools().into_iter().map(pool).collect()
            }

            async fn ping(&self) -> Result<()> {
                sqlx::query("SELECT 1").execute(self.reader()).await.map_err(failed("asking for a sign of life"))?;
                Ok(())
            }

            async fn close(&self) {
                self.close_pools().await;
            }

            $(async fn $method(&self, $($arg: $type),*) -> Result<$answer> {
                $module::$method(self, $($arg),*).await
            })*
        }
    };
}

pub(super) use {delegate, implement_store};
