//! Keeps compiled workflow versions. Versions never change, so an entry never becomes wrong; it only makes room.

use std::{
    collections::HashMap,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{model::ids::WorkflowId, nodes::plan::CompiledWorkflow};

/// Compiled versions that are kept.
const ENTRIES_MAX: usize = 1_000;
/// Bytes of the kept versions, measured by their definitions' text.
const TEXT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The cache. Lookups share a lock, so that starts do not wait for each other.
#[derive(Default)]
pub(super) struct CompiledCache {
    entries: RwLock<HashMap<(WorkflowId, u32), Entry>>,
    /// Counts the uses: the order of `last_use`.
    clock: AtomicU64,
}

struct Entry {
    compiled: Arc<CompiledWorkflow>,
    text_bytes: usize,
    last_use: AtomicU64,
}

impl CompiledCache {
    /// The version, if it is kept.
    pub(super) fn get(&self, workflow: WorkflowId, version: u32) -> Option<Arc<CompiledWorkflow>> {
        let entries = self.entries.read().expect("nothing panics under this lock");
        let entry = entries.get(&(workflow, version))?;
        entry.last_use.store(self.tick(), Ordering::Relaxed);
        Some(Arc::clone(&entry.compiled))
    }

    /// Keeps a version; those that were not used for longest make room.
    pub(super) fn put(&self, compiled: Arc<CompiledWorkflow>, text_bytes: usize) {
        let key = (compiled.workflow, compiled.version);
        let entry = Entry { compiled, text_bytes, last_use: AtomicU64::new(self.tick()) };
        let mut entries = self.entries.write().expect("nothing panics under this lock");
        entries.insert(key, entry);
        let mut total_bytes: usize = entries.values().map(|entry| entry.text_bytes).sum();
        while entries.len() > 1 && (entries.len() > ENTRIES_MAX || total_bytes > TEXT_BYTES_MAX) {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.last_use.load(Ordering::Relaxed)).map(|(key, _)| *key);
            let removed = oldest.and_then(|key| entries.remove(&key));
            total_bytes -= removed.map_or(0, |entry| entry.text_bytes);
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::{
        model::definition::parse::parse_value,
        nodes::{plan::compile, registry::Registry},
    };

    fn compiled(version: u32) -> Arc<CompiledWorkflow> {
        let definition = parse_value(json!({ "name": "a", "nodes": [{ "id": "m", "type": "manual" }] })).unwrap();
        let workflow = WorkflowId::from_uuid(Uuid::from_u128(1));
        Arc::new(compile(&Registry::builtin(), definition, workflow, version).unwrap_or_else(|problems| panic!("{problems:?}")))
    }

    #[test]
    fn bytes_limit_obeyed_and_violated() {
        let cache = CompiledCache::default();
        let id = compiled(1).workflow;
        cache.put(compiled(1), TEXT_BYTES_MAX / 2);
        cache.put(compiled(2), TEXT_BYTES_MAX / 2);
        assert!(cache.get(id, 2).is_some() && cache.get(id, 1).is_some());
        cache.put(compiled(3), 1);
        assert!(cache.get(id, 2).is_none(), "it was used before version 1");
        assert!(cache.get(id, 1).is_some() && cache.get(id, 3).is_some());
    }
}
