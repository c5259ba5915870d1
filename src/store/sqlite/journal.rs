//! The journal: one transaction per batch, a few statements of many rows.

use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::{
    SqliteStore,
    chunks::{Binding, Chunks},
    claims,
    error::failed,
    snapshots::{KEEP_SNAPSHOTS, Kept, bind_snapshot},
};
use crate::{
    model::ids::{ExecutionId, InboxId, ScheduleId},
    store::{
        Append, AppendOutcome, ExclusiveOutcome, IdempotencyKey, InboxRow, JournalRow, KeyedOutcome, NewExecution, OnTaken,
        Result, StateChange, StoreError,
        columns::{self, JournalColumns, millis, number, shard_of},
        journal::{Epochs, check_batch, conflict, constraints, exclusive, first_state, keyed},
    },
};

pub(super) const APPENDING: &str = "appending to the journal";

const READ_EPOCHS: &str = "SELECT group_concat(epoch, ' ') FROM (SELECT epoch FROM shards ORDER BY shard LIMIT 256) LIMIT 1";

static DELETE_CONSUMED: LazyLock<Chunks> =
    LazyLock::new(|| Chunks::any_of("DELETE FROM inbox WHERE ", "(shard, execution_id, id) = (?, ?, ?)"));

/// `column3` is the target's id: a message to an execution that is gone or finished is dropped.
static INSERT_NOTES: LazyLock<Chunks> = LazyLock::new(|| {
    Chunks::new(
        "INSERT INTO inbox (id, shard, execution_id, at, kind, encoding, name, dedupe_key, body) SELECT * FROM (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ") WHERE EXISTS (SELECT 1 FROM executions WHERE executions.id = column3 AND status < 10) ON CONFLICT DO NOTHING",
    )
});

static INSERT_EXECUTIONS: LazyLock<Chunks> = LazyLock::new(|| {
    Chunks::new(
        "INSERT INTO executions (id, shard, created_at, workspace_id, workflow_id, version, trigger_kind, parent_id, retry_of, \
         business_key, status, wake_at, finished_at, error_code, expires_at) VALUES ",
        "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "",
    )
});

static INSERT_FIRST_ENTRIES: LazyLock<Chunks> = LazyLock::new(|| {
    Chunks::new(
        "INSERT INTO journal (execution_id, seq, event_count, epoch, at, encoding, body) VALUES ",
        "(?, ?, ?, ?, ?, ?, ?)",
        "",
    )
});

/// As above, but `column1` has to be an execution that is there and has not finished.
static INSERT_LATER_ENTRIES: LazyLock<Chunks> = LazyLock::new(|| {
    Chunks::new(
        "INSERT INTO journal (execution_id, seq, event_count, epoch, at, encoding, body) SELECT * FROM (VALUES ",
        "(?, ?, ?, ?, ?, ?, ?)",
        ") WHERE EXISTS (SELECT 1 FROM executions WHERE id = column1 AND status < 10)",
    )
});

static UPDATE_STATES: LazyLock<Chunks> = LazyLock::new(|| {
    Chunks::new(
        "UPDATE executions SET status = column2, wake_at = column3, finished_at = column4, error_code = column5, \
         expires_at = column6 FROM (VALUES ",
        "(?, ?, ?, ?, ?, ?)",
        ") WHERE id = column1 AND status < 10",
    )
});

pub(super) async fn append_batch(store: &SqliteStore, batch: &[Append]) -> Result<Vec<AppendOutcome>> {
    check_batch(batch)?;
    let mut tx = store.begin(APPENDING).await?;
    let outcomes = append_within(&mut tx, batch).await?;
    tx.commit().await.map_err(failed(APPENDING))?;
    Ok(outcomes)
}

pub(super) async fn create_keyed(store: &SqliteStore, append: &Append, key: &IdempotencyKey) -> Result<KeyedOutcome> {
    create(store, append, Some(key), None).await.map(keyed)
}

pub(super) async fn create_exclusive(
    store: &SqliteStore,
    append: &Append,
    key: Option<&IdempotencyKey>,
    on_taken: OnTaken,
) -> Result<ExclusiveOutcome> {
    exclusive(append)?;
    create(store, append, key, Some(on_taken)).await
}

pub(super) async fn create_queued(store: &SqliteStore, append: &Append, schedule: Option<ScheduleId>) -> Result<bool> {
    let mut tx = store.begin(APPENDING).await?;
    let is_new = create_within(&mut tx, append, schedule).await?;
    tx.commit().await.map_err(failed(APPENDING))?;
    Ok(is_new)
}

