-- Credentials: the fields of each are one sealed value, which only a process with its master key can read. master_keys has the keys
-- that are in use, with values that tell nothing about them; no value can be sealed by another one. workflow_credentials says which
-- versions of workflows name a credential; those of versions that are there already are taken over from the definitions.
-- Locks: none, the tables are new; the definitions are read once.

CREATE TABLE master_keys (
  id BLOB NOT NULL,
  check_value BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT master_keys_key PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE credentials (
  id BLOB NOT NULL,
  workspace_id BLOB NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  description TEXT,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  used_at INTEGER,
  fields TEXT NOT NULL,
  value_version INTEGER NOT NULL,
  value_key BLOB NOT NULL,
  value BLOB NOT NULL,
  grant_rev INTEGER NOT NULL,
  grant_key BLOB,
  grant_value BLOB,
  grant_expires_at INTEGER,
  refreshing_until INTEGER,
  CONSTRAINT credentials_key PRIMARY KEY (id),
  CONSTRAINT credentials_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
  CONSTRAINT credentials_value_key FOREIGN KEY (value_key) REFERENCES master_keys (id),
  CONSTRAINT credentials_grant_key FOREIGN KEY (grant_key) REFERENCES master_keys (id)
) STRICT;

CREATE UNIQUE INDEX credentials_name ON credentials (workspace_id, name);
CREATE INDEX credentials_of_value_key ON credentials (value_key);
CREATE INDEX credentials_of_grant_key ON credentials (grant_key) WHERE grant_key IS NOT NULL;

CREATE TABLE workflow_credentials (
  workspace_id BLOB NOT NULL,
  credential TEXT NOT NULL,
  workflow_id BLOB NOT NULL,
  version INTEGER NOT NULL,
  CONSTRAINT workflow_credentials_key PRIMARY KEY (workspace_id, credential, workflow_id, version),
  CONSTRAINT workflow_credentials_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX workflow_credentials_of_workflow ON workflow_credentials (workflow_id);

INSERT INTO workflow_credentials (workspace_id, credential, workflow_id, version)
SELECT DISTINCT workflow_versions.workspace_id, json_extract(nodes.value, '$.credential'), workflow_versions.workflow_id, workflow_versions.version
FROM workflow_versions
JOIN json_each(CAST(workflow_versions.definition AS TEXT), '$.nodes') AS nodes
WHERE json_type(nodes.value, '$.credential') = 'text';
