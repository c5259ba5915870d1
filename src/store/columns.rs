//! Rows as both databases give them, and what they mean. `sqlx`'s `FromRow` knows one database at a time, so each row type is
//! declared once here and read by both.

use std::collections::BTreeSet;

use bytes::Bytes;
use uuid::Uuid;

pub(super) use self::{accounts::*, audit::*, batches::*, catalog::*, credentials::*, engine::*, people::*, schedules::*};
use super::{Encoding, Payload, Result, StoreError};
use crate::model::{
    execution::ExecutionStatus,
    ids::{ExecutionId, SHARD_COUNT},
};

mod accounts;
mod audit;
mod batches;
mod catalog;
mod credentials;
mod engine;
mod people;
mod schedules;

/// A stored number that this release gives no meaning to.
#[derive(Debug, thiserror::Error)]
#[error("{column} holds {value}")]
struct UnknownValue {
    column: &'static str,
    value: i64,
}

/// Stored bytes of another length than the column's.
#[derive(Debug, thiserror::Error)]
#[error("{column} holds {length} bytes")]
struct UnknownLength {
    column: &'static str,
    length: usize,
}

/// Milliseconds as the databases keep them. Saturates after 292 million years.
pub(super) fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// A count or a number as the databases keep it.
/// Errors: `Conflict` above 2^31 - 1, which no limit of the engine reaches.
pub(super) fn number(value: u32) -> Result<i32> {
    i32::try_from(value).map_err(|_| StoreError::Conflict { constraint: "number_range".to_owned() })
}

/// Shards as the databases keep them: each once, in order, without those that do not exist.
pub(super) fn shards(shards: &[u16]) -> Vec<i16> {
    let existing: BTreeSet<u16> = shards.iter().copied().filter(|shard| *shard < SHARD_COUNT).collect();
    existing.into_iter().filter_map(|shard| i16::try_from(shard).ok()).collect()
}

/// The id that a page begins above: the nil one, which is no execution's, at the beginning.
pub(super) fn after(id: Option<ExecutionId>) -> Uuid {
    id.map_or(Uuid::nil(), ExecutionId::uuid)
}

/// A lease's length as the databases add it to their clocks. At most ten years, so that the sum is a time.
pub(super) fn lease(ms: u64) -> i64 {
    const LEASE_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;
    millis(ms.min(LEASE_MS_MAX))
}

/// The shard of an execution as the databases keep it.
pub(super) fn shard_of(execution: ExecutionId) -> i16 {
    i16::try_from(execution.shard()).expect("shards are below 256")
}

fn unknown(what: &'static str, column: &'static str, value: impl Into<i64>) -> StoreError {
    StoreError::Corrupt { what, source: Box::new(UnknownValue { column, value: value.into() }) }
}

/// What a stored status means.
pub(super) fn status(code: i16) -> Result<ExecutionStatus> {
    ExecutionStatus::from_code(code).ok_or_else(|| unknown("execution", "status", code))
}

fn time(what: &'static str, column: &'static str, value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| unknown(what, column, value))
}

fn optional_time(what: &'static str, column: &'static str, value: Option<i64>) -> Result<Option<u64>> {
    value.map(|value| time(what, column, value)).transpose()
}

fn count(what: &'static str, column: &'static str, value: i32) -> Result<u32> {
    u32::try_from(value).map_err(|_| unknown(what, column, value))
}

fn hash(what: &'static str, column: &'static str, bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| StoreError::Corrupt { what, source: Box::new(UnknownLength { column, length: bytes.len() }) })
}

fn payload(what: &'static str, encoding: i16, body: Vec<u8>) -> Result<Payload> {
    let encoding = Encoding::from_code(encoding).ok_or_else(|| unknown(what, "encoding", encoding))?;
    Ok(Payload { encoding, bytes: Bytes::from(body) })
}

/// Declares a row by its columns. Takes the place of sqlx's derive, which is part of its macros feature.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident { $($column:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        pub(in crate::store) struct $name { $(pub(in crate::store) $column: $type),* }

        impl sqlx::FromRow<'_, sqlx::postgres::PgRow> for $name {
            fn from_row(row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
                Ok(Self { $($column: sqlx::Row::try_get(row, stringify!($column))?),* })
            }
        }

        impl sqlx::FromRow<'_, sqlx::sqlite::SqliteRow> for $name {
            fn from_row(row: &sqlx::sqlite::SqliteRow) -> sqlx::Result<Self> {
                Ok(Self { $($column: sqlx::Row::try_get(row, stringify!($column))?),* })
            }
        }
    )*};
}
use rows;

/// Turns rows into what crosses the trait.
pub(super) fn all<C, R>(columns: Vec<C>) -> Result<Vec<R>>
where
    R: TryFrom<C, Error = StoreError>,
{
    columns.into_iter().map(R::try_from).collect()
}
