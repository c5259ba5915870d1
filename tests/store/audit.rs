//! The audit log: the chain of a workspace stays whole, whoever appends and whatever retention takes away.

use std::{collections::BTreeSet, sync::Arc};

use citadel::{
    model::{
        audit::{AuditRecord, Digest, hashed_text},
        ids::{AuditId, WorkspaceId},
    },
    store::{
        AuditChain, AuditFilter, AuditOrder, AuditRow, PageRequest, Store,
        open::{OpenOptions, open},
    },
};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};

use crate::{
    harness::{cases, with_postgres_database},
    samples::{NOON, audit_record, stranger},
};

const HERE: WorkspaceId = WorkspaceId::DEFAULT;
const ALL: PageRequest<u64> = PageRequest { after: None, limit: 1_000 };

cases! {
    chains_rows_by_their_hashes,
    keeps_every_field,
    leaves_a_repeated_record_out,
    keeps_chains_of_workspaces_apart,
    lists_in_both_orders_by_pages,
    lists_what_a_filter_wants,
    takes_old_rows_off_the_beginning_only,
    appends_at_once_make_one_chain,
}

fn record(number: u128) -> AuditRecord {
    AuditRecord { at: NOON + u64::try_from(number).unwrap(), action: "workflow.updated".to_owned(), ..audit_record(number, 0) }
}

fn records(numbers: impl IntoIterator<Item = u128>) -> Vec<AuditRecord> {
    numbers.into_iter().map(record).collect()
}

async fn all(store: &dyn Store, workspace: WorkspaceId) -> Vec<AuditRow> {
    store.list_audit(workspace, &AuditFilter::default(), AuditOrder::OldestFirst, &ALL).await.unwrap()
}

fn link(row: &AuditRow, prev: Digest) -> Digest {
    let text = hashed_text(row.workspace, row.seq, &citadel::clock::rfc3339(row.record.at), &row.record).unwrap();
    Digest(Sha256::new().chain_update(prev.0).chain_update(text).finalize().into())
}

/// Checks a chain by what everybody can know about it; answers its rows.
async fn whole(store: &dyn Store, workspace: WorkspaceId) -> Vec<AuditRow> {
    let (chain, rows) = (store.find_audit_chain(workspace).await.unwrap(), all(store, workspace).await);
    let (mut seq, mut prev) = (chain.first_seq, chain.base_hash);
    for row in &rows {
        assert_eq!((row.workspace, row.seq, row.prev_hash, row.hash), (workspace, seq, prev, link(row, prev)));
        (seq, prev) = (seq + 1, row.hash);
    }
    assert_eq!((chain.next_seq, chain.last_hash), (seq, prev));
    rows
}

async fn chains_rows_by_their_hashes(store: Arc<dyn Store>) {
    assert_eq!(store.find_audit_chain(HERE).await.unwrap(), AuditChain::NEW);
    assert_eq!(store.append_audit(HERE, &[]).await.unwrap(), AuditChain::NEW);
    let chain = store.append_audit(HERE, &records(1..=2)).await.unwrap();
    assert_eq!((chain.first_seq, chain.base_hash, chain.next_seq), (1, Digest::ZERO, 3));
    let later = store.append_audit(HERE, &records(3..=3)).await.unwrap();
    assert_eq!(later, store.find_audit_chain(HERE).await.unwrap());
    let rows = whole(&*store, HERE).await;
    assert_eq!(rows.iter().map(|row| row.record.clone()).collect::<Vec<_>>(), records(1..=3));
    assert_eq!(rows[2].prev_hash, chain.last_hash);
}

async fn keeps_every_field(store: Arc<dyn Store>) {
    let full = AuditRecord {
        actor: "usr_1".to_owned(),
        token: Some("tok_1".to_owned()),
        target: None,
        address: Some("2001:db8::1".to_owned()),
        request_id: Some("r-1 \"ü\"".to_owned()),
        before: Some(Digest([1; 32])),
        after: Some(Digest([2; 32])),
        details: r#"{"z":1,"a":"ü \u0001","b":null}"#.to_owned(),
        ..record(1)
    };
    store.append_audit(HERE, std::slice::from_ref(&full)).await.unwrap();
    assert_eq!(whole(&*store, HERE).await[0].record, full);
}