/// Writes a creation for whoever owns its shard. `false` if the execution is there already.
pub(super) async fn create_within(
    connection: &mut SqliteConnection,
    append: &Append,
    schedule: Option<ScheduleId>,
) -> Result<bool> {
    const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM executions WHERE id = ?1) LIMIT 1";
    const EPOCH: &str = "SELECT epoch FROM shards WHERE shard = ?1 LIMIT 1";
    const NAME: &str = "UPDATE executions SET schedule_id = ?2 WHERE id = ?1";
    let id = append.execution;
    let exists = sqlx::query_scalar(EXISTS).bind(id.uuid()).fetch_one(&mut *connection).await.map_err(failed(APPENDING))?;
    if exists {
        return Ok(false);
    }
    // Nobody takes the shard meanwhile: there is one connection that writes.
    let epoch = sqlx::query_scalar(EPOCH).bind(shard_of(id)).fetch_one(&mut *connection).await.map_err(failed(APPENDING))?;
    append_within(connection, &[Append { epoch, ..append.clone() }]).await?;
    if let Some(schedule) = schedule {
        let named = sqlx::query(NAME).bind(id.uuid()).bind(schedule.uuid()).execute(connection).await;
        named.map_err(failed(APPENDING))?;
    }
    Ok(true)
}

pub(super) async fn load_journal(
    store: &SqliteStore,
    execution: ExecutionId,
    from_seq: u32,
    limit: u32,
) -> Result<Vec<JournalRow>> {
    const SQL: &str = "SELECT seq, event_count, epoch, at, encoding, body FROM journal
        WHERE execution_id = ?1 AND seq + event_count > ?2
        AND seq >= COALESCE((SELECT max(seq) FROM journal WHERE execution_id = ?1 AND seq <= ?2), 0)
        ORDER BY seq LIMIT ?3";
    let rows: Vec<JournalColumns> = sqlx::query_as(SQL)
        .bind(execution.uuid())
        .bind(i64::from(from_seq))
        .bind(i64::from(limit))
        .fetch_all(&store.readers)
        .await
        .map_err(failed("reading a journal"))?;
    columns::all(rows)
}

pub(super) async fn find_journal_epoch(store: &SqliteStore, execution: ExecutionId, seq: u32) -> Result<Option<i64>> {
    const SQL: &str = "SELECT epoch FROM journal WHERE execution_id = ?1 AND seq = ?2 LIMIT 1";
    sqlx::query_scalar(SQL)
        .bind(execution.uuid())
        .bind(i64::from(seq))
        .fetch_optional(&store.readers)
        .await
        .map_err(failed("reading a journal"))
}

/// Creates one execution; with `on_taken` only if its business key is free. There is one writer, so nobody comes in between.
async fn create(
    store: &SqliteStore,
    append: &Append,
    key: Option<&IdempotencyKey>,
    on_taken: Option<OnTaken>,
) -> Result<ExclusiveOutcome> {
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
    let batch = std::slice::from_ref(append);
    check_batch(batch)?; // Only now: a key that is taken answers whatever the request is.
    match append_within(&mut tx, batch).await?[..] {
        [AppendOutcome::Committed] => {
            tx.commit().await.map_err(failed(APPENDING))?;
            Ok(ExclusiveOutcome::Created)
        }
        _ => Ok(ExclusiveOutcome::Fenced), // The transaction rolls back, and the key with it.
    }
}

/// Writes what the fence admits. The order matters: messages look for their target, and later entries for their execution,
/// before this batch changes any state.
async fn append_within(connection: &mut SqliteConnection, batch: &[Append]) -> Result<Vec<AppendOutcome>> {
    let epochs = read_epochs(connection).await?;
    let admitted: Vec<&Append> = batch.iter().filter(|append| epochs.admits(append)).collect();
    let rows = Rows::collect(&admitted)?;
    rows.write(connection).await?;
    Ok(epochs.outcomes(batch))
}

async fn read_epochs(connection: &mut SqliteConnection) -> Result<Epochs> {
    let text: String = sqlx::query_scalar(READ_EPOCHS).fetch_one(connection).await.map_err(failed(APPENDING))?;
    let epochs: Option<Vec<i64>> = text.split(' ').map(|epoch| epoch.parse().ok()).collect();
    epochs.and_then(Epochs::new).ok_or_else(|| StoreError::Corrupt { what: "table of shards", source: text.into() })
}

