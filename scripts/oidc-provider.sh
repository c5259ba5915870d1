#!/usr/bin/env bash
# Runs the OpenID provider of the tests (tests/oidc): oidc-provider.sh REDIRECT_URI. The first line that it prints is its address.
# oidc-provider.sh --fetch only fetches it with npm, in the versions of the lock file, if it is not there yet.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

readonly SOURCE=tests/oidc
# Named after its content: another lock file is another provider.
readonly TOOLS=.tools/oidc-provider-$(cat "$SOURCE/package-lock.json" "$SOURCE/provider.mjs" | sha256sum | cut -c1-16)

[ $# = 1 ] || fail "usage: oidc-provider.sh REDIRECT_URI, or --fetch"
command -v node >/dev/null && command -v npm >/dev/null || fail "node and npm are needed for the OpenID provider of the tests"
mkdir -p .tools
# Of two tests that start at once one fetches.
exec 9>"$TOOLS.lock"
flock -w 300 9
if [ ! -f "$TOOLS/complete" ]; then
  say "fetching the provider (once)"
  rm -rf "$TOOLS"
  mkdir "$TOOLS"
  cp "$SOURCE"/* "$TOOLS"
  (cd "$TOOLS" && timeout 300 npm ci --ignore-scripts --no-audit --no-fund --silent >&2) || fail "the provider could not be fetched with npm"
  touch "$TOOLS/complete"
fi
exec 9>&-
[ "$1" != --fetch ] || exit 0
exec node "$TOOLS/provider.mjs" "$1"
