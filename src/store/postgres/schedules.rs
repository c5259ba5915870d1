//! Schedules: those that workflows publish and those that stand alone, and their ticks.

use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{
    PostgresStore,
    error::failed,
    journal::{Failure, create_within, prepare_creation, unless_partition_missing},
};
use crate::{
    model::{
        ids::{ExecutionId, ScheduleId, WorkflowId, WorkspaceId},
        schedule::Tick,
    },
    store::{
        FireOutcome, FireSchedule, InsertSchedule, MoveSchedule, NewSchedule, PageRequest, Publication, Result, ScheduleContent,
        ScheduleCursor, ScheduleRow, ScheduleState, StoreError, UpdateSchedule,
        columns::{self, ScheduleColumns, millis, number, schedule_columns, tick_columns},
        journal::constraints,
    },
};

const READING: &str = "reading schedules";
const WRITING: &str = "writing a schedule";

pub(super) async fn insert_schedule(store: &PostgresStore, schedule: &NewSchedule, schedules_max: u32) -> Result<InsertSchedule> {
    const HAS_WORKFLOW: &str = "SELECT EXISTS (SELECT 1 FROM workflows WHERE workspace_id = $1 AND id = $2) LIMIT 1";
    const COUNT: &str = "SELECT count(*) FROM schedules WHERE workspace_id = $1 AND version IS NULL LIMIT 1";
    const INSERT: &str = concat!(
        "INSERT INTO schedules (id, workspace_id, workflow_id, node, spec, input, rev, paused_at, next_at, due_at, waits, fired,
            passed, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8, $9, $10, 0, 0, $11, $11) RETURNING ",
        schedule_columns!()
    );
    let (workspace, workflow) = (schedule.workspace.uuid(), schedule.workflow.uuid());
    let mut tx = store.begin(WRITING).await?;
    let has_workflow = sqlx::query_scalar(HAS_WORKFLOW).bind(workspace).bind(workflow).fetch_one(&mut *tx).await;
    if !has_workflow.map_err(failed(WRITING))? {
        return Ok(InsertSchedule::NoWorkflow);
    }
    let count: i64 = sqlx::query_scalar(COUNT).bind(workspace).fetch_one(&mut *tx).await.map_err(failed(WRITING))?;
    if count >= i64::from(schedules_max) {
        return Ok(InsertSchedule::Full);
    }
    let (next_at, due_at, waits) = tick_columns(schedule.content.next);
    let row: ScheduleColumns = sqlx::query_as(INSERT)
        .bind(schedule.id.uuid())
        .bind(workspace)
        .bind(workflow)
        .bind(schedule.content.node.clone())
        .bind(schedule.content.spec.to_vec())
        .bind(schedule.content.input.as_ref().map(|input| input.to_vec()))
        .bind(schedule.paused_at.map(millis))
        .bind(next_at)
        .bind(due_at)
        .bind(waits)
        .bind(millis(schedule.created_at))
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(WRITING))?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(InsertSchedule::Inserted(Box::new(row.try_into()?)))
}

