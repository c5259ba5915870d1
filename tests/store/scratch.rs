//! Databases for a while, on a PostgreSQL server: made empty, used, and gone without a trace.

use citadel::{
    clock,
    store::{
        StoreError,
        open::{OpenOptions, open},
        scratch::{ScratchDatabase, database_version},
    },
};

use crate::harness::with_postgres_database;

#[tokio::test]
async fn a_scratch_database_is_used_and_taken_away() {
    with_postgres_database(async |server| {
        let database = ScratchDatabase::create(&server, clock::new_uuid()).await.unwrap();
        let url = database.url();
        let store = open(&OpenOptions::new(&url)).await.unwrap();
        store.ping().await.unwrap();
        let version = database_version(&url).await.unwrap();
        assert!(version.starts_with("PostgreSQL "), "{version}");
        // The store is still connected: that does not keep the database.
        database.remove().await.unwrap();
        let gone = open(&OpenOptions::new(&url)).await.map(|store| store.kind());
        assert!(matches!(gone, Err(StoreError::Unavailable { .. })), "{gone:?}");
    })
    .await;
}
