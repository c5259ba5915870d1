//! Variables of a workspace: the service that HTTP writes through, and that an execution reads from when it starts. A service
//! over the store; it has no actor, since every operation is one atomic step of the store.
//!
//! Executions start by the thousand, so the values are kept for a moment. A write here is seen by every start after it; a write
//! on another node within [`FRESH`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use dashmap::DashMap;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use crate::{
    clock,
    model::ids::WorkspaceId,
    store::{
        DeleteVariable, InsertVariable, NewVariable, Result, Store, StoreError, UpdateVariable, VARIABLES_MAX, VariableChange,
        VariableRow,
    },
};

/// How long values are taken from memory.
const FRESH: Duration = Duration::from_secs(1);

/// Variables. Cheap to clone.
#[derive(Clone)]
pub struct VariablesHandle {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    kept: DashMap<WorkspaceId, Kept>,
    /// Counts the writes here: what was read before one is not kept after it.
    writes: AtomicU64,
    /// Held while the store is read, so that one reads for all.
    reading: Mutex<()>,
}

#[derive(Clone)]
struct Kept {
    at: Instant,
    values: Arc<Map<String, Value>>,
}

impl VariablesHandle {
    pub fn new(store: Arc<dyn Store>) -> Self {
        let inner = Inner { store, kept: DashMap::new(), writes: AtomicU64::new(0), reading: Mutex::new(()) };
        Self { inner: Arc::new(inner) }
    }

    /// Stores a new variable.
    ///
    /// Errors: those of the store.
    pub async fn create(
        &self,
        workspace: WorkspaceId,
        name: String,
        value: &Value,
        description: Option<String>,
    ) -> Result<InsertVariable> {
        let new = NewVariable { workspace, name, content: change(value, description) };
        let outcome = self.inner.store.insert_variable(&new).await;
        self.written(workspace);
        outcome
    }

    /// Changes a variable, if it is at `expected_version`.
    ///
    /// Errors: those of the store.
    pub async fn update(
        &self,
        workspace: WorkspaceId,
        name: &str,
        expected_version: Option<u32>,
        value: &Value,
        description: Option<String>,
    ) -> Result<UpdateVariable> {
        let change = change(value, description);
        let outcome = self.inner.store.update_variable(workspace, name, expected_version, &change).await;
        self.written(workspace);
        outcome
    }

    /// Deletes a variable, if it is at `expected_version`.
    ///
    /// Errors: those of the store.
    pub async fn delete(&self, workspace: WorkspaceId, name: &str, expected_version: Option<u32>) -> Result<DeleteVariable> {
        let outcome = self.inner.store.delete_variable(workspace, name, expected_version).await;
        self.written(workspace);
        outcome
    }

    /// Errors: those of the store.
    pub async fn find(&self, workspace: WorkspaceId, name: &str) -> Result<Option<VariableRow>> {
        self.inner.store.find_variable(workspace, name).await
    }

    /// Variables above `after`, by name.
    ///
    /// Errors: those of the store.
    pub async fn list(&self, workspace: WorkspaceId, after: Option<&str>, limit: u32) -> Result<Vec<VariableRow>> {
        self.inner.store.list_variables(workspace, after, limit).await
    }

    /// Every variable with its value.
    ///
    /// Errors: those of the store; `Corrupt` if a value is no JSON.
    pub async fn values(&self, workspace: WorkspaceId) -> Result<Arc<Map<String, Value>>> {
        if let Some(values) = self.fresh(workspace) {
            return Ok(values);
        }
        let _turn = self.inner.reading.lock().await;
        if let Some(values) = self.fresh(workspace) {
            return Ok(values);
        }
        let (writes, at) = (self.inner.writes.load(Ordering::Acquire), Instant::now());
        // A few more than there may be: writers that come at the same time may exceed the number.
        let rows = self.inner.store.list_variables(workspace, None, 2 * VARIABLES_MAX).await?;
        let values = Arc::new(rows.iter().map(value_of).collect::<Result<Map<String, Value>>>()?);
        if self.inner.writes.load(Ordering::Acquire) == writes {
            self.inner.kept.insert(workspace, Kept { at, values: Arc::clone(&values) });
        }
        Ok(values)
    }

    fn fresh(&self, workspace: WorkspaceId) -> Option<Arc<Map<String, Value>>> {
        self.inner.kept.get(&workspace).filter(|kept| kept.at.elapsed() < FRESH).map(|kept| Arc::clone(&kept.values))
    }

    /// Forgets what was read before a write, whatever became of it: also one that failed may have happened.
    fn written(&self, workspace: WorkspaceId) {
        self.inner.writes.fetch_add(1, Ordering::AcqRel);
        self.inner.kept.remove(&workspace);
    }
}

fn change(value: &Value, description: Option<String>) -> VariableChange {
    let value = serde_json::to_vec(value).expect("a JSON value can be written");
    VariableChange { description, value: Bytes::from(value), at: clock::now_ms() }
}

fn value_of(row: &VariableRow) -> Result<(String, Value)> {
    let corrupt = |source| StoreError::Corrupt { what: "variable", source: Box::new(source) };
    Ok((row.name.clone(), serde_json::from_slice(&row.value).map_err(corrupt)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::{
        faulty::{Fault, FaultyStore},
        memory::MemoryStore,
    };

    const HERE: WorkspaceId = WorkspaceId::DEFAULT;

    async fn values(handle: &VariablesHandle) -> Value {
        Value::from((*handle.values(HERE).await.unwrap()).clone())
    }

    #[tokio::test]
    async fn a_start_after_a_write_sees_it() {
        let handle = VariablesHandle::new(Arc::new(MemoryStore::new()));
        assert_eq!(values(&handle).await, json!({}));
        handle.create(HERE, "limit".to_owned(), &json!(1), None).await.unwrap();
        assert_eq!(values(&handle).await, json!({ "limit": 1 }));
        handle.update(HERE, "limit", None, &json!([2]), None).await.unwrap();
        assert_eq!(values(&handle).await, json!({ "limit": [2] }));
        handle.delete(HERE, "limit", None).await.unwrap();
        assert_eq!(values(&handle).await, json!({}));
    }

    #[tokio::test]
    async fn keeps_the_values_for_a_moment_only() {
        let store = Arc::new(FaultyStore::new());
        let (here, elsewhere) = (VariablesHandle::new(Arc::clone(&store) as _), VariablesHandle::new(Arc::clone(&store) as _));
        assert_eq!(values(&here).await, json!({}));
        store.set("list_variables", Some(Fault::Unavailable));
        assert_eq!(values(&here).await, json!({}), "the store is not asked again");
        elsewhere.create(HERE, "limit".to_owned(), &json!(1), None).await.unwrap();
        store.set("list_variables", None);
        let deadline = Instant::now() + 10 * FRESH;
        while values(&here).await == json!({}) {
            assert!(Instant::now() < deadline, "a write on another node is never seen");
            tokio::time::sleep(FRESH / 10).await;
        }
    }
}
