-- Variables of a workspace, which expressions see as $vars, and the tags of the workflows' latest versions, by which workflows
-- are listed. Tags that are in use already are taken over from the definitions.
-- Locks: none, the tables are new; the definitions are read once.

CREATE TABLE variables (
  workspace_id BLOB NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  description TEXT,
  value BLOB NOT NULL,
  CONSTRAINT variables_key PRIMARY KEY (workspace_id, name),
  CONSTRAINT variables_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)
) STRICT;

CREATE TABLE workflow_tags (
  workspace_id BLOB NOT NULL,
  tag TEXT NOT NULL,
  workflow_id BLOB NOT NULL,
  CONSTRAINT workflow_tags_key PRIMARY KEY (workspace_id, tag, workflow_id),
  CONSTRAINT workflow_tags_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX workflow_tags_of_workflow ON workflow_tags (workflow_id);

INSERT INTO workflow_tags (workspace_id, tag, workflow_id)
SELECT DISTINCT workflows.workspace_id, tags.value, workflows.id
FROM workflows
JOIN workflow_versions ON workflow_versions.workflow_id = workflows.id AND workflow_versions.version = workflows.latest_version
JOIN json_each(CAST(workflow_versions.definition AS TEXT), '$.tags') AS tags
WHERE tags.type = 'text';
