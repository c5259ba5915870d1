//! The journal's partitions, one per day of creation: made ahead and on demand, dropped whole when no execution of the day is
//! left. Dropping a day costs milliseconds where deleting its rows would cost a vacuum.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::error::{failed, is_lock_timeout};
use crate::store::{
    Result,
    columns::millis,
    journal::{MS_PER_DAY, day_of},
};

/// Days that have their partition before their first execution.
const DAYS_AHEAD: i32 = 2;
/// Partitions that one call looks at, the oldest first.
const DAYS_EXAMINED_MAX: i64 = 1_000;
/// Partitions that one call drops: each holds every append up for some milliseconds.
const DROPS_MAX: usize = 8;
/// How long a drop may hold appends up before it gives way. It is tried again at the next call.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '500ms'";
/// Lets one process at a time make partitions. The number is arbitrary.
const MAKING_LOCK: i64 = 0x6369_7461_6465_6c01;
const MAKING: &str = "making a journal partition";
const DROPPING: &str = "dropping a journal partition";

/// The days whose partitions this process has seen. Another process may drop one, so it is a hint.
#[derive(Default)]
pub(super) struct Partitions {
    seen: Mutex<BTreeSet<i32>>,
}

impl Partitions {
    /// Makes the partitions of the days that this process has not seen.
    pub(super) async fn ensure(&self, pool: &PgPool, days: &BTreeSet<i32>) -> Result<()> {
        let unseen: Vec<i32> = days.difference(&self.seen()).copied().collect();
        for day in unseen {
            make(pool, day).await?;
            self.seen().insert(day);
        }
        Ok(())
    }

    /// Makes today's partition and those of the next days, by the database's clock.
    pub(super) async fn ensure_ahead(&self, pool: &PgPool) -> Result<()> {
        const TODAY: &str = "SELECT floor(extract(epoch FROM now()) / 86400)::integer LIMIT 1";
        let today: i32 = sqlx::query_scalar(TODAY).fetch_one(pool).await.map_err(failed(MAKING))?;
        self.ensure(pool, &(today..=today + DAYS_AHEAD).collect()).await
    }

    /// Takes back what `ensure` believes: a partition was missing.
    pub(super) fn forget(&self) {
        self.seen().clear();
    }

    /// Drops partitions of days before `now_ms` that no execution refers to. A day whose lock is not free soon stays.
    pub(super) async fn drop_unused(&self, pool: &PgPool, now_ms: u64) -> Result<()> {
        const DAYS: &str = "SELECT replace(child.relname, 'journal_day_', '')::integer AS day
            FROM pg_inherits JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
            WHERE pg_inherits.inhparent = 'journal'::regclass AND child.relname LIKE 'journal\\_day\\_%'
            ORDER BY day LIMIT $1";
        let days: Vec<i32> = sqlx::query_scalar(DAYS).bind(DAYS_EXAMINED_MAX).fetch_all(pool).await.map_err(failed(DROPPING))?;
        let mut dropped = 0;
        for day in days.into_iter().take_while(|day| *day < day_of(now_ms)) {
            if dropped == DROPS_MAX {
                break;
            }
            if self.drop_day(pool, day).await? {
                dropped += 1;
            }
        }
        Ok(())
    }

    async fn drop_day(&self, pool: &PgPool, day: i32) -> Result<bool> {
        match drop_if_unused(pool, day).await {
            Ok(true) => {
                self.seen().remove(&day);
                Ok(true)
            }
            Err(error) if is_lock_timeout(&error) => Ok(false),
            kept => kept.map_err(failed(DROPPING)),
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.seen.lock().expect("nothing panics under the lock")
    }
}

async fn make(pool: &PgPool, day: i32) -> Result<()> {
    // Two processes that make the same table at once would both fail in the catalogue, `IF NOT EXISTS` or not.
    let making = async {
        let mut tx = pool.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MAKING_LOCK).execute(&mut *tx).await?;
        let (table, next) = (name(day), day + 1);
        let sql = format!("CREATE TABLE IF NOT EXISTS {table} PARTITION OF journal FOR VALUES FROM ({day}) TO ({next})");
        sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(&mut *tx).await?;
        tx.commit().await
    };
    making.await.map_err(failed(MAKING))
}

/// Looks again under the lock: an append that came between has brought an execution of this day.
/// The parent is locked first, as an append does, so that the two cannot wait for each other.
async fn drop_if_unused(pool: &PgPool, day: i32) -> sqlx::Result<bool> {
    let mut tx = pool.begin().await?;
    if has_executions(&mut tx, day).await? {
        return Ok(false);
    }
    sqlx::query(LOCK_TIMEOUT).execute(&mut *tx).await?;
    sqlx::query("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE").execute(&mut *tx).await?;
    if has_executions(&mut tx, day).await? {
        return Ok(false);
    }
    let sql = format!("DROP TABLE IF EXISTS {}", name(day));
    sqlx::query(AssertSqlSafe(sql)).persistent(false).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(true)
}

/// A look at the index of lists per workspace, since none is by time alone: it jumps from one workspace to the next.
async fn has_executions(connection: &mut PgConnection, day: i32) -> sqlx::Result<bool> {
    const SQL: &str = "WITH RECURSIVE workspace (id) AS (
            (SELECT workspace_id FROM executions ORDER BY workspace_id LIMIT 1)
            UNION ALL
            SELECT (SELECT workspace_id FROM executions WHERE workspace_id > workspace.id ORDER BY workspace_id LIMIT 1)
            FROM workspace WHERE workspace.id IS NOT NULL
        )
        SELECT EXISTS (
            SELECT FROM workspace CROSS JOIN LATERAL (
                SELECT FROM executions
                WHERE workspace_id = workspace.id AND created_at >= $1 AND created_at < $2 LIMIT 1
            ) AS found
        ) LIMIT 1";
    let start = u64::try_from(day).unwrap_or(0) * MS_PER_DAY;
    let (start, end) = (millis(start), millis(start + MS_PER_DAY));
    sqlx::query_scalar(SQL).bind(start).bind(end).fetch_one(connection).await
}

fn name(day: i32) -> String {
    format!("journal_day_{day}")
}
