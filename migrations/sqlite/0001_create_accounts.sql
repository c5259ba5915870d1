-- Tenants, people and their tokens. Every tenant row carries workspace_id from the first migration on, so that a second
-- workspace is a row and not a migration. Times are Unix milliseconds.
-- Locks: none, the tables are new.

CREATE TABLE workspaces (
  id BLOB NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT workspaces_key PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

-- WorkspaceId::DEFAULT.
INSERT INTO workspaces (id, name, created_at) VALUES (x'01900000000070008000000000000001', 'default', 0);

CREATE TABLE users (
  id BLOB NOT NULL,
  workspace_id BLOB NOT NULL,
  email TEXT NOT NULL,
  password_hash TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT users_key PRIMARY KEY (id),
  CONSTRAINT users_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX users_email ON users (email);

-- Holds the SHA-256 of a secret, never the secret.
CREATE TABLE tokens (
  id BLOB NOT NULL,
  workspace_id BLOB NOT NULL,
  kind INTEGER NOT NULL,
  user_id BLOB,
  hash BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  CONSTRAINT tokens_key PRIMARY KEY (id),
  CONSTRAINT tokens_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
  CONSTRAINT tokens_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
CREATE INDEX tokens_kind ON tokens (kind);
CREATE INDEX tokens_of_user ON tokens (user_id) WHERE user_id IS NOT NULL;
