#!/usr/bin/env bash
# Builds a server, starts it on the embedded database in ./data, sends examples/hello through it, and lets it go on serving until
# it is interrupted. Speaks HTTP with bash alone: a fresh machine needs nothing but Rust and a C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

readonly ADDRESS=${CITADEL__HTTP__LISTEN:-127.0.0.1:8080}
readonly DATA=${CITADEL__DATA_DIR:-./data}
readonly EXAMPLE=examples/hello
readonly READY_SECONDS_MAX=60

# request METHOD PATH [HEADERS] [BODY]: prints the answer, the status line first. HTTP/1.0, so that no answer comes in chunks.
request() {
  local headers=${3:-} body=${4:-} connection
  exec {connection}<>"/dev/tcp/${ADDRESS%:*}/${ADDRESS##*:}" || return 1
  printf '%s %s HTTP/1.0\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s' \
    "$1" "$2" "$ADDRESS" "$headers" "$(printf %s "$body" | wc -c)" "$body" >&"$connection"
  cat <&"$connection"
  exec {connection}>&-
}

# field NAME: the first text of this name in the JSON that comes in.
field() { grep -o "\"$1\":\"[^\"]*\"" | head -n 1 | cut -d'"' -f4; }

wait_until_ready() {
  for _ in $(seq $((READY_SECONDS_MAX * 10))); do
    kill -0 "$server" 2>/dev/null || fail "the server ended; its last lines above say why"
    request GET /readyz 2>/dev/null | grep -q '^HTTP/1.[01] 200' && return
    sleep 0.1
  done
  fail "the server was not ready after $READY_SECONDS_MAX seconds"
}

# Saves the example and runs it to its end. The key makes a second `make run` find the workflow of the first.
run_example() {
  local definition answer id
  definition=$(cat "$EXAMPLE/workflow.yaml")
  answer=$(request POST /api/v1/workflows \
    "${authorization}Content-Type: application/yaml"$'\r\n'"Idempotency-Key: example-$(printf %s "$definition" | sha256sum | cut -c1-32)"$'\r\n' \
    "$definition")
  id=$(field id <<<"$answer")
  [[ $id == wf_* ]] || fail "the example was not saved: $answer"
  answer=$(request POST "/api/v1/workflows/$id/executions" \
    "${authorization}Content-Type: application/json"$'\r\n'"Prefer: wait=30"$'\r\n' \
    "{\"input\":$(cat "$EXAMPLE/input.json")}")
  grep -q '"status":"succeeded"' <<<"$answer" || fail "the example did not succeed: $answer"
  say "$EXAMPLE ran: $(grep -o '"result":.*' <<<"$answer")"
}

scripts/prerequisites.sh
scripts/guests.sh
cargo build --locked
CITADEL__HTTP__LISTEN=$ADDRESS CITADEL__DATA_DIR=$DATA cargo run --locked --quiet -- serve &
server=$!
trap 'kill -TERM "$server" 2>/dev/null; wait "$server"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

wait_until_ready
if [ -r "$DATA/owner-token" ]; then
  token=$(cat "$DATA/owner-token")
  authorization="Authorization: Bearer $token"$'\r\n'
  run_example
  say "serving on http://$ADDRESS with the data in $DATA; the owner's token is $token"
else
  say "serving on http://$ADDRESS; no example was run, since $DATA/owner-token is gone: a new CITADEL__DATA_DIR gets one"
fi
say "stop with Ctrl-C"
wait "$server"
