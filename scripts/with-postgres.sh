#!/usr/bin/env bash
# Runs a command beside a PostgreSQL server of its own: with-postgres.sh COMMAND ARGUMENT...
# The server lives in a temporary directory, listens on a free port of 127.0.0.1 and is gone when the command ends, however that
# happens. The command finds it by CITADEL_TEST_POSTGRES_URL. If that is set already, the command uses the server it names.
# The exit code is the command's.
set -euo pipefail

. "$(dirname "$0")/common.sh"

[ $# -gt 0 ] || fail "usage: with-postgres.sh COMMAND ARGUMENT..."
if [ -n "${CITADEL_TEST_POSTGRES_URL:-}" ]; then
  exec "$@"
fi

readonly START_TRIES=5
readonly CONNECTIONS_MAX=200

# Prints the directory of the newest server binaries; Debian keeps them out of PATH.
find_binaries() {
  if command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
    dirname "$(command -v pg_ctl)"
    return
  fi
  local directory newest=
  for directory in $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin | sort -V); do
    if [ -x "$directory/initdb" ] && [ -x "$directory/pg_ctl" ]; then newest=$directory; fi
  done
  [ -n "$newest" ] && echo "$newest"
}

# Runs a command as the owner of the server: PostgreSQL refuses to run as root.
as_owner() {
  if [ "$(id -u)" = 0 ]; then
    (cd "$home" && runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

# A port of the range that systems do not hand out by themselves. The server says whether it was free.
random_port() { echo $((20000 + (RANDOM * 32768 + RANDOM) % 10000)); }

start_server() {
  local try port
  for try in $(seq "$START_TRIES"); do
    port=$(random_port)
    if as_owner "$binaries/pg_ctl" start --silent --wait --timeout=60 --pgdata="$home/data" --log="$home/log" \
      --options="-c port=$port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$home \
        -c max_connections=$CONNECTIONS_MAX -c fsync=on -c logging_collector=off" >/dev/null 2>&1; then
      echo "$port"
      return
    fi
    say "the server did not start on port $port (try $try of $START_TRIES)"
  done
  tail -n 20 "$home/log" >&2
  fail "the PostgreSQL server does not start"
}

stop_server() {
  local code=$?
  trap - EXIT
  as_owner "$binaries/pg_ctl" stop --silent --mode=immediate --pgdata="$home/data" >/dev/null 2>&1 || true
  rm -rf "$home"
  exit "$code"
}

readonly NEED="the PostgreSQL server, or CITADEL_TEST_POSTGRES_URL of one that runs,"
binaries=$(find_binaries) || { ensure "$NEED" false postgresql; binaries=$(find_binaries); } || fail "the installed server was not found"
home=$(mktemp -d "${TMPDIR:-/tmp}/citadel-postgres.XXXXXX")
trap stop_server EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
if [ "$(id -u)" = 0 ]; then
  id postgres >/dev/null 2>&1 || fail "there is no user postgres to run the server"
  chown postgres "$home"
fi

# A password keeps other users of this machine out: the port of 127.0.0.1 is open to them.
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
as_owner sh -c 'umask 077 && cat >"$1/password"' sh "$home" <<<"$password"
as_owner "$binaries/initdb" --pgdata="$home/data" --username=citadel --auth=scram-sha-256 --pwfile="$home/password" \
  --encoding=UTF8 --locale=C >/dev/null
port=$(start_server)
export CITADEL_TEST_POSTGRES_URL="postgres://citadel:$password@127.0.0.1:$port/postgres"
"$@"
