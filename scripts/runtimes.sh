#!/usr/bin/env bash
# Languages for the tests. Python and Ruby come into .tools/runtimes, by the command that users have: `citadel runtimes install`. The
# first time fetches some 50 MB and takes a minute or two; later ones do nothing, unless a guest has changed. The interpreters of native
# code come from Debian, as root: PHP, Go and R are 110 MB and take some 40 seconds, once. Java is tested where it is.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

readonly DIRECTORY=.tools/runtimes

# Where native code looks for them: not those that a version manager has put before.
here() { PATH=/usr/local/bin:/usr/bin:/bin command -v "$1"; }

# ensure_interpreters PROGRAM=PACKAGE...: all that are missing, with one call of the package manager.
ensure_interpreters() {
  local pair missing=()
  for pair in "$@"; do
    here "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] || ensure "an interpreter of each native language" false "${missing[@]}"
}

ensure_interpreters bash=bash perl=perl python3=python3 node=nodejs php=php-cli go=golang-go Rscript=r-base-core
ensure "Python 3 with pip" "python3 -m pip --version" python3 python3-pip
ensure npm "npm --version" npm

cargo build --locked --quiet --features failpoints
citadel=${CARGO_TARGET_DIR:-target}/debug/citadel
export CITADEL__RUNTIMES_DIR=$PWD/$DIRECTORY CITADEL__CACHE_DIR=$PWD/.tools/cache
mkdir -p .tools

if ! "$citadel" runtimes verify python ruby >/dev/null 2>&1; then
  "$citadel" runtimes install python ruby
fi
