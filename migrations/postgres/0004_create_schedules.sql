-- Schedules, what tells processes that others have published something, and which processes live.
-- Locks: the new column and the new indexes take a lock on executions; the column has no default, so no row is rewritten, and the
-- indexes hold no row yet, but PostgreSQL reads the table once for each of them.

-- version: set for a schedule that a workflow's active version publishes; null for one that stands alone and starts whatever is
-- active. next_at is the next tick, due_at when it is to be fired; both are null when none comes any more. waits: 1 if that tick
-- waits for the end of an earlier execution. rev grows with every change that is not a tick.
CREATE TABLE schedules (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  version integer,
  node text,
  spec bytea NOT NULL,
  input bytea,
  rev integer NOT NULL,
  paused_at bigint,
  next_at bigint,
  due_at bigint,
  waits smallint NOT NULL,
  last_scheduled_at bigint,
  last_fired_at bigint,
  fired bigint NOT NULL,
  passed bigint NOT NULL,
  last_error text,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  CONSTRAINT schedules_key PRIMARY KEY (id),
  CONSTRAINT schedules_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);

CREATE INDEX schedules_due ON schedules (due_at, id) WHERE paused_at IS NULL;
CREATE INDEX schedules_list ON schedules (workspace_id, created_at DESC, id DESC);
CREATE INDEX schedules_list_workflow ON schedules (workflow_id, created_at DESC, id DESC);

-- Which of a schedule's executions have not ended, and which executions wait for their owner to begin.
ALTER TABLE executions ADD COLUMN schedule_id uuid;
CREATE INDEX executions_of_schedule ON executions (schedule_id, id) WHERE schedule_id IS NOT NULL AND status < 10;
CREATE INDEX executions_queued ON executions (shard, id) WHERE status = 0;

-- One row, whose number grows with everything that is published or taken down.
CREATE TABLE publications (
  id smallint NOT NULL,
  rev bigint NOT NULL,
  CONSTRAINT publications_key PRIMARY KEY (id)
);

INSERT INTO publications (id, rev) VALUES (1, 0);

-- The processes that say they live, each until a time by the database's clock.
CREATE TABLE nodes (
  id uuid NOT NULL,
  lease_until bigint NOT NULL,
  CONSTRAINT nodes_key PRIMARY KEY (id)
);
