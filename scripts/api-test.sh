#!/usr/bin/env bash
# Holds a real server against its own OpenAPI document: schemathesis calls every operation with requests that follow the document
# and with requests that do not, and walks along its links: as an owner, and, with fewer requests, as a viewer, who may do little of it.
# tests/api says how. Arguments go to `schemathesis run`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

readonly CONFIG=tests/api
readonly START_SECONDS_MAX=60
readonly VIEWER_EXAMPLES=5
# Named after its content: another list of versions is another environment.
readonly TOOLS=.tools/api-test-$(sha256sum "$CONFIG/requirements.txt" | cut -c1-16)

ensure_tools() {
  [ -f "$TOOLS/complete" ] && return
  ensure_python
  say "fetching schemathesis (once)"
  rm -rf "$TOOLS"
  mkdir -p "$(dirname "$TOOLS")"
  python3 -m venv "$TOOLS"
  "$TOOLS/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: --requirement "$CONFIG/requirements.txt" ||
    fail "schemathesis could not be fetched with pip"
  touch "$TOOLS/complete"
}

# Starts the server on a free port with data of its own, and waits until it takes requests.
start_server() {
  : >"$directory/out"
  CITADEL__LIMITS__ENABLED=false CITADEL__LOG__FILTER=warn CITADEL__CACHE_DIR=$PWD/.tools/cache \
    "$binary" serve --random-ports --data-dir "$directory/data" >"$directory/out" 2>"$directory/log" &
  server=$!
  for _ in $(seq $((START_SECONDS_MAX * 10))); do
    url=$(sed -n 's|^http=|http://|p' "$directory/out")
    [ -n "$url" ] && return
    kill -0 "$server" 2>/dev/null || fail "the server did not start: $(tail -n 5 "$directory/log")"
    sleep 0.1
  done
  fail "the server was not ready after $START_SECONDS_MAX seconds"
}

stop_server() {
  if [ -n "$server" ]; then
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$directory"
}

ensure_tools
cargo build --locked --quiet --features failpoints
binary=${CARGO_TARGET_DIR:-target}/debug/citadel
directory=$(mktemp -d)
server=
trap stop_server EXIT
# The people who ask: their keys are shown this once.
CITADEL__DATA_DIR=$directory/data CITADEL__CACHE_DIR=$PWD/.tools/cache CITADEL__LOG__FILTER=warn \
  "$binary" db seed --output json >"$directory/people.json"
start_server

"$binary" openapi >"$directory/openapi.json"
"$TOOLS/bin/openapi-spec-validator" "$directory/openapi.json"
key_of() {
  "$TOOLS/bin/python" -c 'import json, sys
print(next(person["api_key"] for person in json.load(open(sys.argv[1]))["people"] if person["role"] == sys.argv[2]))' "$directory/people.json" "$1"
}
# Its own place for what a run leaves behind.
HYPOTHESIS_STORAGE_DIRECTORY=$directory/hypothesis
export CITADEL_TOKEN HYPOTHESIS_STORAGE_DIRECTORY

# Asks as somebody of a role; more arguments go to schemathesis.
ask_as() {
  local role=$1
  shift
  CITADEL_TOKEN=$(key_of "$role")
  say "as $role"
  "$TOOLS/bin/schemathesis" --config-file "$CONFIG/schemathesis.toml" run --no-color "$@" "$url/api/v1/openapi.json" || {
    say "to find a failure again: scripts/api-test.sh --include-operation-id NAME"
    tail -n 20 "$directory/log" >&2
    kill -0 "$server" 2>/dev/null || { wait "$server" || say "the server has ended by itself, with exit code $?"; }
    exit 1
  }
}

CITADEL_TOKEN=$(key_of owner)
"$TOOLS/bin/python" "$CONFIG/seed.py" "$url"
ask_as viewer --max-examples "$VIEWER_EXAMPLES" --phases examples,coverage,fuzzing "$@"
ask_as owner "$@"
