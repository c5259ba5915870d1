#!/usr/bin/env bash
# Checks with tools that a Rust toolchain does not bring. A missing tool fails the run: a check that did not run is not a pass.
set -uo pipefail
cd "$(dirname "$0")/.."

failed=0
# check NAME COMMAND ARGUMENT...: runs the command if there is one of this name.
check() {
  local name=$1
  shift
  echo "== $name"
  if ! command -v "$name" >/dev/null; then
    echo "lint-extra: $name is not installed (cargo install --locked $name; typos is in the package typos-cli)" >&2
    failed=1
  elif ! "$@"; then
    failed=1
  fi
}

check cargo-deny cargo deny --all-features check
check cargo-machete cargo machete
check typos typos
exit $failed
