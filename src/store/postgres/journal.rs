//! The journal: one statement per batch, fenced by the rows of its shards. See `queries/journal/append.sql`.

use std::{collections::BTreeSet, sync::LazyLock};

use sqlx::PgConnection;

use super::{
    Fence, PostgresStore, claims,
    error::{failed, is_missing_partition},
    rows::Rows,
};
use crate::{
    model::ids::{ExecutionId, ScheduleId},
    store::{
        Append, AppendOutcome, ExclusiveOutcome, IdempotencyKey, JournalRow, KeyedOutcome, OnTaken, Result, StoreError,
        columns::{self, JournalColumns, shard_of},
        journal::{Epochs, check_batch, conflict, constraints, day_of, exclusive, keyed},
    },
};

pub(super) const APPENDING: &str = "appending to the journal";
const READING: &str = "reading a journal";

const APPEND: &str = include_str!("queries/journal/append.sql");
const KEEP_SNAPSHOTS: &str = include_str!("queries/journal/keep_snapshots.sql");
static APPEND_WITH_SNAPSHOTS: LazyLock<String> = LazyLock::new(|| with_snapshots(APPEND));
static APPEND_WITHOUT_LOCK: LazyLock<String> = LazyLock::new(|| APPEND.replace("FOR SHARE", ""));
static APPEND_WITH_SNAPSHOTS_WITHOUT_LOCK: LazyLock<String> = LazyLock::new(|| with_snapshots(&APPEND_WITHOUT_LOCK));

/// The append statement, for batches without snapshots and for those with some.
#[derive(Debug, Clone, Copy)]
pub(super) struct AppendSql {
    plain: &'static str,
    with_snapshots: &'static str,
}

impl AppendSql {
    /// The statement with or without its lock.
    pub(super) fn new(fence: Fence) -> Self {
        match fence {
            Fence::RowLock => Self { plain: APPEND, with_snapshots: &APPEND_WITH_SNAPSHOTS },
            Fence::WithoutRowLock => Self { plain: &APPEND_WITHOUT_LOCK, with_snapshots: &APPEND_WITH_SNAPSHOTS_WITHOUT_LOCK },
        }
    }

    fn of(self, rows: &Rows<'_>) -> &'static str {
        if rows.has_snapshots() { self.with_snapshots } else { self.plain }
    }
}

/// The statement with one more part before its answer.
fn with_snapshots(append: &str) -> String {
    const ANSWER: &str = "\n)\nSELECT ";
    let (parts, answer) = append.rsplit_once(ANSWER).expect("the statement ends with its answer");
    format!("{parts}\n),\n{KEEP_SNAPSHOTS}SELECT {answer}")
}

/// How one try to append ended, other than well.
pub(super) enum Failure {
    /// The partition of a day is gone: another process dropped it.
    NoPartition,
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NoPartition => Self::Unavailable { doing: APPENDING, source: "a partition is missing".into() },
            Failure::Store(error) => error,
        }
    }
}

pub(super) async fn append_batch(store: &PostgresStore, batch: &[Append]) -> Result<Vec<AppendOutcome>> {
    check_batch(batch)?;
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let rows = Rows::collect(batch)?;
    let epochs = match unless_partition_missing(store, append_once(store, &rows).await)? {
        Some(epochs) => epochs,
        None => append_once(store, &rows).await?,
    };
    Ok(epochs.outcomes(batch))
}

pub(super) async fn create_keyed(store: &PostgresStore, append: &Append, key: &IdempotencyKey) -> Result<KeyedOutcome> {
    create(store, append, Claims { key: Some(key), on_taken: None }).await.map(keyed)
}

pub(super) async fn create_exclusive(
    store: &PostgresStore,
    append: &Append,
    key: Option<&IdempotencyKey>,
    on_taken: OnTaken,
) -> Result<ExclusiveOutcome> {
    exclusive(append)?;
    create(store, append, Claims { key, on_taken: Some(on_taken) }).await
}

