#!/usr/bin/env bash
# Runs every test. Arguments go to `cargo test`: `scripts/test.sh --test tidy`.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/prerequisites.sh
scripts/guests.sh
exec scripts/with-postgres.sh cargo test --locked --features failpoints --lib --bins --tests --no-fail-fast "$@"
