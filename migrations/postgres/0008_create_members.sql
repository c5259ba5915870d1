-- People in workspaces: members with roles, custom roles, invitations, sessions, API keys, and identities at other providers.
-- Everybody who is there already is an owner of their workspace. Sessions of the earlier form end: a login makes a new one.
-- Roles are names: those that every workspace has are in the program, the others in the table roles. Permissions are a JSON
-- array of texts. Secrets are kept as their SHA-256. An empty password_hash is that of somebody who has no password.
-- Locks: users for a moment, to add columns that have a constant default; the other tables are new.

ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN disabled_at bigint;

CREATE TABLE members (
  workspace_id uuid NOT NULL,
  user_id uuid NOT NULL,
  role text NOT NULL,
  created_at bigint NOT NULL,
  CONSTRAINT members_key PRIMARY KEY (workspace_id, user_id),
  CONSTRAINT members_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE,
  CONSTRAINT members_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX members_of_user ON members (user_id);

INSERT INTO members (workspace_id, user_id, role, created_at) SELECT workspace_id, id, 'owner', created_at FROM users;

CREATE TABLE roles (
  workspace_id uuid NOT NULL,
  name text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  permissions text NOT NULL,
  description text,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  CONSTRAINT roles_key PRIMARY KEY (workspace_id, name),
  CONSTRAINT roles_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE
);

CREATE TABLE invitations (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  email text NOT NULL,
  role text NOT NULL,
  hash bytea NOT NULL,
  invited_by uuid,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  CONSTRAINT invitations_key PRIMARY KEY (id),
  CONSTRAINT invitations_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE,
  CONSTRAINT invitations_by FOREIGN KEY (invited_by) REFERENCES users (id) ON DELETE SET NULL
);

CREATE UNIQUE INDEX invitations_hash ON invitations (hash);
CREATE UNIQUE INDEX invitations_email ON invitations (workspace_id, email);

-- A session of a browser (kind 0) or a family of refresh tokens (kind 1). A secret that is neither the present one nor the one before
-- was used twice: the session ends. expires_at moves with its use, ends_at does not.
CREATE TABLE sessions (
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  kind smallint NOT NULL,
  hash bytea NOT NULL,
  previous_hash bytea,
  rotated_at bigint NOT NULL,
  created_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  ends_at bigint NOT NULL,
  CONSTRAINT sessions_key PRIMARY KEY (id),
  CONSTRAINT sessions_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- A key acts for its user, with what both of them may do. After a rotation the earlier secret works until previous_until.
CREATE TABLE api_keys (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  user_id uuid NOT NULL,
  name text NOT NULL,
  permissions text NOT NULL,
  hash bytea NOT NULL,
  last_characters text NOT NULL,
  previous_hash bytea,
  previous_until bigint,
  created_at bigint NOT NULL,
  expires_at bigint,
  used_at bigint,
  CONSTRAINT api_keys_key PRIMARY KEY (id),
  CONSTRAINT api_keys_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id) ON DELETE CASCADE,
  CONSTRAINT api_keys_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX api_keys_of_workspace ON api_keys (workspace_id, created_at, id);
CREATE INDEX api_keys_of_user ON api_keys (user_id);

-- Who somebody is at an OpenID provider.
CREATE TABLE identities (
  issuer text NOT NULL,
  subject text NOT NULL,
  user_id uuid NOT NULL,
  created_at bigint NOT NULL,
  CONSTRAINT identities_key PRIMARY KEY (issuer, subject),
  CONSTRAINT identities_user FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE INDEX identities_of_user ON identities (user_id);

-- Access and refresh tokens of the earlier form.
DELETE FROM tokens WHERE kind IN (1, 2);
