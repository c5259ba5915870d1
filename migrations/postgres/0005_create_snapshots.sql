-- The latest snapshot of a long execution: its state before the event `seq`, so that a recovery reads this and the journal from
-- there on. The journal stays complete. One row per execution, replaced in the commit of the journal row that it follows, and
-- gone with its execution. `version` is the form of the document.
-- Not partitioned as the journal is: few executions are long enough to have one, and a replaced row is dead at once anyway.
-- Locks: none, the table is new.

CREATE TABLE snapshots (
  execution_id uuid NOT NULL,
  seq integer NOT NULL,
  version integer NOT NULL,
  encoding smallint NOT NULL,
  body bytea NOT NULL,
  CONSTRAINT snapshots_key PRIMARY KEY (execution_id)
);

-- The bodies are compressed already.
ALTER TABLE snapshots ALTER COLUMN body SET STORAGE EXTERNAL;