async fn leaves_a_repeated_record_out(store: Arc<dyn Store>) {
    let chain = store.append_audit(HERE, &records(1..=2)).await.unwrap();
    assert_eq!(store.append_audit(HERE, &records(1..=2)).await.unwrap(), chain);
    store.append_audit(HERE, &records(2..=3)).await.unwrap();
    let numbers: Vec<AuditRecord> = whole(&*store, HERE).await.into_iter().map(|row| row.record).collect();
    assert_eq!(numbers, records(1..=3));
}

async fn keeps_chains_of_workspaces_apart(store: Arc<dyn Store>) {
    store.append_audit(HERE, &records(1..=2)).await.unwrap();
    // A workspace without a row: what was done to it outlives it.
    store.append_audit(stranger(), &records(3..=3)).await.unwrap();
    assert_eq!(whole(&*store, HERE).await.len(), 2);
    let foreign = whole(&*store, stranger()).await;
    assert_eq!((foreign.len(), foreign[0].seq, foreign[0].prev_hash), (1, 1, Digest::ZERO));
}

async fn lists_in_both_orders_by_pages(store: Arc<dyn Store>) {
    store.append_audit(HERE, &records(1..=7)).await.unwrap();
    for (order, expected) in [(AuditOrder::OldestFirst, [1, 2, 3, 4, 5, 6, 7]), (AuditOrder::NewestFirst, [7, 6, 5, 4, 3, 2, 1])]
    {
        let mut seen: Vec<u64> = Vec::new();
        loop {
            let page = PageRequest { after: seen.last().copied(), limit: 3 };
            let rows = store.list_audit(HERE, &AuditFilter::default(), order, &page).await.unwrap();
            if rows.is_empty() {
                break;
            }
            seen.extend(rows.into_iter().map(|row| row.seq));
        }
        assert_eq!(seen, expected);
    }
}

async fn lists_what_a_filter_wants(store: Arc<dyn Store>) {
    let odd = AuditRecord {
        actor: "usr_1".to_owned(),
        action: "workflow_run.updated".to_owned(),
        request_id: Some("r".to_owned()),
        target: None,
        ..record(2)
    };
    let created = AuditRecord { action: "workflow.created".to_owned(), ..record(3) };
    store.append_audit(HERE, &[record(1), odd, created]).await.unwrap();
    let check = async |filter: AuditFilter, expected: &[u64]| {
        let rows = store.list_audit(HERE, &filter, AuditOrder::OldestFirst, &ALL).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), expected, "{filter:?}");
    };
    let none = AuditFilter::default;
    let some = |text: &str| Some(text.to_owned());
    check(none(), &[1, 2, 3]).await;
    check(AuditFilter { action: some("workflow.updated"), ..none() }, &[1]).await;
    check(AuditFilter { kind: some("workflow"), ..none() }, &[1, 3]).await;
    check(AuditFilter { kind: some("work"), ..none() }, &[]).await;
    check(AuditFilter { actor: some("usr_1"), ..none() }, &[2]).await;
    check(AuditFilter { target: some("wf_3"), ..none() }, &[3]).await;
    check(AuditFilter { request_id: some("r"), ..none() }, &[2]).await;
    check(AuditFilter { from: Some(NOON + 2), ..none() }, &[2, 3]).await;
    check(AuditFilter { until: Some(NOON + 2), ..none() }, &[1]).await;
    check(AuditFilter { from: Some(NOON + 2), kind: some("workflow"), ..none() }, &[3]).await;
}

