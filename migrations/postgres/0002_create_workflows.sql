-- Workflows, their immutable versions, and the webhooks that the active versions publish.
-- Locks: none, the tables are new.

CREATE TABLE workflows (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  name text NOT NULL,
  latest_version integer NOT NULL,
  active_version integer,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  CONSTRAINT workflows_key PRIMARY KEY (id),
  CONSTRAINT workflows_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)
);

CREATE INDEX workflows_list ON workflows (workspace_id, created_at DESC, id DESC);

CREATE TABLE workflow_versions (
  workflow_id uuid NOT NULL,
  version integer NOT NULL,
  workspace_id uuid NOT NULL,
  created_at bigint NOT NULL,
  definition bytea NOT NULL,
  CONSTRAINT workflow_versions_key PRIMARY KEY (workflow_id, version),
  CONSTRAINT workflow_versions_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);

-- A path belongs to one workflow of the whole server, whatever the workspace.
CREATE TABLE hooks (
  method text NOT NULL,
  path text NOT NULL,
  workspace_id uuid NOT NULL,
  workflow_id uuid NOT NULL,
  version integer NOT NULL,
  node text NOT NULL,
  CONSTRAINT hooks_key PRIMARY KEY (method, path),
  CONSTRAINT hooks_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);

CREATE INDEX hooks_of_workflow ON hooks (workflow_id);
