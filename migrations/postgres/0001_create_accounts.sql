-- Tenants, people and their tokens. Every tenant row carries workspace_id from the first migration on, so that a second
-- workspace is a row and not a migration. Times are Unix milliseconds.
-- Locks: none, the tables are new.

CREATE TABLE workspaces (
  id uuid NOT NULL,
  name text NOT NULL,
  created_at bigint NOT NULL,
  CONSTRAINT workspaces_key PRIMARY KEY (id)
);

-- WorkspaceId::DEFAULT.
INSERT INTO workspaces (id, name, created_at) VALUES ('01900000-0000-7000-8000-000000000001', 'default', 0);

CREATE TABLE users (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  email text NOT NULL,
  password_hash text NOT NULL,
  created_at bigint NOT NULL,
  CONSTRAINT users_key PRIMARY KEY (id),
  CONSTRAINT users_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)
);

CREATE UNIQUE INDEX users_email ON users (email);

-- Holds the SHA-256 of a secret, never the secret.
CREATE TABLE tokens (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  kind smallint NOT NULL,
  user_id uuid,
  hash bytea NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint,
  CONSTRAINT tokens_key PRIMARY KEY (id),
  CONSTRAINT tokens_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
  CONSTRAINT tokens_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE UNIQUE INDEX tokens_hash ON tokens (hash);
CREATE INDEX tokens_kind ON tokens (kind);
CREATE INDEX tokens_of_user ON tokens (user_id) WHERE user_id IS NOT NULL;
