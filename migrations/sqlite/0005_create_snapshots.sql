-- The latest snapshot of a long execution: its state before the event `seq`, so that a recovery reads this and the journal from
-- there on. The journal stays complete. One row per execution, replaced in the commit of the journal row that it follows, and
-- gone with its execution. `version` is the form of the document.
-- Locks: none, the table is new.

CREATE TABLE snapshots (
  execution_id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  version INTEGER NOT NULL,
  encoding INTEGER NOT NULL,
  body BLOB NOT NULL,
  CONSTRAINT snapshots_key PRIMARY KEY (execution_id)
) STRICT, WITHOUT ROWID;
