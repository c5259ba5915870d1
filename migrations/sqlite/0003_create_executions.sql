-- Ownership of shards, executions with their journals and inboxes, and idempotency keys.
-- There is no table of timers: a waiting execution has one wake_at, and executions_due finds it.
-- Executions have no foreign keys: a check per row would cost more than the row, and they outlive their workflow.
-- Locks: none, the tables are new.

CREATE TABLE shards (
  shard INTEGER NOT NULL,
  owner BLOB,
  epoch INTEGER NOT NULL,
  lease_until INTEGER NOT NULL,
  CONSTRAINT shards_key PRIMARY KEY (shard)
) STRICT, WITHOUT ROWID;

INSERT INTO shards (shard, epoch, lease_until)
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 255)
SELECT n, 0, 0 FROM numbers;

-- status: 0 queued, 1 running, 2 waiting; finished ones are 10 succeeded, 11 failed, 12 cancelled.
CREATE TABLE executions (
  id BLOB NOT NULL,
  workspace_id BLOB NOT NULL,
  workflow_id BLOB NOT NULL,
  parent_id BLOB,
  retry_of BLOB,
  created_at INTEGER NOT NULL,
  wake_at INTEGER,
  finished_at INTEGER,
  expires_at INTEGER,
  version INTEGER NOT NULL,
  activations INTEGER NOT NULL DEFAULT 0,
  activation_seq INTEGER NOT NULL DEFAULT 0,
  shard INTEGER NOT NULL,
  status INTEGER NOT NULL,
  trigger_kind INTEGER NOT NULL,
  business_key TEXT,
  error_code TEXT,
  CONSTRAINT executions_key PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

-- What an owner starts again, and what it wakes.
CREATE INDEX executions_live ON executions (shard, id) WHERE status < 2;
CREATE INDEX executions_due ON executions (shard, wake_at, id) WHERE status = 2;
-- Lists, by cursor. Most executions succeed, so the indexes by status leave them out.
CREATE INDEX executions_list ON executions (workspace_id, created_at DESC, id DESC);
CREATE INDEX executions_list_workflow ON executions (workspace_id, workflow_id, created_at DESC, id DESC);
CREATE INDEX executions_list_status ON executions (workspace_id, status, created_at DESC, id DESC) WHERE status <> 10;
CREATE INDEX executions_list_workflow_status
  ON executions (workspace_id, workflow_id, status, created_at DESC, id DESC) WHERE status <> 10;
CREATE INDEX executions_retries ON executions (retry_of, created_at DESC, id DESC) WHERE retry_of IS NOT NULL;
-- Retention.
CREATE INDEX executions_expiry ON executions (expires_at, id) WHERE status >= 10;

-- Append only. The key makes a second writer fail instead of forking history.
CREATE TABLE journal (
  execution_id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  event_count INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  at INTEGER NOT NULL,
  encoding INTEGER NOT NULL,
  body BLOB NOT NULL,
  CONSTRAINT journal_key PRIMARY KEY (execution_id, seq)
) STRICT, WITHOUT ROWID;

-- What waits for an execution: signals and cancel requests.
CREATE TABLE inbox (
  shard INTEGER NOT NULL,
  execution_id BLOB NOT NULL,
  id BLOB NOT NULL,
  at INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  encoding INTEGER NOT NULL,
  name TEXT NOT NULL,
  dedupe_key TEXT,
  body BLOB NOT NULL,
  CONSTRAINT inbox_key PRIMARY KEY (shard, execution_id, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX inbox_dedupe ON inbox (execution_id, name, dedupe_key) WHERE dedupe_key IS NOT NULL;

CREATE TABLE idempotency (
  workspace_id BLOB NOT NULL,
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  request_hash BLOB NOT NULL,
  execution_id BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  CONSTRAINT idempotency_key PRIMARY KEY (workspace_id, scope, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_expiry ON idempotency (expires_at);
