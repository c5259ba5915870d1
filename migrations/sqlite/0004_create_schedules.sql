-- Schedules, what tells processes that others have published something, and which processes live.
-- Locks: the database's writer, for as long as the two indexes take to read the executions once.

-- An input may have 64 KiB, too much for the rows of a table WITHOUT ROWID.
-- version: set for a schedule that a workflow's active version publishes; null for one that stands alone and starts whatever is
-- active. next_at is the next tick, due_at when it is to be fired; both are null when none comes any more. waits: 1 if that tick
-- waits for the end of an earlier execution. rev grows with every change that is not a tick.
CREATE TABLE schedules (
  id BLOB NOT NULL,
  workspace_id BLOB NOT NULL,
  workflow_id BLOB NOT NULL,
  version INTEGER,
  node TEXT,
  spec BLOB NOT NULL,
  input BLOB,
  rev INTEGER NOT NULL,
  paused_at INTEGER,
  next_at INTEGER,
  due_at INTEGER,
  waits INTEGER NOT NULL,
  last_scheduled_at INTEGER,
  last_fired_at INTEGER,
  fired INTEGER NOT NULL,
  passed INTEGER NOT NULL,
  last_error TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  CONSTRAINT schedules_key PRIMARY KEY (id),
  CONSTRAINT schedules_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
) STRICT;

CREATE INDEX schedules_due ON schedules (due_at, id) WHERE paused_at IS NULL;
CREATE INDEX schedules_list ON schedules (workspace_id, created_at DESC, id DESC);
CREATE INDEX schedules_list_workflow ON schedules (workflow_id, created_at DESC, id DESC);

-- Which of a schedule's executions have not ended, and which executions wait for their owner to begin.
ALTER TABLE executions ADD COLUMN schedule_id BLOB;
CREATE INDEX executions_of_schedule ON executions (schedule_id, id) WHERE schedule_id IS NOT NULL AND status < 10;
CREATE INDEX executions_queued ON executions (shard, id) WHERE status = 0;

-- One row, whose number grows with everything that is published or taken down.
CREATE TABLE publications (
  id INTEGER NOT NULL,
  rev INTEGER NOT NULL,
  CONSTRAINT publications_key PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

INSERT INTO publications (id, rev) VALUES (1, 0);

-- The processes that say they live, each until a time by the database's clock.
CREATE TABLE nodes (
  id BLOB NOT NULL,
  lease_until INTEGER NOT NULL,
  CONSTRAINT nodes_key PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;
