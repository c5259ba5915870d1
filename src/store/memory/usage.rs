//! What workspaces have stored.

use std::collections::BTreeMap;

use super::State;
use crate::{
    model::ids::{ExecutionId, WorkspaceId},
    store::{Encoding, Payload, WorkspaceUsage, payload::INLINE_BYTES_MAX},
};

impl State {
    pub(super) fn workspace_usage(&self) -> Vec<WorkspaceUsage> {
        let entries = self.journal.iter().map(|((execution, _), row)| (*execution, &row.body));
        let snapshots = self.snapshots.iter().map(|(execution, snapshot)| (*execution, &snapshot.body));
        let mut found = BTreeMap::<WorkspaceId, u64>::new();
        for (execution, body) in entries.chain(snapshots) {
            if let Some(workspace) = self.workspace_of(execution) {
                *found.entry(workspace).or_default() += bytes_of(body);
            }
        }
        found.into_iter().map(|(workspace, bytes)| WorkspaceUsage { workspace, bytes }).collect()
    }

    fn workspace_of(&self, execution: ExecutionId) -> Option<WorkspaceId> {
        self.executions.get(&execution).map(|stored| stored.row.new.workspace)
    }
}

fn bytes_of(body: &Payload) -> u64 {
    let bytes = match body.encoding {
        Encoding::Raw | Encoding::Zstd => body.bytes.len(),
        Encoding::Blob => INLINE_BYTES_MAX,
    };
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
