-- Variables of a workspace, which expressions see as $vars, and the tags of the workflows' latest versions, by which workflows
-- are listed. Tags that are in use already are taken over from the definitions. Names and tags are ordered by their bytes, as
-- in the other stores, whatever the database's locale.
-- Locks: none, the tables are new; the definitions are read once.

CREATE TABLE variables (
  workspace_id uuid NOT NULL,
  name text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  description text,
  value bytea NOT NULL,
  CONSTRAINT variables_key PRIMARY KEY (workspace_id, name),
  CONSTRAINT variables_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id)
);

CREATE TABLE workflow_tags (
  workspace_id uuid NOT NULL,
  tag text COLLATE "C" NOT NULL,
  workflow_id uuid NOT NULL,
  CONSTRAINT workflow_tags_key PRIMARY KEY (workspace_id, tag, workflow_id),
  CONSTRAINT workflow_tags_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);

CREATE INDEX workflow_tags_of_workflow ON workflow_tags (workflow_id);

INSERT INTO workflow_tags (workspace_id, tag, workflow_id)
SELECT DISTINCT workflows.workspace_id, tags.value, workflows.id
FROM workflows
JOIN workflow_versions ON workflow_versions.workflow_id = workflows.id AND workflow_versions.version = workflows.latest_version
CROSS JOIN LATERAL json_array_elements_text(convert_from(workflow_versions.definition, 'UTF8')::json -> 'tags') AS tags (value);
