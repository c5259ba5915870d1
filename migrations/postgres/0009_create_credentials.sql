-- Credentials: the fields of each are one sealed value, which only a process with its master key can read. master_keys has the keys
-- that are in use, with values that tell nothing about them; no value can be sealed by another one. workflow_credentials says which
-- versions of workflows name a credential; those of versions that are there already are taken over from the definitions. Names are
-- ordered by their bytes, as in the other stores, whatever the database's locale.
-- Locks: none, the tables are new; the definitions are read once.

CREATE TABLE master_keys (
  id bytea NOT NULL,
  check_value bytea NOT NULL,
  created_at bigint NOT NULL,
  CONSTRAINT master_keys_key PRIMARY KEY (id)
);

CREATE TABLE credentials (
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  name text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  description text,
  version integer NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  used_at bigint,
  fields text NOT NULL,
  value_version integer NOT NULL,
  value_key bytea NOT NULL,
  value bytea NOT NULL,
  grant_rev integer NOT NULL,
  grant_key bytea,
  grant_value bytea,
  grant_expires_at bigint,
  refreshing_until bigint,
  CONSTRAINT credentials_key PRIMARY KEY (id),
  CONSTRAINT credentials_workspace FOREIGN KEY (workspace_id) REFERENCES workspaces (id),
  CONSTRAINT credentials_value_key FOREIGN KEY (value_key) REFERENCES master_keys (id),
  CONSTRAINT credentials_grant_key FOREIGN KEY (grant_key) REFERENCES master_keys (id)
);

CREATE UNIQUE INDEX credentials_name ON credentials (workspace_id, name);
CREATE INDEX credentials_of_value_key ON credentials (value_key);
CREATE INDEX credentials_of_grant_key ON credentials (grant_key) WHERE grant_key IS NOT NULL;

CREATE TABLE workflow_credentials (
  workspace_id uuid NOT NULL,
  credential text COLLATE "C" NOT NULL,
  workflow_id uuid NOT NULL,
  version integer NOT NULL,
  CONSTRAINT workflow_credentials_key PRIMARY KEY (workspace_id, credential, workflow_id, version),
  CONSTRAINT workflow_credentials_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
);

CREATE INDEX workflow_credentials_of_workflow ON workflow_credentials (workflow_id);

INSERT INTO workflow_credentials (workspace_id, credential, workflow_id, version)
SELECT DISTINCT workflow_versions.workspace_id, nodes.value ->> 'credential', workflow_versions.workflow_id, workflow_versions.version
FROM workflow_versions
CROSS JOIN LATERAL json_array_elements(convert_from(workflow_versions.definition, 'UTF8')::json -> 'nodes') AS nodes (value)
WHERE json_typeof(nodes.value -> 'credential') = 'string';
