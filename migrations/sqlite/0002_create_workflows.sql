-- Workflows, their immutable versions, and the webhooks that the active versions publish.
-- Locks: none, the tables are new.

CREATE TABLE workflows (
  id BLOB NOT NULL,
  workspace_id BLOB NOT NULL,
  name TEXT NOT NULL,
  latest_version INTEGER NOT NULL,
  active_version INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  CONSTRAINT workflows_key PRIMARY KEY (id),
  CONSTRAINT workflows_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX workflows_list ON workflows (workspace_id, created_at DESC, id DESC);

-- A definition may have 2 MiB, too much for the rows of a table WITHOUT ROWID.
CREATE TABLE workflow_versions (
  workflow_id BLOB NOT NULL,
  version INTEGER NOT NULL,
  workspace_id BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  definition BLOB NOT NULL,
  CONSTRAINT workflow_versions_key PRIMARY KEY (workflow_id, version),
  CONSTRAINT workflow_versions_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
) STRICT;

-- A path belongs to one workflow of the whole server, whatever the workspace.
CREATE TABLE hooks (
  method TEXT NOT NULL,
  path TEXT NOT NULL,
  workspace_id BLOB NOT NULL,
  workflow_id BLOB NOT NULL,
  version INTEGER NOT NULL,
  node TEXT NOT NULL,
  CONSTRAINT hooks_key PRIMARY KEY (method, path),
  CONSTRAINT hooks_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX hooks_of_workflow ON hooks (workflow_id);
