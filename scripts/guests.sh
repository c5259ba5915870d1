#!/usr/bin/env bash
# Builds the WebAssembly guests that are embedded in the binary: guests/javascript/dist/javascript.wasm.
# Sources come through cargo, the compiler through pip into .tools/; both are checked. Does nothing when up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly GUEST=guests/javascript
readonly OUTPUT=$GUEST/dist/javascript.wasm
readonly STAMP=$GUEST/dist/inputs.sha256
readonly TOOLS=.tools
readonly SOURCE_CRATE=rquickjs-sys-0.14.0
readonly SOURCE_SHA256=cee271d0eeba64f0915b846cb7ae02e16faf3dfdffdca91731101d9d30fe3423
readonly ZIG_VERSION=0.17.1
# The C stack: twice of what guest.c lets JavaScript use, so that C code called at the edge still has room.
readonly STACK_BYTES=$((512 * 1024))

say() { echo "guests: $*" >&2; }
fail() { say "$*"; exit 1; }

inputs_hash() {
  cat "$GUEST"/{guest.c,prelude.js,Cargo.toml,Cargo.lock} scripts/guests.sh | sha256sum | cut -d' ' -f1
}

# The C source of QuickJS-NG into $TOOLS/javascript-source. Cargo checks the package against the lock file; so do we, by our own pin.
fetch_source() {
  cargo vendor --quiet --locked --versioned-dirs --manifest-path "$GUEST/Cargo.toml" "$TOOLS/javascript-source" >/dev/null
  local package=$TOOLS/javascript-source/$SOURCE_CRATE
  grep -q "\"package\":\"$SOURCE_SHA256\"" "$package/.cargo-checksum.json" || fail "$SOURCE_CRATE is not the package that was reviewed"
  rm -rf "$TOOLS/quickjs"
  cp -r "$package/quickjs" "$TOOLS/quickjs"
  # QuickJS switches its stack check off for WASI. With our own stack size it works, and recursion ends as a RangeError, not a trap.
  sed -i '/^static void update_stack_limit/,/^}/ s/^#if defined(__wasi__)$/#if 0/' "$TOOLS/quickjs/quickjs.c"
  sed -i '/^JSRuntime \*JS_NewRuntime2/,/^}/ s/^#ifdef __wasi__$/#if 0/' "$TOOLS/quickjs/quickjs.c"
  grep -A2 '^static void update_stack_limit' "$TOOLS/quickjs/quickjs.c" | grep -q '^#if 0$' || fail "the stack check of QuickJS was not found"
}

# Python with venv and pip; Debian keeps them in packages of their own.
ensure_python() {
  python3 -c 'import ensurepip, venv' 2>/dev/null && return
  local need="python3, python3-venv and python3-pip are needed for the C compiler"
  command -v apt-get >/dev/null || fail "$need"
  [ "$(id -u)" = 0 ] || fail "$need: sudo apt-get install python3 python3-venv python3-pip"
  say "installing python3-venv"
  apt-get update -qq >&2 && apt-get install -y -qq python3 python3-venv python3-pip >&2
}

# The compiler: `zig cc`, a clang with the WASI C library, from a Python package.
fetch_compiler() {
  local installed=$TOOLS/zig-$ZIG_VERSION
  [ -x "$installed/bin/python" ] && "$installed/bin/python" -c 'import ziglang' 2>/dev/null && return
  ensure_python
  say "fetching the compiler (about 100 MB, once)"
  rm -rf "$installed"
  python3 -m venv "$installed"
  "$installed/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary=:all: "ziglang==$ZIG_VERSION" ||
    fail "the compiler could not be fetched with pip"
}

zig_cc() {
  ZIG_GLOBAL_CACHE_DIR=$PWD/$TOOLS/zig-cache ZIG_LOCAL_CACHE_DIR=$PWD/$TOOLS/zig-cache \
    "$TOOLS/zig-$ZIG_VERSION/bin/python" -m ziglang cc -target wasm32-wasi -mexec-model=reactor -O2 "$@"
}

compile() {
  local source=$TOOLS/quickjs
  say "compiling (about a minute)"
  zig_cc -std=gnu23 -Wall -Wextra -Werror -isystem "$source" -c "$GUEST/guest.c" -o "$TOOLS/guest.o"
  zig_cc -s -w -D_GNU_SOURCE -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS -DNDEBUG -Wl,-z,stack-size=$STACK_BYTES \
    "$TOOLS/guest.o" "$source"/{quickjs,libregexp,libunicode,dtoa}.c \
    -lwasi-emulated-process-clocks -lwasi-emulated-signal -lm -o "$OUTPUT.new"
  mv "$OUTPUT.new" "$OUTPUT"
}

mkdir -p "$GUEST/dist" "$TOOLS"
wanted=$(inputs_hash)
if [ -f "$OUTPUT" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
fetch_source
fetch_compiler
compile
echo "$wanted" >"$STAMP"
say "built $OUTPUT ($(wc -c <"$OUTPUT") bytes)"
