//! A scope for tests.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::scope::{RunData, Scope};
use crate::model::item::{Item, ItemSource, Outputs, PortItems, RunOutput};

/// The parts that a [`Scope`] borrows.
pub(super) struct World {
    pub(super) items: Vec<Item>,
    pub(super) outputs: Outputs,
    pub(super) data: RunData,
}

impl World {
    /// Two items, the second of which is the scope's; node `source` has put out three, and made the second from its third.
    pub(super) fn new(first: Value, current: Value) -> Self {
        let mut current = Item::from_value(current);
        current.source = Some(ItemSource { node: "source".into(), run: 0, item: 2 });
        let made = ["a", "b", "c"].map(|name| Item::from_value(json!({ "name": name, "tags": [name, 1] })));
        let output = RunOutput { run: 0, ports: PortItems::main(made.to_vec()) };
        Self {
            items: vec![Item::from_value(first), current],
            outputs: Arc::new(BTreeMap::from([(Arc::from("source"), output)])),
            data: RunData {
                execution: json!({ "id": "exe_1", "nesting": 0 }),
                workflow: json!({ "id": "wf_1", "name": "Test" }),
                vars: json!({ "limit": 10 }),
                env: json!({ "REGION": "eu" }),
                timezone: "Europe/Berlin".to_owned(),
            },
        }
    }

    pub(super) fn scope(&self) -> Scope<'_> {
        Scope {
            item: self.items.get(1),
            item_index: 1,
            items: &self.items,
            run_index: 0,
            outputs: &self.outputs,
            data: &self.data,
            now_ms: 1_782_945_000_250, // 2026-07-01T22:30:00.250Z
        }
    }
}
