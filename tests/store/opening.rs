//! Opening stores: the schema's version, the lock of a file, and what a closed store answers.

use std::{future::Future, path::Path, sync::Arc};

use citadel::{
    model::ids::WorkspaceId,
    store::{
        NewVersion, NewWorkflow, Store, StoreError,
        open::{MigrateMode, OpenOptions, migrate, migration_status, open},
    },
};
use sqlx::{Connection as _, PgConnection, SqliteConnection};

use crate::{
    harness::with_postgres_database,
    samples::{NOON, commit, creation, execution, new_workflow, own_all, tagged, version_using, workflow},
};

/// Writes down a migration that this binary does not know.
const VERSION_999: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
    VALUES (999, 'from the future', TRUE, '', 0)";

/// Runs a test on an empty SQLite file and on an empty PostgreSQL database.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() { super::with_file(super::$test).await; })*
        }
        mod postgres {
            $(#[tokio::test] async fn $test() { crate::harness::with_postgres_database(super::$test).await; })*
        }
    };
}

on_both! {
    migrates_an_empty_database_once,
    checks_without_changing,
    trusts_the_caller,
    refuses_a_newer_schema,
    refuses_an_edited_migration,
    keeps_what_was_written,
    a_closed_store_is_unavailable,
    tells_how_many_connections_are_in_use,
    takes_the_tags_of_older_definitions_over,
    takes_the_credentials_of_older_definitions_over,
}

async fn migrates_an_empty_database_once(url: String) {
    let before = migration_status(&url).await.unwrap();
    assert!(before.iter().all(|step| !step.applied));
    let done = migrate(&url).await.unwrap();
    assert_eq!(done.iter().map(|step| step.name).collect::<Vec<_>>(), before.iter().map(|step| step.name).collect::<Vec<_>>());
    assert_eq!(migrate(&url).await.unwrap(), []);
    assert_eq!(migration_status(&url).await.unwrap(), done);
}

async fn tells_how_many_connections_are_in_use(url: String) {
    let store = open(&OpenOptions::new(&*url)).await.unwrap();
    store.ping().await.unwrap();
    let pools = store.connections();
    assert!(!pools.is_empty());
    assert!(pools.iter().map(|pool| pool.in_use + pool.idle).sum::<u32>() > 0, "{pools:?}");
    assert!(pools.iter().all(|pool| pool.in_use + pool.idle <= pool.max), "{pools:?}");
    store.close().await;
    assert!(store.connections().iter().all(|pool| pool.in_use == 0), "{pools:?}");
}

async fn takes_the_tags_of_older_definitions_over(url: String) {
    let store = open(&OpenOptions::new(&*url)).await.unwrap();
    let insert = async |number: u128, tags: &[&str]| {
        let new = NewWorkflow { version: tagged("w", NOON, tags), ..new_workflow(number, NOON) };
        store.insert_workflow(&new).await.unwrap();
    };
    insert(1, &["old", "old"]).await;
    insert(2, &["a", "b"]).await;
    store.insert_workflow(&new_workflow(3, NOON)).await.unwrap();
    store.update_workflow(WorkspaceId::DEFAULT, workflow(1), 1, &tagged("w", NOON, &["b", "b", "ü \"x\""])).await.unwrap();
    let tags = store.list_tags(WorkspaceId::DEFAULT, None, 9).await.unwrap();
    store.close().await;
    drop(store); // And its lock.

    execute(&url, "DROP TABLE workflow_tags").await;
    execute(&url, "DROP TABLE variables").await;
    execute(&url, "DELETE FROM _sqlx_migrations WHERE description LIKE '%create_variables'").await;
    assert_eq!(migrate(&url).await.unwrap().len(), 1);
    let store = open(&OpenOptions::new(&*url)).await.unwrap();
    assert_eq!(store.list_tags(WorkspaceId::DEFAULT, None, 9).await.unwrap(), tags);
    assert_eq!(
        tags.iter().map(|count| (count.tag.as_str(), count.workflows)).collect::<Vec<_>>(),
        [("a", 1), ("b", 2), ("ü \"x\"", 1)]
    );
    store.close().await;
}

async fn checks_without_changing(url: String) {
    let check = OpenOptions { migrate: MigrateMode::Check, ..OpenOptions::new(&*url) };
    assert!(matches!(refusal(&check).await, StoreError::SchemaTooOld { found: 0, .. }));
    assert!(migration_status(&url).await.unwrap().iter().all(|step| !step.applied));
    migrate(&url).await.unwrap();
    open(&check).await.unwrap().close().await;
}

async fn takes_the_credentials_of_older_definitions_over(url: String) {
    let store = open(&OpenOptions::new(&*url)).await.unwrap();
    let version = |nodes: serde_json::Value, credentials: &[&str]| {
        let definition = serde_json::json!({ "name": "w", "nodes": nodes }).to_string().into();
        NewVersion { definition, ..version_using("w", credentials) }
    };
    let two =
        version(serde_json::json!([{ "id": "a", "credential": "x" }, { "id": "b", "credential": "x" }, { "id": "c" }]), &["x"]);
    store.insert_workflow(&NewWorkflow { version: two, ..new_workflow(1, NOON) }).await.unwrap();
    let none = version(serde_json::json!([{ "id": "a", "credential": null }]), &[]);
    store.insert_workflow(&NewWorkflow { version: none, ..new_workflow(2, NOON) }).await.unwrap();
    store.insert_workflow(&new_workflow(3, NOON)).await.unwrap();
    let users = store.list_credential_users(WorkspaceId::DEFAULT, "x", None, 9).await.unwrap();
    assert_eq!(users.len(), 1);
    store.close().await;
    drop(store); // And its lock.

    for table in ["DROP TABLE workflow_credentials", "DROP TABLE credentials", "DROP TABLE master_keys"] {
        execute(&url, table).await;
    }
    execute(&url, "DELETE FROM _sqlx_migrations WHERE description LIKE '%create_credentials'").await;
    assert_eq!(migrate(&url).await.unwrap().len(), 1);
    let store = open(&OpenOptions::new(&*url)).await.unwrap();
    assert_eq!(store.list_credential_users(WorkspaceId::DEFAULT, "x", None, 9).await.unwrap(), users);
    store.close().await;
}

