//! How much each workspace has stored, as of the last look. A look reads what every row holds, so there are few, and fewer the
//! longer they take: a workspace may exceed its bound by what it stores between two of them.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::QuotaError;
use crate::{
    model::ids::WorkspaceId,
    store::{Store, WorkspaceUsage},
};

/// Shortest pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How much longer than a look the pause after it is at least: so it takes a fiftieth of the store's time.
const PAUSE_FACTOR: u32 = 50;

/// What was stored at the last look.
pub struct Storage {
    limit_bytes: u64,
    bytes: RwLock<HashMap<WorkspaceId, u64>>,
}

impl Storage {
    pub fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, bytes: RwLock::default() }
    }

    /// Whether a workspace may store more.
    ///
    /// Errors: `Storage`.
    pub fn check(&self, workspace: WorkspaceId) -> Result<(), QuotaError> {
        let bytes = self.bytes.read().expect("nothing panics under this lock");
        match bytes.get(&workspace) {
            Some(stored) if *stored >= self.limit_bytes => Err(QuotaError::Storage { limit_bytes: self.limit_bytes }),
            Some(_) | None => Ok(()),
        }
    }

    fn set(&self, usage: Vec<WorkspaceUsage>) {
        let found = usage.into_iter().map(|usage| (usage.workspace, usage.bytes)).collect();
        *self.bytes.write().expect("nothing panics under this lock") = found;
    }
}

/// Looks again and again, until the handle is dropped. The first look is at once.
#[expect(clippy::disallowed_methods, reason = "whoever keeps the handle owns the task")]
pub fn watch_storage(storage: Arc<Storage>, store: Arc<dyn Store>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let began = Instant::now();
            match store.workspace_usage().await {
                Ok(usage) => storage.set(usage),
                Err(error) => tracing::warn!(error = %error, "what workspaces have stored is not known"),
            }
            tokio::time::sleep(LOOK_EVERY.max(began.elapsed() * PAUSE_FACTOR)).await;
        }
    }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn storage_obeyed_and_violated() {
        let storage = Storage::new(100);
        let (one, other) = (WorkspaceId::DEFAULT, WorkspaceId::from_uuid(Uuid::from_u128(2)));
        assert_eq!(storage.check(one), Ok(()), "nobody has looked yet");
        storage.set(vec![WorkspaceUsage { workspace: one, bytes: 100 }, WorkspaceUsage { workspace: other, bytes: 99 }]);
        assert_eq!(storage.check(one), Err(QuotaError::Storage { limit_bytes: 100 }));
        assert_eq!(storage.check(other), Ok(()));
        storage.set(vec![]);
        assert_eq!(storage.check(one), Ok(()), "it has been made room");
    }
}
