//! Gives a SQL backend its `impl Store`. Both have one file per aggregate with functions of the same names, so the list of
//! methods is written once; a function that is missing or differs in one of them does not compile.

/// Implements [`Store`](super::Store) for `$store` by the functions of the modules around the call. The type has
/// `reader()`, the pool for reads, and `close_pools()`.
macro_rules! implement_store {
    ($store:ty, $kind:literal) => {
        #[async_trait]
        impl Store for $store {
            fn kind(&self) -> &'static str {
                $kind
            }

            async fn ping(&self) -> Result<()> {
                sqlx::query("SELECT 1").execute(self.reader()).await.map_err(failed("asking for a sign of life"))?;
                Ok(())
            }

            async fn close(&self) {
                self.close_pools().await;
            }

            async fn append_batch(&self, batch: &[Append]) -> Result<Vec<AppendOutcome>> {
                journal::append_batch(self, batch).await
            }

            async fn create_keyed(&self, append: &Append, key: &IdempotencyKey) -> Result<KeyedOutcome> {
                journal::create_keyed(self, append, key).await
            }

            async fn load_journal(&self, execution: ExecutionId, from_seq: u32, limit: u32) -> Result<Vec<JournalRow>> {
                journal::load_journal(self, execution, from_seq, limit).await
            }

            async fn find_journal_epoch(&self, execution: ExecutionId, seq: u32) -> Result<Option<i64>> {
                journal::find_journal_epoch(self, execution, seq).await
            }

            async fn find_execution(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<Option<ExecutionRow>> {
                executions::find_execution(self, workspace, id).await
            }

            async fn get_execution(&self, id: ExecutionId) -> Result<Option<ExecutionRow>> {
                executions::get_execution(self, id).await
            }

            async fn list_executions(
                &self,
                workspace: WorkspaceId,
                filter: &ExecutionFilter,
                page: &PageRequest<ExecutionCursor>,
            ) -> Result<Vec<ExecutionRow>> {
                executions::list_executions(self, workspace, filter, page).await
            }

            async fn list_live(&self, shards: &[u16], after: Option<ExecutionId>, limit: u32) -> Result<Vec<ExecutionId>> {
                executions::list_live(self, shards, after, limit).await
            }

            async fn list_due(&self, shards: &[u16], until_ms: u64, limit: u32) -> Result<Vec<DueExecution>> {
                executions::list_due(self, shards, until_ms, limit).await
            }

            async fn record_activation(&self, id: ExecutionId, seq: u32) -> Result<u32> {
                executions::record_activation(self, id, seq).await
            }

            async fn delete_execution(&self, workspace: WorkspaceId, id: ExecutionId) -> Result<bool> {
                retention::delete_execution(self, workspace, id).await
            }

            async fn prune(&self, now_ms: u64, limit: u32) -> Result<u64> {
                retention::prune(self, now_ms, limit).await
            }

            async fn put_inbox(&self, row: &InboxRow) -> Result<PutInbox> {
                inbox::put_inbox(self, row).await
            }

            async fn list_inbox(&self, execution: ExecutionId, limit: u32) -> Result<Vec<InboxRow>> {
                inbox::list_inbox(self, execution, limit).await
            }

            async fn list_inbox_owners(
                &self,
                shards: &[u16],
                after: Option<ExecutionId>,
                limit: u32,
            ) -> Result<Vec<ExecutionId>> {
                inbox::list_inbox_owners(self, shards, after, limit).await
            }

            async fn delete_inbox(&self, execution: ExecutionId, id: InboxId) -> Result<bool> {
                inbox::delete_inbox(self, execution, id).await
            }

            async fn take_shards(&self, owner: NodeInstanceId, shards: &[u16], lease_ms: u64) -> Result<Vec<ShardLease>> {
                shards::take_shards(self, owner, shards, lease_ms).await
            }

            async fn renew_shards(&self, owner: NodeInstanceId, lease_ms: u64) -> Result<Vec<ShardLease>> {
                shards::renew_shards(self, owner, lease_ms).await
            }

            async fn release_shards(&self, owner: NodeInstanceId) -> Result<u64> {
                shards::release_shards(self, owner).await
            }

            async fn insert_workflow(&self, workflow: &NewWorkflow) -> Result<WorkflowRow> {
                workflows::insert_workflow(self, workflow).await
            }

            async fn update_workflow(
                &self,
                workspace: WorkspaceId,
                id: WorkflowId,
                expected_version: u32,
                version: &NewVersion,
            ) -> Result<UpdateWorkflow> {
                workflows::update_workflow(self, workspace, id, expected_version, version).await
            }

            async fn find_workflow(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<Option<WorkflowRow>> {
                workflows::find_workflow(self, workspace, id).await
            }

            async fn list_workflows(
                &self,
                workspace: WorkspaceId,
                page: &PageRequest<WorkflowCursor>,
            ) -> Result<Vec<WorkflowRow>> {
                workflows::list_workflows(self, workspace, page).await
            }

            async fn delete_workflow(&self, workspace: WorkspaceId, id: WorkflowId) -> Result<bool> {
                workflows::delete_workflow(self, workspace, id).await
            }

            async fn find_workflow_version(
                &self,
                workspace: WorkspaceId,
                id: WorkflowId,
                version: u32,
            ) -> Result<Option<VersionRow>> {
                workflows::find_workflow_version(self, workspace, id, version).await
            }

            async fn list_workflow_versions(
                &self,
                workspace: WorkspaceId,
                id: WorkflowId,
                below: Option<u32>,
                limit: u32,
            ) -> Result<Vec<VersionSummary>> {
                workflows::list_workflow_versions(self, workspace, id, below, limit).await
            }

            async fn activate_workflow(
                &self,
                workspace: WorkspaceId,
                id: WorkflowId,
                version: u32,
                hooks: &[NewHook],
                now_ms: u64,
            ) -> Result<Activation> {
                hooks::activate_workflow(self, workspace, id, version, hooks, now_ms).await
            }

            async fn deactivate_workflow(&self, workspace: WorkspaceId, id: WorkflowId, now_ms: u64) -> Result<bool> {
                hooks::deactivate_workflow(self, workspace, id, now_ms).await
            }

            async fn list_hooks(&self, limit: u32) -> Result<Vec<HookRow>> {
                hooks::list_hooks(self, limit).await
            }

            async fn insert_first_user(&self, user: &UserRow) -> Result<bool> {
                accounts::insert_first_user(self, user).await
            }

            async fn find_user_by_email(&self, email: &str) -> Result<Option<UserRow>> {
                accounts::find_user_by_email(self, email).await
            }

            async fn find_user(&self, id: UserId) -> Result<Option<UserRow>> {
                accounts::find_user(self, id).await
            }

            async fn insert_token(&self, token: &TokenRow) -> Result<()> {
                accounts::insert_token(self, token).await
            }

            async fn find_token(&self, hash: &[u8; 32]) -> Result<Option<TokenRow>> {
                accounts::find_token(self, hash).await
            }

            async fn has_token(&self, kind: TokenKind) -> Result<bool> {
                accounts::has_token(self, kind).await
            }

            async fn delete_token(&self, id: TokenId) -> Result<bool> {
                accounts::delete_token(self, id).await
            }
        }
    };
}

pub(super) use implement_store;