pub(super) async fn update_schedule(
    store: &PostgresStore,
    workspace: WorkspaceId,
    id: ScheduleId,
    expected_rev: u32,
    content: &ScheduleContent,
    now_ms: u64,
) -> Result<UpdateSchedule> {
    const SQL: &str = concat!(
        "UPDATE schedules SET node = $4, spec = $5, input = $6, next_at = $7, due_at = $8, waits = $9, rev = rev + 1,
            last_error = NULL, updated_at = $10
        WHERE workspace_id = $1 AND id = $2 AND rev = $3 AND version IS NULL RETURNING ",
        schedule_columns!()
    );
    let (next_at, due_at, waits) = tick_columns(content.next);
    let row: Option<ScheduleColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(i64::from(expected_rev))
        .bind(content.node.clone())
        .bind(content.spec.to_vec())
        .bind(content.input.as_ref().map(|input| input.to_vec()))
        .bind(next_at)
        .bind(due_at)
        .bind(waits)
        .bind(millis(now_ms))
        .fetch_optional(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    match row {
        Some(row) => Ok(UpdateSchedule::Updated(Box::new(row.try_into()?))),
        None => Ok(match find_schedule(store, workspace, id).await? {
            Some(row) if row.version.is_some() => UpdateSchedule::Published,
            Some(row) => UpdateSchedule::Stale { rev: row.rev },
            None => UpdateSchedule::NotFound,
        }),
    }
}

pub(super) async fn pause_schedule(
    store: &PostgresStore,
    workspace: WorkspaceId,
    id: ScheduleId,
    now_ms: u64,
) -> Result<Option<ScheduleRow>> {
    const SQL: &str = concat!(
        "UPDATE schedules SET paused_at = $3, rev = rev + 1, updated_at = $3
        WHERE workspace_id = $1 AND id = $2 AND paused_at IS NULL RETURNING ",
        schedule_columns!()
    );
    let row: Option<ScheduleColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(millis(now_ms))
        .fetch_optional(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    match row {
        Some(row) => ScheduleRow::try_from(row).map(Some),
        None => find_schedule(store, workspace, id).await,
    }
}

pub(super) async fn resume_schedule(
    store: &PostgresStore,
    workspace: WorkspaceId,
    id: ScheduleId,
    expected_rev: u32,
    next: Option<Tick>,
    now_ms: u64,
) -> Result<UpdateSchedule> {
    const SQL: &str = concat!(
        "UPDATE schedules SET paused_at = NULL, next_at = $4, due_at = $5, waits = $6, rev = rev + 1, updated_at = $7
        WHERE workspace_id = $1 AND id = $2 AND rev = $3 RETURNING ",
        schedule_columns!()
    );
    let (next_at, due_at, waits) = tick_columns(next);
    let row: Option<ScheduleColumns> = sqlx::query_as(SQL)
        .bind(workspace.uuid())
        .bind(id.uuid())
        .bind(i64::from(expected_rev))
        .bind(next_at)
        .bind(due_at)
        .bind(waits)
        .bind(millis(now_ms))
        .fetch_optional(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    match row {
        Some(row) => Ok(UpdateSchedule::Updated(Box::new(row.try_into()?))),
        None => {
            let stored = find_schedule(store, workspace, id).await?;
            Ok(stored.map_or(UpdateSchedule::NotFound, |row| UpdateSchedule::Stale { rev: row.rev }))
        }
    }
}

pub(super) async fn delete_schedule(store: &PostgresStore, workspace: WorkspaceId, id: ScheduleId) -> Result<bool> {
    const SQL: &str = "DELETE FROM schedules WHERE workspace_id = $1 AND id = $2 AND version IS NULL";
    let deleted = sqlx::query(SQL).bind(workspace.uuid()).bind(id.uuid()).execute(&store.pool).await.map_err(failed(WRITING))?;
    Ok(deleted.rows_affected() > 0)
}

pub(super) async fn find_schedule(store: &PostgresStore, workspace: WorkspaceId, id: ScheduleId) -> Result<Option<ScheduleRow>> {
    const SQL: &str = concat!("SELECT ", schedule_columns!(), " FROM schedules WHERE workspace_id = $1 AND id = $2 LIMIT 1");
    let row: Option<ScheduleColumns> =
        sqlx::query_as(SQL).bind(workspace.uuid()).bind(id.uuid()).fetch_optional(&store.pool).await.map_err(failed(READING))?;
    row.map(ScheduleRow::try_from).transpose()
}

pub(super) async fn list_schedules(
    store: &PostgresStore,
    workspace: WorkspaceId,
    workflow: Option<WorkflowId>,
    page: &PageRequest<ScheduleCursor>,
) -> Result<Vec<ScheduleRow>> {
    let mut query: QueryBuilder<Postgres> =
        QueryBuilder::new(concat!("SELECT ", schedule_columns!(), " FROM schedules WHERE workspace_id = "));
    query.push_bind(workspace.uuid());
    if let Some(workflow) = workflow {
        query.push(" AND workflow_id = ").push_bind(workflow.uuid());
    }
    if let Some(after) = page.after {
        query.push(" AND (created_at, id) < (").push_bind(millis(after.created_at)).push(", ");
        query.push_bind(after.id.uuid()).push(")");
    }
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(i64::from(page.limit));
    let rows: Vec<ScheduleColumns> = query.build_query_as().fetch_all(&store.pool).await.map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn due_schedules(store: &PostgresStore, until_ms: u64, limit: u32) -> Result<Vec<ScheduleRow>> {
    const SQL: &str = concat!(
        "SELECT ",
        schedule_columns!(),
        " FROM schedules WHERE paused_at IS NULL AND due_at <= $1 ORDER BY due_at, id LIMIT $2"
    );
    let rows: Vec<ScheduleColumns> = sqlx::query_as(SQL)
        .bind(millis(until_ms))
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await
        .map_err(failed(READING))?;
    columns::all(rows)
}

pub(super) async fn move_schedule(store: &PostgresStore, step: &MoveSchedule) -> Result<bool> {
    const SQL: &str = "UPDATE schedules SET next_at = $4, due_at = $5, waits = $6, passed = passed + $7,
            last_error = COALESCE($8, last_error)
        WHERE id = $1 AND rev = $2 AND next_at = $3 AND paused_at IS NULL";
    let (next_at, due_at, waits) = tick_columns(step.next);
    let moved = sqlx::query(SQL)
        .bind(step.from.id.uuid())
        .bind(number(step.from.rev)?)
        .bind(millis(step.from.scheduled_at))
        .bind(next_at)
        .bind(due_at)
        .bind(waits)
        .bind(i64::from(step.passed))
        .bind(step.error.clone())
        .execute(&store.pool)
        .await
        .map_err(failed(WRITING))?;
    Ok(moved.rows_affected() > 0)
}

pub(super) async fn fire_schedule(store: &PostgresStore, fire: &FireSchedule) -> Result<FireOutcome> {
    match fire_unless_partition_missing(store, fire).await {
        // A backfill has created it since our look: the next look finds it.
        Err(StoreError::Conflict { constraint }) if constraint == constraints::EXECUTIONS_KEY => {
            fire_unless_partition_missing(store, fire).await
        }
        outcome => outcome,
    }
}

pub(super) async fn list_live_of_schedule(store: &PostgresStore, id: ScheduleId, limit: u32) -> Result<Vec<ExecutionId>> {
    // Says what the partial index says, so that it serves.
    const SQL: &str = "SELECT id FROM executions WHERE schedule_id = $1 AND schedule_id IS NOT NULL AND status < 10
        ORDER BY id LIMIT $2";
    let ids: Vec<Uuid> =
        sqlx::query_scalar(SQL).bind(id.uuid()).bind(i64::from(limit)).fetch_all(&store.pool).await.map_err(failed(READING))?;
    Ok(ids.into_iter().map(ExecutionId::from_uuid).collect())
}

/// Deletes the schedules that a workflow publishes.
pub(super) async fn delete_published(connection: &mut PgConnection, workflow: WorkflowId) -> Result<()> {
    const SQL: &str = "DELETE FROM schedules WHERE workflow_id = $1 AND version IS NOT NULL";
    sqlx::query(SQL).bind(workflow.uuid()).execute(connection).await.map(drop).map_err(failed(WRITING))
}

/// Puts the schedules of a version in the place of those that the workflow has published before.
pub(super) async fn publish(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
    workflow: WorkflowId,
    publication: &Publication,
) -> Result<()> {
    const DELETE: &str = "DELETE FROM schedules WHERE workflow_id = $1 AND version IS NOT NULL AND id <> ALL($2::uuid[])";
    // In the order of the key, so that two activations wait for each other in one order.
    const UPSERT: &str = "INSERT INTO schedules (id, workspace_id, workflow_id, version, node, spec, rev, next_at, due_at, waits,
            fired, passed, created_at, updated_at)
        SELECT new.id, $7, $8, $9, new.node, new.spec, 1, new.next_at, new.due_at, new.waits, 0, 0, $10, $10
        FROM UNNEST($1::uuid[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::smallint[])
            AS new (id, node, spec, next_at, due_at, waits)
        ORDER BY new.id
        ON CONFLICT (id) DO UPDATE SET version = excluded.version, node = excluded.node, spec = excluded.spec,
            next_at = CASE WHEN schedules.spec = excluded.spec THEN schedules.next_at ELSE excluded.next_at END,
            due_at = CASE WHEN schedules.spec = excluded.spec THEN schedules.due_at ELSE excluded.due_at END,
            waits = CASE WHEN schedules.spec = excluded.spec THEN schedules.waits ELSE excluded.waits END,
            rev = schedules.rev + 1, updated_at = excluded.updated_at";
    let schedules = &publication.schedules;
    let ids: Vec<Uuid> = schedules.iter().map(|schedule| schedule.id.uuid()).collect();
    let nodes: Vec<&str> = schedules.iter().map(|schedule| schedule.node.as_str()).collect();
    let specs: Vec<&[u8]> = schedules.iter().map(|schedule| &schedule.spec[..]).collect();
    let ticks: Vec<_> = schedules.iter().map(|schedule| tick_columns(schedule.next)).collect();
    let deleted = sqlx::query(DELETE).bind(workflow.uuid()).bind(&ids).execute(&mut *connection).await;
    deleted.map_err(failed(WRITING))?;
    sqlx::query(UPSERT)
        .bind(&ids)
        .bind(nodes)
        .bind(specs)
        .bind(ticks.iter().map(|(next_at, ..)| *next_at).collect::<Vec<_>>())
        .bind(ticks.iter().map(|(_, due_at, _)| *due_at).collect::<Vec<_>>())
        .bind(ticks.iter().map(|(.., waits)| *waits).collect::<Vec<_>>())
        .bind(workspace.uuid())
        .bind(workflow.uuid())
        .bind(number(publication.version)?)
        .bind(millis(publication.now_ms))
        .execute(connection)
        .await
        .map_err(failed(WRITING))?;
    Ok(())
}

async fn fire_unless_partition_missing(store: &PostgresStore, fire: &FireSchedule) -> Result<FireOutcome> {
    match unless_partition_missing(store, fire_once(store, fire).await)? {
        Some(outcome) => Ok(outcome),
        None => Ok(fire_once(store, fire).await?),
    }
}

async fn fire_once(store: &PostgresStore, fire: &FireSchedule) -> std::result::Result<FireOutcome, Failure> {
    prepare_creation(store, &fire.append).await?;
    let mut tx = store.begin(WRITING).await?;
    // First, so that two processes that fire the same tick wait for each other here.
    if !move_on(&mut tx, fire).await? {
        return Ok(FireOutcome::Moved);
    }
    let is_new = create_within(&mut tx, &fire.append, Some(fire.from.id)).await?;
    tx.commit().await.map_err(failed(WRITING))?;
    Ok(if is_new { FireOutcome::Fired } else { FireOutcome::Repeated })
}

/// Moves the schedule behind the tick that fires. `false` if it is in another state.
async fn move_on(connection: &mut PgConnection, fire: &FireSchedule) -> Result<bool> {
    const SQL: &str = "UPDATE schedules SET next_at = $4, due_at = $5, waits = $6, last_scheduled_at = $3, last_fired_at = $7,
            fired = fired + 1, last_error = NULL
        WHERE id = $1 AND rev = $2 AND next_at = $3 AND paused_at IS NULL";
    let ScheduleState { id, rev, scheduled_at } = fire.from;
    let (next_at, due_at, waits) = tick_columns(fire.next);
    let moved = sqlx::query(SQL)
        .bind(id.uuid())
        .bind(number(rev)?)
        .bind(millis(scheduled_at))
        .bind(next_at)
        .bind(due_at)
        .bind(waits)
        .bind(millis(fire.append.created_at))
        .execute(connection)
        .await
        .map_err(failed(WRITING))?;
    Ok(moved.rows_affected() > 0)
}
