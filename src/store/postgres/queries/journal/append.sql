-- Appends a batch: every row of it whose sender owns its shard, or none at all. One statement, so one round trip and one commit.
--
-- $1, $2    the shards and epochs that the batch speaks for, each pair once
-- $3 - $12  journal rows: execution, shard, epoch, first (does this append create the execution), day, seq, events, at,
--           encoding, body
-- $13 - $28 new executions
-- $29 - $36 changed states
-- $37 - $40 used up messages: shard, epoch, execution, id
-- $41 - $51 messages to others: the sender's shard and epoch, then the row
-- and with `keep_snapshots.sql`, which goes before the answer, $52 - $58
--
-- `status + 0` hides the condition from the planner: on a young table it would rather walk a partial index by status than look
-- the execution up by its key, and would keep that plan while the table grows.

WITH
-- A takeover updates the row of its shard, which this lock keeps waiting until this statement's commit. In the order of the
-- shards, as in every other statement that locks several.
locked AS MATERIALIZED (
  SELECT shard, epoch
  FROM shards
  WHERE (shard, epoch) IN (SELECT * FROM UNNEST($1::smallint[], $2::bigint[]))
  ORDER BY shard
  FOR SHARE
),
-- The epoch of each shard that the batch owns, by number; -1 for the others. An array, because a join against a few hundred
-- rows per row is what the planner makes of unnested arrays, whose size it does not know.
held AS MATERIALIZED (
  SELECT array_agg(COALESCE(locked.epoch, -1) ORDER BY number) AS epochs
  FROM generate_series(0, 255) AS number LEFT JOIN locked ON locked.shard = number
),
-- Whether every execution that is appended to is there and has not finished. If not, nothing is written.
gate AS MATERIALIZED (
  SELECT NOT EXISTS (
    SELECT
    FROM UNNEST($3::uuid[], $4::smallint[], $5::bigint[], $6::boolean[]) AS entry (execution_id, shard, epoch, first), held
    WHERE held.epochs[entry.shard + 1] = entry.epoch AND NOT entry.first
    AND NOT EXISTS (SELECT FROM executions WHERE executions.id = entry.execution_id AND executions.status + 0 < 10)
  ) AS open
),
consumed AS (
  DELETE FROM inbox
  USING UNNEST($37::smallint[], $38::bigint[], $39::uuid[], $40::uuid[]) AS used (shard, epoch, execution_id, id), held, gate
  WHERE gate.open AND held.epochs[used.shard + 1] = used.epoch
  AND inbox.shard = used.shard AND inbox.execution_id = used.execution_id AND inbox.id = used.id
  RETURNING 1
),
-- The count makes this run after the deletion, which may free a dedupe key. Sorted, so that two batches with the same dedupe
-- keys wait for each other in one order.
notified AS (
  INSERT INTO inbox (id, shard, execution_id, at, kind, encoding, name, dedupe_key, body)
  SELECT note.id, note.shard, note.execution_id, note.at, note.kind, note.encoding, note.name, note.dedupe_key, note.body
  FROM UNNEST(
    $41::smallint[], $42::bigint[], $43::uuid[], $44::smallint[], $45::uuid[], $46::bigint[], $47::smallint[], $48::smallint[],
    $49::text[], $50::text[], $51::bytea[]
  ) AS note (from_shard, epoch, id, shard, execution_id, at, kind, encoding, name, dedupe_key, body), held, gate
  WHERE gate.open AND held.epochs[note.from_shard + 1] = note.epoch AND (SELECT count(*) FROM consumed) >= 0
  AND EXISTS (SELECT FROM executions WHERE executions.id = note.execution_id AND executions.status + 0 < 10)
  ORDER BY note.execution_id, note.name, note.dedupe_key, note.id
  ON CONFLICT DO NOTHING
),
created AS (
  INSERT INTO executions (
    id, shard, created_at, workspace_id, workflow_id, version, trigger_kind, parent_id, retry_of, business_key,
    status, wake_at, finished_at, error_code, expires_at
  )
  SELECT
    new.id, new.shard, new.created_at, new.workspace_id, new.workflow_id, new.version, new.trigger_kind, new.parent_id,
    new.retry_of, new.business_key, new.status, new.wake_at, new.finished_at, new.error_code, new.expires_at
  FROM UNNEST(
    $13::smallint[], $14::bigint[], $15::uuid[], $16::bigint[], $17::uuid[], $18::uuid[], $19::integer[], $20::smallint[],
    $21::uuid[], $22::uuid[], $23::text[], $24::smallint[], $25::bigint[], $26::bigint[], $27::text[], $28::bigint[]
  ) AS new (
    shard, epoch, id, created_at, workspace_id, workflow_id, version, trigger_kind, parent_id, retry_of, business_key,
    status, wake_at, finished_at, error_code, expires_at
  ), held, gate
  WHERE gate.open AND held.epochs[new.shard + 1] = new.epoch
),
changed AS (
  UPDATE executions
  SET status = next.status, wake_at = next.wake_at, finished_at = next.finished_at, error_code = next.error_code,
    expires_at = next.expires_at
  FROM UNNEST(
    $29::smallint[], $30::bigint[], $31::uuid[], $32::smallint[], $33::bigint[], $34::bigint[], $35::text[], $36::bigint[]
  ) AS next (shard, epoch, id, status, wake_at, finished_at, error_code, expires_at), held, gate
  WHERE gate.open AND held.epochs[next.shard + 1] = next.epoch AND executions.id = next.id AND executions.status + 0 < 10
),
written AS (
  INSERT INTO journal (execution_id, epoch, day, seq, event_count, at, encoding, body)
  SELECT
    entry.execution_id, entry.epoch, entry.day, entry.seq, entry.event_count, entry.at, entry.encoding, entry.body
  FROM UNNEST(
    $3::uuid[], $4::smallint[], $5::bigint[], $7::integer[], $8::integer[], $9::integer[], $10::bigint[], $11::smallint[],
    $12::bytea[]
  ) AS entry (execution_id, shard, epoch, day, seq, event_count, at, encoding, body), held, gate
  WHERE gate.open AND held.epochs[entry.shard + 1] = entry.epoch
)
SELECT gate.open, held.epochs FROM gate, held
