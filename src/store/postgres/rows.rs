//! A batch as the columns that the append statement takes: PostgreSQL unnests arrays, so each column of each table is one.

use std::collections::BTreeSet;

use sqlx::{Postgres, postgres::PgArguments, query::QueryAs};
use uuid::Uuid;

use super::snapshots::Snapshots;
use crate::{
    model::ids::ExecutionId,
    store::{
        Append, InboxRow, NewExecution, Result, StateChange,
        columns::{millis, number, shard_of},
        journal::{day_of, first_state},
    },
};

/// The append statement while its parameters are bound. Answers whether the batch was written, and the epochs that are held.
pub(super) type Statement<'q> = QueryAs<'q, Postgres, (bool, Vec<i64>), PgArguments>;

/// The columns of a batch, in the order of the statement's parameters.
#[derive(Default)]
pub(super) struct Rows<'a> {
    shards: Vec<i16>,
    epochs: Vec<i64>,
    entries: Entries<'a>,
    executions: Executions<'a>,
    states: States<'a>,
    consumed: Consumed,
    notes: Notes<'a>,
    snapshots: Snapshots<'a>,
}

impl<'a> Rows<'a> {
    /// Errors: `Conflict` for a number that no column holds.
    pub(super) fn collect(batch: &'a [Append]) -> Result<Self> {
        let mut rows = Self::default();
        let pairs: BTreeSet<(i16, i64)> = batch.iter().map(sender).collect();
        (rows.shards, rows.epochs) = pairs.into_iter().unzip();
        for append in batch {
            rows.entries.push(append)?;
            match (&append.create, &append.state) {
                (Some(new), _) => rows.executions.push(append, new)?,
                (None, Some(state)) => rows.states.push(append, state),
                (None, None) => {}
            }
            rows.consumed.push(append);
            rows.notes.extend(append);
            if let Some(snapshot) = &append.snapshot {
                rows.snapshots.push(append, snapshot)?;
            }
        }
        Ok(rows)
    }

    /// The days whose partitions the batch needs.
    pub(super) fn days(&self) -> BTreeSet<i32> {
        self.entries.day.iter().copied().collect()
    }

    /// Whether the batch needs the statement that keeps snapshots.
    pub(super) fn has_snapshots(&self) -> bool {
        !self.snapshots.is_empty()
    }

    /// Binds every parameter, `$1` to `$51`, and up to `$58` where there are snapshots.
    pub(super) fn bind<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        let statement = statement.bind(&self.shards).bind(&self.epochs);
        let statement = self.entries.bind(statement);
        let statement = self.executions.bind(statement);
        let statement = self.states.bind(statement);
        let statement = self.consumed.bind(statement);
        let statement = self.notes.bind(statement);
        if self.has_snapshots() { self.snapshots.bind(statement) } else { statement }
    }
}

/// The shard and the epoch that a request speaks for.
pub(super) fn sender(append: &Append) -> (i16, i64) {
    (shard_of(append.execution), append.epoch)
}

#[derive(Default)]
struct Entries<'a> {
    execution: Vec<Uuid>,
    shard: Vec<i16>,
    epoch: Vec<i64>,
    first: Vec<bool>,
    day: Vec<i32>,
    seq: Vec<i32>,
    event_count: Vec<i32>,
    at: Vec<i64>,
    encoding: Vec<i16>,
    body: Vec<&'a [u8]>,
}

impl<'a> Entries<'a> {
    fn push(&mut self, append: &'a Append) -> Result<()> {
        let (shard, epoch) = sender(append);
        self.execution.push(append.execution.uuid());
        self.shard.push(shard);
        self.epoch.push(epoch);
        self.first.push(append.create.is_some());
        self.day.push(day_of(append.created_at));
        self.seq.push(number(append.entry.seq)?);
        self.event_count.push(number(append.entry.count)?);
        self.at.push(millis(append.entry.at));
        self.encoding.push(append.entry.body.encoding.code());
        self.body.push(&append.entry.body.bytes);
        Ok(())
    }

    fn bind<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        statement
            .bind(&self.execution)
            .bind(&self.shard)
            .bind(&self.epoch)
            .bind(&self.first)
            .bind(&self.day)
            .bind(&self.seq)
            .bind(&self.event_count)
            .bind(&self.at)
            .bind(&self.encoding)
            .bind(&self.body)
    }
}

#[derive(Default)]
struct Executions<'a> {
    shard: Vec<i16>,
    epoch: Vec<i64>,
    id: Vec<Uuid>,
    created_at: Vec<i64>,
    workspace: Vec<Uuid>,
    workflow: Vec<Uuid>,
    version: Vec<i32>,
    trigger: Vec<i16>,
    parent: Vec<Option<Uuid>>,
    retry_of: Vec<Option<Uuid>>,
    business_key: Vec<Option<&'a str>>,
    state: StateColumns<'a>,
}