/// The rows of a batch, by the statement that writes them.
#[derive(Default)]
struct Rows<'a> {
    consumed: Vec<(ExecutionId, InboxId)>,
    notes: Vec<&'a InboxRow>,
    executions: Vec<(&'a Append, &'a NewExecution, i32)>,
    first_entries: Vec<Entry<'a>>,
    later_entries: Vec<Entry<'a>>,
    states: Vec<(ExecutionId, &'a StateChange)>,
    snapshots: Vec<Kept<'a>>,
}

/// A journal row with its numbers as SQLite keeps them.
struct Entry<'a> {
    append: &'a Append,
    seq: i32,
    event_count: i32,
}

impl<'a> Rows<'a> {
    fn collect(admitted: &[&'a Append]) -> Result<Self> {
        let mut rows = Self::default();
        for append in admitted {
            let entry = Entry { append, seq: number(append.entry.seq)?, event_count: number(append.entry.count)? };
            if let Some(new) = &append.create {
                rows.executions.push((append, new, number(new.version)?));
                rows.first_entries.push(entry);
            } else {
                rows.later_entries.push(entry);
                rows.states.extend(append.state.as_ref().map(|state| (append.execution, state)));
            }
            rows.consumed.extend(append.consumed.iter().map(|message| (append.execution, *message)));
            rows.notes.extend(&append.notify);
            rows.snapshots.extend(Kept::of(append)?);
        }
        Ok(rows)
    }

    async fn write(&self, connection: &mut SqliteConnection) -> Result<()> {
        let failed = failed(APPENDING);
        DELETE_CONSUMED.run(connection, &self.consumed, bind_consumed).await.map_err(&failed)?;
        INSERT_NOTES.run(connection, &self.notes, |query, note| bind_note(query, note)).await.map_err(&failed)?;
        let written = INSERT_LATER_ENTRIES.run(connection, &self.later_entries, bind_entry).await.map_err(&failed)?;
        if written < self.later_entries.len() {
            return Err(conflict(constraints::EXECUTIONS_LIVE));
        }
        INSERT_EXECUTIONS.run(connection, &self.executions, bind_execution).await.map_err(&failed)?;
        INSERT_FIRST_ENTRIES.run(connection, &self.first_entries, bind_entry).await.map_err(&failed)?;
        UPDATE_STATES.run(connection, &self.states, bind_state).await.map_err(&failed)?;
        KEEP_SNAPSHOTS.run(connection, &self.snapshots, bind_snapshot).await.map_err(&failed)?;
        Ok(())
    }
}

fn bind_consumed(query: Binding, (execution, message): &(ExecutionId, InboxId)) -> Binding {
    query.bind(shard_of(*execution)).bind(execution.uuid()).bind(message.uuid())
}

/// Binds a message in the order of its columns here and in `put_inbox`.
pub(super) fn bind_note(query: Binding, note: &InboxRow) -> Binding {
    query
        .bind(note.id.uuid())
        .bind(shard_of(note.execution))
        .bind(note.execution.uuid())
        .bind(millis(note.at))
        .bind(note.kind.code())
        .bind(note.body.encoding.code())
        .bind(note.name.clone())
        .bind(note.dedupe_key.clone())
        .bind(note.body.bytes.to_vec())
}

fn bind_entry(query: Binding, entry: &Entry<'_>) -> Binding {
    let row = &entry.append.entry;
    query
        .bind(entry.append.execution.uuid())
        .bind(entry.seq)
        .bind(entry.event_count)
        .bind(entry.append.epoch)
        .bind(millis(row.at))
        .bind(row.body.encoding.code())
        .bind(row.body.bytes.to_vec())
}

fn bind_execution(query: Binding, (append, new, version): &(&Append, &NewExecution, i32)) -> Binding {
    let query = query
        .bind(append.execution.uuid())
        .bind(shard_of(append.execution))
        .bind(millis(append.created_at))
        .bind(new.workspace.uuid())
        .bind(new.workflow.uuid())
        .bind(*version)
        .bind(new.trigger.code())
        .bind(new.parent.map(ExecutionId::uuid))
        .bind(new.retry_of.map(ExecutionId::uuid))
        .bind(new.business_key.clone());
    bind_state_columns(query, first_state(append))
}

fn bind_state(query: Binding, (execution, state): &(ExecutionId, &StateChange)) -> Binding {
    bind_state_columns(query.bind(execution.uuid()), state)
}

fn bind_state_columns(query: Binding, state: &StateChange) -> Binding {
    query
        .bind(state.status.code())
        .bind(state.wake_at.map(millis))
        .bind(state.finished_at.map(millis))
        .bind(state.error_code.clone())
        .bind(state.expires_at.map(millis))
}
