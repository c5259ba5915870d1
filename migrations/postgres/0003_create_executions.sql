-- Ownership of shards, executions with their journals and inboxes, and idempotency keys.
-- There is no table of timers: a waiting execution has one wake_at, and executions_due finds it.
-- Executions have no foreign keys: a check per row would cost more than the row, and they outlive their workflow.
-- Locks: none, the tables are new.

CREATE TABLE shards (
  shard smallint NOT NULL,
  owner uuid,
  epoch bigint NOT NULL,
  lease_until bigint NOT NULL,
  CONSTRAINT shards_key PRIMARY KEY (shard)
) WITH (fillfactor = 50); -- Leases are renewed in place every few seconds.

INSERT INTO shards (shard, epoch, lease_until) SELECT n, 0, 0 FROM generate_series(0, 255) AS n;

-- status: 0 queued, 1 running, 2 waiting; finished ones are 10 succeeded, 11 failed, 12 cancelled.
CREATE TABLE executions (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  parent_id uuid,
  retry_of uuid,
  created_at bigint NOT NULL,
  wake_at bigint,
  finished_at bigint,
  expires_at bigint,
  version integer NOT NULL,
  activations integer NOT NULL DEFAULT 0,
  activation_seq integer NOT NULL DEFAULT 0,
  shard smallint NOT NULL,
  status smallint NOT NULL,
  trigger_kind smallint NOT NULL,
  business_key text,
  error_code text
);

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

-- Made last: where indexes look equally good, which they do while the table is empty, PostgreSQL takes the youngest, and the
-- others end in id, too. A plan that was made then walks a whole index per execution once the table has grown.
ALTER TABLE executions ADD CONSTRAINT executions_key PRIMARY KEY (id);

-- Append only. The key makes a second writer fail instead of forking history. One partition per day of the execution's
-- creation (days since 1970-01-01), made by the store and dropped whole when no execution of the day is left.
CREATE TABLE journal (
  day integer NOT NULL,
  execution_id uuid NOT NULL,
  seq integer NOT NULL,
  event_count integer NOT NULL,
  epoch bigint NOT NULL,
  at bigint NOT NULL,
  encoding smallint NOT NULL,
  body bytea NOT NULL,
  CONSTRAINT journal_key PRIMARY KEY (day, execution_id, seq)
) PARTITION BY RANGE (day);

-- The bodies are compressed already.
ALTER TABLE journal ALTER COLUMN body SET STORAGE EXTERNAL;

-- What waits for an execution: signals and cancel requests.
CREATE TABLE inbox (
  shard smallint NOT NULL,
  execution_id uuid NOT NULL,
  id uuid NOT NULL,
  at bigint NOT NULL,
  kind smallint NOT NULL,
  encoding smallint NOT NULL,
  name text NOT NULL,
  dedupe_key text,
  body bytea NOT NULL,
  CONSTRAINT inbox_key PRIMARY KEY (shard, execution_id, id)
);

ALTER TABLE inbox ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX inbox_dedupe ON inbox (execution_id, name, dedupe_key) WHERE dedupe_key IS NOT NULL;

CREATE TABLE idempotency (
  workspace_id uuid NOT NULL,
  scope text NOT NULL,
  key text NOT NULL,
  request_hash bytea NOT NULL,
  execution_id uuid NOT NULL,
  expires_at bigint NOT NULL,
  CONSTRAINT idempotency_key PRIMARY KEY (workspace_id, scope, key)
);

CREATE INDEX idempotency_expiry ON idempotency (expires_at);