impl<'a> Executions<'a> {
    fn push(&mut self, append: &'a Append, new: &'a NewExecution) -> Result<()> {
        let (shard, epoch) = sender(append);
        self.shard.push(shard);
        self.epoch.push(epoch);
        self.id.push(append.execution.uuid());
        self.created_at.push(millis(append.created_at));
        self.workspace.push(new.workspace.uuid());
        self.workflow.push(new.workflow.uuid());
        self.version.push(number(new.version)?);
        self.trigger.push(new.trigger.code());
        self.parent.push(new.parent.map(ExecutionId::uuid));
        self.retry_of.push(new.retry_of.map(ExecutionId::uuid));
        self.business_key.push(new.business_key.as_deref());
        self.state.push(first_state(append));
        Ok(())
    }

    fn bind<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        let statement = statement
            .bind(&self.shard)
            .bind(&self.epoch)
            .bind(&self.id)
            .bind(&self.created_at)
            .bind(&self.workspace)
            .bind(&self.workflow)
            .bind(&self.version)
            .bind(&self.trigger)
            .bind(&self.parent)
            .bind(&self.retry_of)
            .bind(&self.business_key);
        self.state.bind(statement)
    }
}

#[derive(Default)]
struct States<'a> {
    shard: Vec<i16>,
    epoch: Vec<i64>,
    id: Vec<Uuid>,
    state: StateColumns<'a>,
}

impl<'a> States<'a> {
    fn push(&mut self, append: &'a Append, state: &'a StateChange) {
        let (shard, epoch) = sender(append);
        self.shard.push(shard);
        self.epoch.push(epoch);
        self.id.push(append.execution.uuid());
        self.state.push(state);
    }

    fn bind<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        self.state.bind(statement.bind(&self.shard).bind(&self.epoch).bind(&self.id))
    }
}

#[derive(Default)]
struct StateColumns<'a> {
    status: Vec<i16>,
    wake_at: Vec<Option<i64>>,
    finished_at: Vec<Option<i64>>,
    error_code: Vec<Option<&'a str>>,
    expires_at: Vec<Option<i64>>,
}

impl<'a> StateColumns<'a> {
    fn push(&mut self, state: &'a StateChange) {
        self.status.push(state.status.code());
        self.wake_at.push(state.wake_at.map(millis));
        self.finished_at.push(state.finished_at.map(millis));
        self.error_code.push(state.error_code.as_deref());
        self.expires_at.push(state.expires_at.map(millis));
    }

    fn bind<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        statement.bind(&self.status).bind(&self.wake_at).bind(&self.finished_at).bind(&self.error_code).bind(&self.expires_at)
    }
}

#[derive(Default)]
struct Consumed {
    shard: Vec<i16>,
    epoch: Vec<i64>,
    execution: Vec<Uuid>,
    id: Vec<Uuid>,
}

impl Consumed {
    fn push(&mut self, append: &Append) {
        let (shard, epoch) = sender(append);
        for message in &append.consumed {
            self.shard.push(shard);
            self.epoch.push(epoch);
            self.execution.push(append.execution.uuid());
            self.id.push(message.uuid());
        }
    }

    fn bind<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        statement.bind(&self.shard).bind(&self.epoch).bind(&self.execution).bind(&self.id)
    }
}

#[derive(Default)]
struct Notes<'a> {
    from_shard: Vec<i16>,
    epoch: Vec<i64>,
    id: Vec<Uuid>,
    shard: Vec<i16>,
    execution: Vec<Uuid>,
    at: Vec<i64>,
    kind: Vec<i16>,
    encoding: Vec<i16>,
    name: Vec<&'a str>,
    dedupe_key: Vec<Option<&'a str>>,
    body: Vec<&'a [u8]>,
}

impl<'a> Notes<'a> {
    fn extend(&mut self, append: &'a Append) {
        for note in &append.notify {
            self.push(sender(append), note);
        }
    }

    fn push(&mut self, (from_shard, epoch): (i16, i64), note: &'a InboxRow) {
        self.from_shard.push(from_shard);
        self.epoch.push(epoch);
        self.id.push(note.id.uuid());
        self.shard.push(shard_of(note.execution));
        self.execution.push(note.execution.uuid());
        self.at.push(millis(note.at));
        self.kind.push(note.kind.code());
        self.encoding.push(note.body.encoding.code());
        self.name.push(&note.name);
        self.dedupe_key.push(note.dedupe_key.as_deref());
        self.body.push(&note.body.bytes);
    }

    fn bind<'q>(&'q self, statement: Statement<'q>) -> Statement<'q> {
        statement
            .bind(&self.from_shard)
            .bind(&self.epoch)
            .bind(&self.id)
            .bind(&self.shard)
            .bind(&self.execution)
            .bind(&self.at)
            .bind(&self.kind)
            .bind(&self.encoding)
            .bind(&self.name)
            .bind(&self.dedupe_key)
            .bind(&self.body)
    }
}
