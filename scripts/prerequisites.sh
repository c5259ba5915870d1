#!/usr/bin/env bash
# Makes sure that what a build needs is there: Rust, and a C compiler, since the cryptography, the compression and SQLite are
# C code. With `--tests` also what tests start beside the product: Redis. As root it installs what Debian packages; otherwise it
# says what is missing. Called by the other scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

command -v cargo >/dev/null || fail "cargo is missing; install the stable Rust toolchain and try again"
# A compiler without the headers of the C library is of no use: Debian has them in a package of their own.
ensure "a C compiler (cc) with the headers of the C library" "echo '#include <stdlib.h>' | cc -fsyntax-only -xc -" gcc libc6-dev
if [ "${1:-}" = --tests ]; then
  ensure "the Redis server (redis-server)" "command -v redis-server" redis-server
fi
