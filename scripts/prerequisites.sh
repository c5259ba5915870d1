#!/usr/bin/env bash
# Makes sure that what a build needs is there: Rust, and a C compiler, since the cryptography, the compression and SQLite are
# C code. With `--tests` also what tests start beside the product: Redis. As root it installs what Debian packages; otherwise it
# says what is missing. Called by the other scripts.
set -euo pipefail

fail() { echo "prerequisites: $*" >&2; exit 1; }

# ensure WHAT TEST PACKAGE...: Debian's packages for something that is not here.
ensure() {
  local what=$1 test=$2
  shift 2
  eval "$test" >/dev/null 2>&1 && return
  command -v apt-get >/dev/null || fail "$what is needed"
  [ "$(id -u)" = 0 ] || fail "$what is needed: sudo apt-get install $*"
  echo "prerequisites: installing $*" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >&2
}

command -v cargo >/dev/null || fail "cargo is missing; install the stable Rust toolchain and try again"
# A compiler without the headers of the C library is of no use: Debian has them in a package of their own.
ensure "a C compiler (cc) with the headers of the C library" "echo '#include <stdlib.h>' | cc -fsyntax-only -xc -" gcc libc6-dev
if [ "${1:-}" = --tests ]; then
  ensure "the Redis server (redis-server)" "command -v redis-server" redis-server
fi
