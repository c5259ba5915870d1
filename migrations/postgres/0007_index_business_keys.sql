-- Lists by business key and by error code, and the look for a live execution that holds a business key.
-- Locks: each index keeps writers of executions waiting while it is built; most rows are in none of them.

CREATE INDEX executions_list_business
  ON executions (workspace_id, business_key, created_at DESC, id DESC) WHERE business_key IS NOT NULL;
CREATE INDEX executions_list_error
  ON executions (workspace_id, error_code, created_at DESC, id DESC) WHERE error_code IS NOT NULL;
-- Finished executions leave it by themselves.
CREATE INDEX executions_claims ON executions (workspace_id, workflow_id, business_key)
  WHERE business_key IS NOT NULL AND status < 10;
