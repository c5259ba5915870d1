-- The audit log: who did what, when, from where. Rows of a workspace are a chain: each has the hash of the one before it, and is
-- never changed. Retention takes rows off the beginning only: it moves the chain's first_seq first, and the triggers let go of what
-- is before it. No key refers to workspaces: what was done to a workspace outlives it.
-- Locks: none, the tables are new.

CREATE TABLE audit_chains (
  workspace_id BLOB NOT NULL,
  first_seq INTEGER NOT NULL,
  next_seq INTEGER NOT NULL,
  base_hash BLOB NOT NULL,
  last_hash BLOB NOT NULL,
  CONSTRAINT audit_chains_key PRIMARY KEY (workspace_id)
) STRICT;

CREATE TABLE audit (
  workspace_id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  id BLOB NOT NULL,
  actor TEXT NOT NULL,
  token TEXT,
  action TEXT NOT NULL,
  target TEXT,
  address TEXT,
  request_id TEXT,
  before_digest BLOB,
  after_digest BLOB,
  prev_hash BLOB NOT NULL,
  hash BLOB NOT NULL,
  details TEXT NOT NULL,
  CONSTRAINT audit_key PRIMARY KEY (workspace_id, seq)
) STRICT;

CREATE UNIQUE INDEX audit_id ON audit (id);
CREATE INDEX audit_actions ON audit (workspace_id, action, seq);
CREATE INDEX audit_actors ON audit (workspace_id, actor, seq);
CREATE INDEX audit_targets ON audit (workspace_id, target, seq);
CREATE INDEX audit_requests ON audit (workspace_id, request_id, seq);
CREATE INDEX audit_times ON audit (workspace_id, at);

CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
BEGIN
  SELECT RAISE(ABORT, 'a row of the audit log is never changed');
END;

CREATE TRIGGER audit_kept BEFORE DELETE ON audit
WHEN OLD.seq >= COALESCE((SELECT first_seq FROM audit_chains WHERE workspace_id = OLD.workspace_id), 0)
BEGIN
  SELECT RAISE(ABORT, 'a row of the audit log is kept until retention lets go of it');
END;