pub(super) async fn create_queued(store: &PostgresStore, append: &Append, schedule: Option<ScheduleId>) -> Result<bool> {
    let created = match unless_partition_missing(store, create_queued_once(store, append, schedule).await) {
        Ok(Some(is_new)) => return Ok(is_new),
        Ok(None) => create_queued_once(store, append, schedule).await.map_err(StoreError::from),
        Err(error) => Err(error),
    };
    match created {
        // Somebody else has created it since our look.
        Err(StoreError::Conflict { constraint }) if constraint == constraints::EXECUTIONS_KEY => Ok(false),
        outcome => outcome,
    }
}

pub(super) async fn load_journal(
    store: &PostgresStore,
    execution: ExecutionId,
    from_seq: u32,
    limit: u32,
) -> Result<Vec<JournalRow>> {
    // The day comes from the execution's row and leads to one partition.
    const SQL: &str = "SELECT seq, event_count, epoch, at, encoding, body FROM journal
        WHERE day = (SELECT LEAST(created_at / 86400000, 2147483646)::integer FROM executions WHERE id = $1)
        AND execution_id = $1 AND seq::bigint + event_count > $2
        AND seq >= COALESCE((
            SELECT max(seq) FROM journal
            WHERE day = (SELECT LEAST(created_at / 86400000, 2147483646)::integer FROM executions WHERE id = $1)
            AND execution_id = $1 AND seq <= $2
        ), 0)
        ORDER BY seq LIMIT $3";
    let rows: Vec<JournalColumns> = sqlx::query_as(SQL)
        .bind(execution.uuid())
        .bind(i64::from(from_seq))
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn find_journal_epoch(store: &PostgresStore, execution: ExecutionId, seq: u32) -> Result<Option<i64>> {
    const SQL: &str = "SELECT epoch FROM journal
        WHERE day = (SELECT LEAST(created_at / 86400000, 2147483646)::integer FROM executions WHERE id = $1)
        AND execution_id = $1 AND seq = $2 LIMIT 1";
    sqlx::query_scalar(SQL).bind(execution.uuid()).bind(i64::from(seq)).fetch_optional(&store.pool).await.map_err(failed(READING))
}

/// The outcome of a first try; `None` if a partition was missing that this process believed to be there, and now no more does.
pub(super) fn unless_partition_missing<T>(store: &PostgresStore, outcome: std::result::Result<T, Failure>) -> Result<Option<T>> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(Failure::Store(error)) => Err(error),
        Err(Failure::NoPartition) => {
            store.partitions.forget();
            Ok(None)
        }
    }
}

async fn append_once(store: &PostgresStore, rows: &Rows<'_>) -> std::result::Result<Epochs, Failure> {
    store.partitions.ensure(&store.pool, &rows.days()).await?;
    let mut connection = store.pool.acquire().await.map_err(failed(APPENDING))?;
    append_within(&mut connection, store.append_sql.of(rows), rows).await
}

/// Runs the statement. Answers the epochs of the shards that the batch owns; everything of theirs is written.
async fn append_within(
    connection: &mut PgConnection,
    sql: &'static str,
    rows: &Rows<'_>,
) -> std::result::Result<Epochs, Failure> {
    let (written, epochs) = rows.bind(sqlx::query_as(sql)).fetch_one(connection).await.map_err(|error| {
        if is_missing_partition(&error) { Failure::NoPartition } else { Failure::Store(failed(APPENDING)(error)) }
    })?;
    if !written {
        return Err(Failure::Store(conflict(constraints::EXECUTIONS_LIVE)));
    }
    let epochs = Epochs::new(epochs);
    Ok(epochs.ok_or_else(|| StoreError::Corrupt { what: "table of shards", source: "it does not have 256 rows".into() })?)
}

/// What a creation claims besides its id: an idempotency key, and with `on_taken` its business key.
#[derive(Clone, Copy)]
struct Claims<'a> {
    key: Option<&'a IdempotencyKey>,
    on_taken: Option<OnTaken>,
}

