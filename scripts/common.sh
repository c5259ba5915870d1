# What the other scripts have in common: they read this file. Programs that are missing come from Debian's packages as root; elsewhere
# the script ends and says what to install.

readonly APT_SECONDS_MAX=900

say() { echo "$(basename "$0" .sh): $*" >&2; }
fail() { say "$*"; exit 1; }

# ensure WHAT TEST PACKAGE...: Debian's packages for something that is not here.
ensure() {
  local what=$1 test=$2
  shift 2
  eval "$test" >/dev/null 2>&1 && return
  command -v apt-get >/dev/null || fail "$what is needed"
  [ "$(id -u)" = 0 ] || fail "$what is needed: sudo apt-get install $*"
  say "installing $*"
  local apt_get=(env DEBIAN_FRONTEND=noninteractive timeout "$APT_SECONDS_MAX" apt-get -qq)
  { "${apt_get[@]}" update && "${apt_get[@]}" install -y --no-install-recommends "$@"; } >&2
}

# For tools that come through pip; Debian keeps venv and pip in packages of their own.
ensure_python() {
  ensure "Python 3 with venv and pip" "python3 -c 'import ensurepip, venv'" python3 python3-venv python3-pip
}
