#!/usr/bin/env bash
# Makes sure that what a build needs is there: Rust, and a C compiler, since the cryptography, the compression and SQLite are
# C code. As root it installs what Debian packages; otherwise it says what is missing. Called by the other scripts.
set -euo pipefail

fail() { echo "prerequisites: $*" >&2; exit 1; }

command -v cargo >/dev/null || fail "cargo is missing; install the stable Rust toolchain and try again"

# A compiler without the headers of the C library is of no use: Debian has them in a package of their own.
if command -v cc >/dev/null && echo '#include <stdlib.h>' | cc -fsyntax-only -xc - 2>/dev/null; then
  exit 0
fi
needed="a C compiler (cc) and the headers of the C library are needed"
command -v apt-get >/dev/null || fail "$needed"
[ "$(id -u)" = 0 ] || fail "$needed: sudo apt-get install gcc libc6-dev"
echo "prerequisites: installing gcc and libc6-dev" >&2
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq gcc libc6-dev; } >&2