async fn takes_old_rows_off_the_beginning_only(store: Arc<dyn Store>) {
    // The third one comes from a process whose clock is behind: it stays as long as the second one.
    let behind = AuditRecord { at: NOON, ..record(3) };
    store.append_audit(HERE, &[record(1), record(9), behind, record(4)]).await.unwrap();
    store.append_audit(stranger(), &records(20..=24)).await.unwrap();
    assert_eq!(store.prune_audit(NOON + 1, 100).await.unwrap(), 0);
    assert_eq!(store.prune_audit(NOON + 9, 100).await.unwrap(), 1);
    assert_eq!(store.prune_audit(NOON + 9, 100).await.unwrap(), 0);
    assert_eq!(whole(&*store, HERE).await.len(), 3);
    store.append_audit(HERE, &records(10..=10)).await.unwrap();
    assert_eq!(whole(&*store, HERE).await.last().unwrap().seq, 5);
    // One chain at a time, a few rows at a time, to the last one; the numbers go on.
    let mut gone = Vec::new();
    while gone.last() != Some(&0) {
        gone.push(store.prune_audit(NOON + 100, 3).await.unwrap());
    }
    gone.sort_unstable();
    assert_eq!(gone, [0, 1, 2, 3, 3]);
    assert_eq!(whole(&*store, HERE).await, []);
    store.append_audit(HERE, &records(11..=11)).await.unwrap();
    let rows = whole(&*store, HERE).await;
    assert!(rows[0].seq == 6 && rows[0].prev_hash != Digest::ZERO, "{rows:?}");
}

async fn appends_at_once_make_one_chain(store: Arc<dyn Store>) {
    let append = |writer: u128| {
        let store = Arc::clone(&store);
        async move {
            for round in 0..5 {
                let first = 1_000 * writer + 10 * round;
                store.append_audit(HERE, &records(first..first + 3)).await.unwrap();
            }
        }
    };
    tokio::join!(append(1), append(2), append(3), append(4));
    let rows = whole(&*store, HERE).await;
    assert_eq!(rows.len(), 60);
    let ids: BTreeSet<AuditId> = rows.iter().map(|row| row.record.id).collect();
    assert_eq!(ids.len(), 60);
    // Those of one call stay together.
    assert!(rows.chunks(3).all(|chunk| chunk[2].record.at - chunk[0].record.at == 2));
}

#[tokio::test]
async fn processes_on_one_database_make_one_chain() {
    with_postgres_database(async |url| {
        let open_one = async || open(&OpenOptions { connections_max: 2, ..OpenOptions::new(url.clone()) }).await.unwrap();
        let stores = [open_one().await, open_one().await, open_one().await];
        let append = async |process: usize| {
            for round in 0..10_u128 {
                let first = 1_000 * u128::try_from(process).unwrap() + round;
                stores[process].append_audit(HERE, &records(first..=first)).await.unwrap();
            }
        };
        tokio::join!(append(0), append(1), append(2));
        assert_eq!(whole(&*stores[0], HERE).await.len(), 30);
        for store in &stores {
            store.close().await;
        }
    })
    .await;
}

/// What a database does by itself against changes, and that a change which gets past it shows.
const CHANGE: &str = "UPDATE audit SET actor = 'somebody' WHERE seq = 2";
const DELETE: &str = "DELETE FROM audit WHERE seq = 2";

#[tokio::test]
async fn sqlite_keeps_rows_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("citadel.db").display());
    let store = open(&OpenOptions::new(url.clone())).await.unwrap();
    store.append_audit(HERE, &records(1..=3)).await.unwrap();
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for statement in [CHANGE, DELETE, "DELETE FROM audit"] {
        connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap_err();
    }
    assert_eq!(whole(&*store, HERE).await.len(), 3);
    connection.execute("DROP TRIGGER audit_unchanged").await.unwrap();
    connection.execute(CHANGE).await.unwrap();
    let rows = all(&*store, HERE).await;
    assert_ne!(link(&rows[1], rows[0].hash), rows[1].hash, "the hash tells of the change");
    connection.close().await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn postgres_keeps_rows_as_they_are() {
    with_postgres_database(async |url| {
        let store = open(&OpenOptions { connections_max: 2, ..OpenOptions::new(url.clone()) }).await.unwrap();
        store.append_audit(HERE, &records(1..=3)).await.unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        for statement in [CHANGE, DELETE, "DELETE FROM audit", "TRUNCATE audit"] {
            connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap_err();
        }
        assert_eq!(whole(&*store, HERE).await.len(), 3);
        connection.execute("DROP TRIGGER audit_unchanged ON audit").await.unwrap();
        connection.execute(CHANGE).await.unwrap();
        let rows = all(&*store, HERE).await;
        assert_ne!(link(&rows[1], rows[0].hash), rows[1].hash, "the hash tells of the change");
        connection.close().await.unwrap();
        store.close().await;
    })
    .await;
}