async fn create(store: &PostgresStore, append: &Append, claims: Claims<'_>) -> Result<ExclusiveOutcome> {
    let rows = Rows::collect(std::slice::from_ref(append))?;
    match unless_partition_missing(store, create_once(store, append, &rows, claims).await)? {
        Some(outcome) => Ok(outcome),
        None => Ok(create_once(store, append, &rows, claims).await?),
    }
}

async fn create_once(
    store: &PostgresStore,
    append: &Append,
    rows: &Rows<'_>,
    Claims { key, on_taken }: Claims<'_>,
) -> std::result::Result<ExclusiveOutcome, Failure> {
    store.partitions.ensure(&store.pool, &rows.days()).await?;
    let mut tx = store.begin(APPENDING).await?;
    if let Some(key) = key
        && !claims::claim_key(&mut tx, append.execution, key).await?
    {
        let (execution, request_hash) = claims::find_holder(&mut tx, key).await?;
        return Ok(ExclusiveOutcome::Exists { execution, request_hash });
    }
    if let Some(on_taken) = on_taken
        && let Some(execution) = claims::find_taken(&mut tx, append).await?
    {
        if let (OnTaken::Adopt, Some(key)) = (on_taken, key) {
            claims::lead_to(&mut tx, execution, key).await?;
            tx.commit().await.map_err(failed(APPENDING))?;
        }
        return Ok(ExclusiveOutcome::Taken { execution });
    }
    check_batch(std::slice::from_ref(append))?; // Only now: a key that is taken answers whatever the request is.
    let epochs = append_within(&mut tx, store.append_sql.of(rows), rows).await?;
    if !epochs.admits(append) {
        return Ok(ExclusiveOutcome::Fenced); // The transaction rolls back, and the key with it.
    }
    tx.commit().await.map_err(failed(APPENDING))?;
    Ok(ExclusiveOutcome::Created)
}

async fn create_queued_once(
    store: &PostgresStore,
    append: &Append,
    schedule: Option<ScheduleId>,
) -> std::result::Result<bool, Failure> {
    prepare_creation(store, append).await?;
    let mut tx = store.begin(APPENDING).await?;
    let is_new = create_within(&mut tx, append, schedule).await?;
    tx.commit().await.map_err(failed(APPENDING))?;
    Ok(is_new)
}

/// Makes the partition that a creation needs: before its transaction, which must not wait for another connection.
pub(super) async fn prepare_creation(store: &PostgresStore, append: &Append) -> Result<()> {
    store.partitions.ensure(&store.pool, &BTreeSet::from([day_of(append.created_at)])).await
}

/// Writes a creation for whoever owns its shard. `false` if the execution is there already.
pub(super) async fn create_within(
    connection: &mut PgConnection,
    append: &Append,
    schedule: Option<ScheduleId>,
) -> std::result::Result<bool, Failure> {
    const EXISTS: &str = "SELECT EXISTS (SELECT FROM executions WHERE id = $1) LIMIT 1";
    // Nobody takes the shard before our commit, so that the epoch stays the one of its owner.
    const EPOCH: &str = "SELECT epoch FROM shards WHERE shard = $1 LIMIT 1 FOR SHARE";
    const NAME: &str = "UPDATE executions SET schedule_id = $2 WHERE id = $1";
    let id = append.execution;
    let exists = sqlx::query_scalar(EXISTS).bind(id.uuid()).fetch_one(&mut *connection).await.map_err(failed(APPENDING))?;
    if exists {
        return Ok(false);
    }
    let epoch = sqlx::query_scalar(EPOCH).bind(shard_of(id)).fetch_one(&mut *connection).await.map_err(failed(APPENDING))?;
    let append = Append { epoch, ..append.clone() };
    append_within(connection, APPEND, &Rows::collect(std::slice::from_ref(&append))?).await?;
    if let Some(schedule) = schedule {
        let named = sqlx::query(NAME).bind(id.uuid()).bind(schedule.uuid()).execute(connection).await;
        named.map_err(failed(APPENDING))?;
    }
    Ok(true)
}
