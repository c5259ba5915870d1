-- The audit log: who did what, when, from where. Rows of a workspace are a chain: each has the hash of the one before it, and is
-- never changed. Retention takes rows off the beginning only: it moves the chain's first_seq first, and the triggers let go of what
-- is before it. No key refers to workspaces: what was done to a workspace outlives it. Whoever appends holds the lock of the chain's
-- row, so that processes take turns.
-- Locks: none, the tables are new.

CREATE TABLE audit_chains (
  workspace_id uuid NOT NULL,
  first_seq bigint NOT NULL,
  next_seq bigint NOT NULL,
  base_hash bytea NOT NULL,
  last_hash bytea NOT NULL,
  CONSTRAINT audit_chains_key PRIMARY KEY (workspace_id)
);

CREATE TABLE audit (
  workspace_id uuid NOT NULL,
  seq bigint NOT NULL,
  at bigint NOT NULL,
  id uuid NOT NULL,
  actor text COLLATE "C" NOT NULL,
  token text COLLATE "C",
  action text COLLATE "C" NOT NULL,
  target text COLLATE "C",
  address text COLLATE "C",
  request_id text COLLATE "C",
  before_digest bytea,
  after_digest bytea,
  prev_hash bytea NOT NULL,
  hash bytea NOT NULL,
  details text NOT NULL,
  CONSTRAINT audit_key PRIMARY KEY (workspace_id, seq)
);

CREATE UNIQUE INDEX audit_id ON audit (id);
CREATE INDEX audit_actions ON audit (workspace_id, action, seq);
CREATE INDEX audit_actors ON audit (workspace_id, actor, seq);
CREATE INDEX audit_targets ON audit (workspace_id, target, seq);
CREATE INDEX audit_requests ON audit (workspace_id, request_id, seq);
CREATE INDEX audit_times ON audit (workspace_id, at);

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a row of the audit log is never changed, and kept until retention lets go of it';
END;
$$;

CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.seq >= COALESCE((SELECT first_seq FROM audit_chains WHERE workspace_id = OLD.workspace_id), 0) THEN
    RAISE EXCEPTION 'a row of the audit log is kept until retention lets go of it';
  END IF;
  RETURN OLD;
END;
$$;

CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