async fn trusts_the_caller(url: String) {
    migrate(&url).await.unwrap();
    execute(&url, VERSION_999).await;
    let off = OpenOptions { migrate: MigrateMode::Off, ..OpenOptions::new(&*url) };
    let store = open(&off).await.unwrap();
    store.ping().await.unwrap();
    store.close().await;
}

async fn refuses_a_newer_schema(url: String) {
    let known = migrate(&url).await.unwrap().last().unwrap().version;
    execute(&url, VERSION_999).await;
    for migrate in [MigrateMode::Auto, MigrateMode::Check] {
        let error = refusal(&OpenOptions { migrate, ..OpenOptions::new(&*url) }).await;
        assert!(matches!(error, StoreError::SchemaTooNew { found: 999, known: last } if last == known), "{error:?}");
    }
    assert!(matches!(migration_status(&url).await, Err(StoreError::SchemaTooNew { found: 999, .. })));
}

async fn refuses_an_edited_migration(url: String) {
    migrate(&url).await.unwrap();
    execute(&url, "UPDATE _sqlx_migrations SET checksum = '' WHERE version = 2").await;
    let error = refusal(&OpenOptions::new(&*url)).await;
    assert!(matches!(error, StoreError::Corrupt { what: "schema version", .. }), "{error:?}");
}

async fn keeps_what_was_written(url: String) {
    let store = open(&OpenOptions::new(&*url)).await.unwrap();
    let epoch = own_all(&*store).await;
    commit(&*store, &creation(execution(1), epoch)).await;
    store.close().await;
    drop(store);
    let store = open(&OpenOptions::new(&*url)).await.unwrap();
    assert_eq!(store.load_journal(execution(1), 0, 9).await.unwrap(), [creation(execution(1), epoch).entry]);
    assert_eq!(own_all(&*store).await, epoch + 1);
    store.close().await;
}

async fn a_closed_store_is_unavailable(url: String) {
    let store = open(&OpenOptions::new(&*url)).await.unwrap();
    let epoch = own_all(&*store).await;
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable { .. })));
    let append = store.append_batch(&[creation(execution(1), epoch)]).await;
    assert!(matches!(append, Err(StoreError::Unavailable { .. })));
}

#[tokio::test]
async fn memory_needs_no_file() {
    assert_eq!(open(&OpenOptions::new("sqlite::memory:")).await.unwrap().kind(), "memory");
    assert!(migration_status("sqlite::memory:").await.unwrap().iter().all(|step| step.applied));
    assert_eq!(migrate("sqlite::memory:").await.unwrap(), []);
}

#[tokio::test]
async fn a_file_has_one_process_at_a_time() {
    with_file(async |url| {
        let store = open(&OpenOptions::new(&*url)).await.unwrap();
        assert!(matches!(refusal(&OpenOptions::new(&*url)).await, StoreError::Locked { .. }));
        // Looking needs no lock.
        assert!(migration_status(&url).await.unwrap().iter().all(|step| step.applied));
        drop(store);
        open(&OpenOptions::new(&*url)).await.unwrap().close().await;
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    with_file(async |url| {
        let store = open(&OpenOptions::new(&*url)).await.unwrap();
        own_all(&*store).await;
        let file = url.strip_prefix("sqlite://").unwrap();
        for name in [file.to_owned(), format!("{file}-wal"), format!("{file}.lock")] {
            assert_eq!(Path::new(&name).metadata().unwrap().permissions().mode() & 0o077, 0, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    // Nothing listens on the discard port of this machine.
    let url = "postgres://user:secret@127.0.0.1:9/citadel";
    assert!(matches!(refusal(&OpenOptions::new(url)).await, StoreError::Unavailable { doing: "connecting", .. }));
}

#[tokio::test]
async fn two_processes_may_start_at_once() {
    with_postgres_database(async |url| {
        let (one, two) = (OpenOptions::new(&*url), OpenOptions::new(&*url));
        let (one, two) = tokio::join!(open(&one), open(&two));
        let (one, two): (Arc<dyn Store>, Arc<dyn Store>) = (one.unwrap(), two.unwrap());
        let epoch = own_all(&*one).await;
        commit(&*two, &creation(execution(1), epoch)).await;
        one.close().await;
        two.close().await;
    })
    .await;
}

async fn with_file<F: Future<Output = ()>>(test: impl FnOnce(String) -> F) {
    let directory = tempfile::tempdir().unwrap();
    test(format!("sqlite://{}", directory.path().join("data/citadel.db").display())).await;
}

async fn refusal(options: &OpenOptions) -> StoreError {
    open(options).await.err().expect("the store opened")
}

async fn execute(url: &str, sql: &'static str) {
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}
