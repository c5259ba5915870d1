//! The handle and its writer, with stores that fail.

use std::time::Instant;

use super::*;
use crate::{
    actors::supervisor::{RootHandle, SupervisorArgs, Tolerance},
    model::ids::UserId,
    store::{
        faulty::{Fault, FaultyStore},
        memory::MemoryStore,
    },
};

const HERE: WorkspaceId = WorkspaceId::DEFAULT;
const DEADLINE: Duration = Duration::from_secs(20);

async fn start(handle: &AuditHandle) -> RootHandle {
    let args = SupervisorArgs {
        children: vec![handle.child()],
        tolerance: Tolerance::Unlimited,
        stop_within: Duration::from_secs(1),
        on_meltdown: None,
    };
    RootHandle::start(args).await.unwrap()
}

fn origin() -> Origin {
    Origin::system(HERE).by_user(HERE, UserId::from_uuid(uuid::Uuid::from_u128(1)))
}

fn created(name: &str) -> AuditEvent {
    AuditEvent::VariableCreated(name.to_owned())
}

async fn targets(handle: &AuditHandle) -> Vec<String> {
    let page = PageRequest { after: None, limit: 100_000 };
    let rows = handle.list(HERE, &AuditFilter::default(), AuditOrder::OldestFirst, &page).await.unwrap();
    rows.into_iter().filter_map(|row| row.record.target).collect()
}

#[tokio::test]
async fn a_record_is_stored_when_it_returns() {
    let handle = AuditHandle::new(Arc::new(MemoryStore::new()));
    let root = start(&handle).await;
    handle.record(origin(), created("a")).await;
    assert_eq!(targets(&handle).await, ["a"]);
    handle.note(&origin(), created("b"));
    assert_eq!(handle.flush(DEADLINE).await, 0);
    assert_eq!(targets(&handle).await, ["a", "b"]);
    root.stop().await;
}

#[tokio::test]
async fn keeps_the_order_of_a_workspace_and_writes_for_several() {
    let handle = AuditHandle::new(Arc::new(MemoryStore::new()));
    let other = WorkspaceId::from_uuid(uuid::Uuid::from_u128(7));
    for number in 0..500 {
        let workspace = if number % 3 == 0 { other } else { HERE };
        handle.note(&origin().in_workspace(workspace), created(&number.to_string()));
    }
    let root = start(&handle).await;
    assert_eq!(handle.flush(DEADLINE).await, 0);
    let expected: Vec<String> = (0..500).filter(|number| number % 3 != 0).map(|number| number.to_string()).collect();
    assert_eq!(targets(&handle).await, expected);
    assert_eq!(handle.chain(other).await.unwrap().next_seq, 168);
    root.stop().await;
}

#[tokio::test]
async fn a_row_survives_a_store_that_cannot_be_reached() {
    let store = Arc::new(FaultyStore::new());
    store.set("append_audit", Some(Fault::Unavailable));
    let handle = AuditHandle::new(Arc::clone(&store) as _);
    let root = start(&handle).await;
    handle.note(&origin(), created("a"));
    assert_eq!(handle.flush(Duration::from_millis(100)).await, 1);
    store.set("append_audit", None);
    assert_eq!(handle.flush(DEADLINE).await, 0);
    assert_eq!(targets(&handle).await, ["a"]);
    root.stop().await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_makes_one_row() {
    let store = Arc::new(FaultyStore::new());
    store.set("append_audit", Some(Fault::LoseAnswer));
    let handle = AuditHandle::new(Arc::clone(&store) as _);
    let root = start(&handle).await;
    handle.note(&origin(), created("a"));
    let deadline = Instant::now() + DEADLINE;
    while targets(&handle).await.is_empty() {
        assert!(Instant::now() < deadline, "the first try takes effect");
        tokio::time::sleep(FLUSH_POLL).await;
    }
    store.set("append_audit", None);
    assert_eq!(handle.flush(DEADLINE).await, 0);
    assert_eq!(targets(&handle).await, ["a"]);
    root.stop().await;
}

#[tokio::test]
async fn a_writer_that_dies_loses_no_row() {
    let store = Arc::new(FaultyStore::new());
    store.set("append_audit", Some(Fault::Hang));
    let handle = AuditHandle::new(Arc::clone(&store) as _);
    let root = start(&handle).await;
    handle.note(&origin(), created("a"));
    assert_eq!(handle.flush(Duration::from_millis(100)).await, 1);
    store.set("append_audit", None);
    handle.inner.writer.get().unwrap().kill();
    assert_eq!(handle.flush(DEADLINE).await, 0);
    assert_eq!(targets(&handle).await, ["a"]);
    root.stop().await;
}

#[tokio::test]
async fn a_row_that_cannot_be_stored_does_not_take_its_neighbours_along() {
    let handle = AuditHandle::new(Arc::new(MemoryStore::new()));
    for name in ["a", "b", "c"] {
        handle.note(&origin(), created(name));
    }
    "no JSON".clone_into(&mut handle.queue()[1].record.details);
    let root = start(&handle).await;
    assert_eq!(handle.flush(DEADLINE).await, 0);
    assert_eq!(targets(&handle).await, ["a", "c"]);
    root.stop().await;
}

#[tokio::test]
async fn queue_limit_obeyed_and_violated() {
    let handle = AuditHandle::new(Arc::new(MemoryStore::new()));
    for number in 0..QUEUE_MAX {
        handle.note(&origin(), created(&number.to_string()));
    }
    assert_eq!(handle.queue().len(), QUEUE_MAX);
    let began = Instant::now();
    handle.record(origin(), created("more")).await;
    assert!(began.elapsed() < WRITTEN_WITHIN, "what is refused is not waited for");
    assert_eq!(handle.queue().len(), QUEUE_MAX);
    let root = start(&handle).await;
    assert_eq!(handle.flush(DEADLINE).await, 0);
    let written = targets(&handle).await;
    assert_eq!((written.len(), written.last().unwrap().as_str()), (QUEUE_MAX, (QUEUE_MAX - 1).to_string().as_str()));
    root.stop().await;
}
