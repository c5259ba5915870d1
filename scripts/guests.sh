#!/usr/bin/env bash
# Builds the WebAssembly guests that are embedded in the binary: guests/<language>/dist/<language>.wasm.
# Sources come through cargo, the compiler through pip into .tools/; both are checked. Does nothing for a guest that is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/common.sh

readonly TOOLS=.tools
readonly ZIG_VERSION=0.17.1
# The crates that carry the C sources, and the checksums of their packages.
readonly QUICKJS_CRATE=rquickjs-sys-0.14.0
readonly QUICKJS_SHA256=cee271d0eeba64f0915b846cb7ae02e16faf3dfdffdca91731101d9d30fe3423
readonly LUA_CRATE=lua-src-551.1.0
readonly LUA_SHA256=41d22b201501a536c0f5a96c7589b268b559172b20fb029064434e38ddcecb1f
readonly LUA_VERSION=lua-5.4.9
# The C stack: twice of what guest.c lets JavaScript use, so that C code called at the edge still has room.
readonly STACK_BYTES=$((512 * 1024))

# A hash of everything that a guest is made of.
inputs_hash() {
  find guests/shared "guests/$1" -maxdepth 1 -type f | LC_ALL=C sort | xargs cat scripts/guests.sh | sha256sum | cut -d' ' -f1
}

# The C source of a guest, from a crate, as $TOOLS/<language>-source/<crate>. Cargo checks the package against the lock file; so do we,
# by our own pin.
fetch_source() {
  local language=$1 crate=$2 sha256=$3
  local vendored=$TOOLS/$language-source
  cargo vendor --quiet --locked --versioned-dirs --manifest-path "guests/$language/Cargo.toml" "$vendored" >/dev/null
  grep -q "\"package\":\"$sha256\"" "$vendored/$crate/.cargo-checksum.json" || fail "$crate is not the package that was reviewed"
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

# Our own sources are held to every warning; those of others are taken as they are.
compile_own() { zig_cc -std=gnu23 -Wall -Wextra -Werror -Iguests/shared "$@"; }

# What all guests share, as $TOOLS/shared-<part>.o, with the numbers of QuickJS.
compile_shared() {
  local quickjs=$1 part
  for part in host memory number; do
    # Without the flags, the compiler makes a call of calloc of calloc itself.
    compile_own -fno-builtin-malloc -fno-builtin-calloc -isystem "$quickjs" -c "guests/shared/$part.c" -o "$TOOLS/shared-$part.o"
  done
  zig_cc -w -D_GNU_SOURCE -DNDEBUG -c "$quickjs/dtoa.c" -o "$TOOLS/shared-dtoa.o"
}

build_javascript() {
  fetch_source javascript "$QUICKJS_CRATE" "$QUICKJS_SHA256"
  local source=$TOOLS/quickjs
  rm -rf "$source"
  cp -r "$TOOLS/javascript-source/$QUICKJS_CRATE/quickjs" "$source"
  # QuickJS switches its stack check off for WASI. With our own stack size it works, and recursion ends as a RangeError, not a trap.
  sed -i '/^static void update_stack_limit/,/^}/ s/^#if defined(__wasi__)$/#if 0/' "$source/quickjs.c"
  sed -i '/^JSRuntime \*JS_NewRuntime2/,/^}/ s/^#ifdef __wasi__$/#if 0/' "$source/quickjs.c"
  grep -A2 '^static void update_stack_limit' "$source/quickjs.c" | grep -q '^#if 0$' || fail "the stack check of QuickJS was not found"
  local defines=(-D_GNU_SOURCE -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS -DNDEBUG) part
  compile_shared "$source"
  # The headers of others, and quickjs.c in json.c, are not ours to warn about.
  for part in guest json; do
    compile_own "${defines[@]}" -isystem "$source" -c "guests/javascript/$part.c" -o "$TOOLS/javascript-$part.o"
  done
  zig_cc -s -w "${defines[@]}" -Wl,-z,stack-size=$STACK_BYTES \
    "$TOOLS"/javascript-{guest,json}.o "$TOOLS"/shared-{host,memory,number,dtoa}.o "$source"/{libregexp,libunicode}.c \
    -lwasi-emulated-process-clocks -lwasi-emulated-signal -lm -o "$1"
}

build_lua() {
  fetch_source lua "$LUA_CRATE" "$LUA_SHA256"
  fetch_source javascript "$QUICKJS_CRATE" "$QUICKJS_SHA256"
  local source=$TOOLS/lua-source/$LUA_CRATE/$LUA_VERSION part
  # Lua throws with longjmp, which becomes exceptions of WebAssembly.
  local exceptions=(-mexception-handling -mllvm -wasm-enable-sjlj -mllvm -wasm-use-legacy-eh=false)
  for part in guest json libraries sjlj; do
    compile_own "${exceptions[@]}" -Iguests/lua -isystem "$source" -c "guests/lua/$part.c" -o "$TOOLS/lua-$part.o"
  done
  compile_shared "$TOOLS/javascript-source/$QUICKJS_CRATE/quickjs"
  zig_cc -c guests/lua/tag.s -o "$TOOLS/lua-tag.o"
  zig_cc -s -w "${exceptions[@]}" -D_WASI_EMULATED_SIGNAL -DNDEBUG -Wl,-z,stack-size=$STACK_BYTES -Iguests/lua \
    "$TOOLS"/lua-{guest,json,libraries,sjlj,tag}.o "$TOOLS"/shared-{host,memory,number,dtoa}.o \
    "$source"/l{api,code,ctype,debug,do,dump,func,gc,lex,mem,object,opcodes,parser,state,string,table,tm,undump,vm,zio}.c \
    "$source"/l{auxlib,baselib,corolib,mathlib,strlib,tablib,utf8lib}.c -lwasi-emulated-signal -lm -o "$1"
}

# Builds a guest, unless it is made of what it was made of before.
ensure_guest() {
  local language=$1 dist=guests/$1/dist wanted
  wanted=$(inputs_hash "$language")
  if [ -f "$dist/$language.wasm" ] && [ "$(cat "$dist/inputs.sha256" 2>/dev/null)" = "$wanted" ]; then return; fi
  fetch_compiler
  say "compiling $language (up to a minute)"
  mkdir -p "$dist"
  "build_$language" "$dist/$language.wasm.new"
  mv "$dist/$language.wasm.new" "$dist/$language.wasm"
  echo "$wanted" >"$dist/inputs.sha256"
  say "built $dist/$language.wasm ($(wc -c <"$dist/$language.wasm") bytes)"
}

mkdir -p "$TOOLS"
ensure_guest javascript
ensure_guest lua
