#!/usr/bin/env bash
# Runs every test. Arguments go to `cargo test`, and are all that is run then: `scripts/test.sh --test tidy`.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/prerequisites.sh --tests
scripts/guests.sh
scripts/runtimes.sh
scripts/oidc-provider.sh --fetch
test=(cargo test --locked --features failpoints --lib --bins --tests --no-fail-fast "$@")
if [ $# -gt 0 ]; then
  exec scripts/with-postgres.sh "${test[@]}"
fi

# Both, whatever the first says: one look at the result is to show everything that is wrong.
failed=0
scripts/with-postgres.sh "${test[@]}" || failed=1
scripts/api-test.sh || failed=1
exit $failed
