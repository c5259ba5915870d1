-- Batches: one action on many executions. The list of the executions is in the body, worked off in order; done says how far.
-- Also indexes for lists by business key and by error code, and for the look for a live execution that holds a business key.
-- Locks: each index keeps writers of executions waiting while it is built; most rows are in none of them.

-- action: 0 retry, 1 cancel, 2 delete. status: 0 running; 10 finished, 11 cancelled.
CREATE TABLE batches (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  created_at bigint NOT NULL,
  finished_at bigint,
  total integer NOT NULL,
  done integer NOT NULL,
  succeeded integer NOT NULL,
  failed integer NOT NULL,
  action smallint NOT NULL,
  status smallint NOT NULL,
  encoding smallint NOT NULL,
  request_hash bytea NOT NULL,
  errors bytea NOT NULL,
  body bytea NOT NULL,
  CONSTRAINT batches_key PRIMARY KEY (id)
);

ALTER TABLE batches ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE INDEX batches_list ON batches (workspace_id, created_at DESC, id DESC);
CREATE INDEX batches_open ON batches (created_at, id) WHERE status < 10;

CREATE INDEX executions_list_business
  ON executions (workspace_id, business_key, created_at DESC, id DESC) WHERE business_key IS NOT NULL;
CREATE INDEX executions_list_error
  ON executions (workspace_id, error_code, created_at DESC, id DESC) WHERE error_code IS NOT NULL;
-- Finished executions leave it by themselves.
CREATE INDEX executions_claims ON executions (workspace_id, workflow_id, business_key)
  WHERE business_key IS NOT NULL AND status < 10;
