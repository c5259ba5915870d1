//! What workspaces have stored: a sum over all that their executions hold.

use std::sync::Arc;

use bytes::Bytes;
use citadel::{
    model::{execution::ExecutionStatus, ids::WorkspaceId},
    store::{Append, Encoding, JournalRow, NewExecution, Payload, Snapshot, Store, WorkspaceUsage, payload::INLINE_BYTES_MAX},
};

use crate::{
    harness::cases,
    samples::{NOON, change, commit, creation, execution, finished, new_execution, own_all, payload, snapshot, stranger},
};

cases! {
    adds_up_what_the_executions_of_a_workspace_hold,
    counts_a_document_elsewhere_as_a_long_one,
}

/// What the two workspaces have stored, in bytes; zero for one that is not named.
async fn stored(store: &dyn Store) -> (u64, u64) {
    let usage: Vec<WorkspaceUsage> = store.workspace_usage().await.unwrap();
    let of = |workspace: WorkspaceId| usage.iter().find(|usage| usage.workspace == workspace).map_or(0, |usage| usage.bytes);
    (of(WorkspaceId::DEFAULT), of(stranger()))
}

/// A first append with this body.
fn with_body(number: u128, epoch: i64, workspace: WorkspaceId, body: Payload) -> Append {
    let append = creation(execution(number), epoch);
    let create = Some(NewExecution { workspace, ..new_execution() });
    Append { entry: JournalRow { body, ..append.entry.clone() }, create, ..append }
}

async fn adds_up_what_the_executions_of_a_workspace_hold(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    assert_eq!(stored(&*store).await, (0, 0));
    commit(&*store, &with_body(1, epoch, WorkspaceId::DEFAULT, payload("0123456789"))).await;
    commit(&*store, &with_body(2, epoch, WorkspaceId::DEFAULT, payload("01234"))).await;
    commit(&*store, &with_body(3, epoch, stranger(), payload("0"))).await;
    assert_eq!(stored(&*store).await, (15, 1));

    let snapshot = Snapshot { body: payload("0123456"), ..snapshot(1) };
    let more = change(execution(1), epoch, 1, finished(ExecutionStatus::Succeeded, NOON));
    let entry = JournalRow { body: payload("01"), ..more.entry.clone() };
    commit(&*store, &Append { entry, snapshot: Some(snapshot), ..more }).await;
    assert_eq!(stored(&*store).await, (15 + 2 + 7, 1));
    assert!(store.delete_execution(WorkspaceId::DEFAULT, execution(1)).await.unwrap());
    assert_eq!(stored(&*store).await, (5, 1));
}

async fn counts_a_document_elsewhere_as_a_long_one(store: Arc<dyn Store>) {
    let epoch = own_all(&*store).await;
    let elsewhere = Payload { encoding: Encoding::Blob, bytes: Bytes::from_static(&[7; 32]) };
    commit(&*store, &with_body(1, epoch, stranger(), elsewhere)).await;
    assert_eq!(stored(&*store).await, (0, u64::try_from(INLINE_BYTES_MAX).unwrap()));
}
