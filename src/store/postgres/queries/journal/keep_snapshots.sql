-- What an append with snapshots does beside the rest, as one more part of `append.sql`: each takes the place of the execution's
-- earlier one. Most batches have none, and are spared the parameters:
--
-- $52 - $58 snapshots: shard, epoch, execution, seq, version, encoding, body
kept AS (
  INSERT INTO snapshots (execution_id, seq, version, encoding, body)
  SELECT latest.execution_id, latest.seq, latest.version, latest.encoding, latest.body
  FROM UNNEST(
    $52::smallint[], $53::bigint[], $54::uuid[], $55::integer[], $56::integer[], $57::smallint[], $58::bytea[]
  ) AS latest (shard, epoch, execution_id, seq, version, encoding, body), held, gate
  WHERE gate.open AND held.epochs[latest.shard + 1] = latest.epoch
  ON CONFLICT (execution_id) DO UPDATE
  SET seq = excluded.seq, version = excluded.version, encoding = excluded.encoding, body = excluded.body
)
