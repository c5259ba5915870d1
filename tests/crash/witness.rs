//! What is in the store while no server runs: which effects were recorded.

use std::collections::{BTreeMap, BTreeSet};

use citadel::{
    model::{
        event::{Event, Recorded},
        ids::ExecutionId,
    },
    store::{
        blobs::BlobStore,
        open::{OpenOptions, open},
        payload::PayloadCodec,
    },
};

use crate::store::TestStore;

/// Rows of one journal; the tests' executions stay far below.
const ROWS_MAX: u32 = 10_000;

/// The recorded effects of the executions: execution id and node. Also checks that no journal has a gap.
pub(crate) async fn recorded(store: &TestStore, executions: &BTreeMap<u64, String>) -> BTreeSet<(u64, String)> {
    let opened = open(&OpenOptions::new(&store.url)).await.unwrap();
    let codec = PayloadCodec::new(BlobStore::open(&store.directory.path().join("data/blobs")).await.unwrap());
    let mut found = BTreeSet::new();
    for (number, id) in executions {
        let id: ExecutionId = id.parse().unwrap();
        let rows = opened.load_journal(id, 0, ROWS_MAX).await.unwrap();
        assert!(!rows.is_empty(), "the acknowledged execution {id} has no journal");
        let mut next = 0;
        for row in rows {
            assert_eq!(row.seq, next, "the journal of {id} has a gap");
            next += row.count;
            let events: Vec<Recorded> = serde_json::from_slice(&codec.decode(&row.body).await.unwrap()).unwrap();
            for recorded in events {
                if let Event::NodeSucceeded { attempt, .. } = recorded.event {
                    found.insert((*number, attempt.node.to_string()));
                }
            }
        }
    }
    opened.close().await;
    found
}
