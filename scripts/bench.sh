#!/usr/bin/env bash
# Every benchmark, in release: those of single parts (`cargo bench`), then the whole product (`citadel bench`) on SQLite and on a
# PostgreSQL that is started for it. Arguments go to `citadel bench`: `scripts/bench.sh --seconds 20 --clients 64`.
# The data of all of them is in a temporary directory: TMPDIR says on which disk.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${CITADEL_TEST_POSTGRES_URL:-}" ]; then
  scripts/prerequisites.sh
  scripts/guests.sh
  scripts/runtimes.sh
  exec scripts/with-postgres.sh "$0" "$@"
fi

cargo bench --locked --bench '*'
cargo build --release --locked
for store in sqlite "$CITADEL_TEST_POSTGRES_URL"; do
  echo
  # The URL by the settings, where no list of processes shows its password.
  case $store in
    sqlite) target/release/citadel bench --store sqlite "$@" ;;
    *) CITADEL__STORE__URL=$store target/release/citadel bench --store postgres "$@" ;;
  esac
done
