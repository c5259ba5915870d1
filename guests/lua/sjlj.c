// setjmp and longjmp as exceptions of WebAssembly: clang compiles each use into calls of these functions. The C library of zig has
// none of its own. Source: the tool conventions of WebAssembly, SetjmpLongjmp.md.

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#define TAG_LONGJMP 1

void __wasm_setjmp(void *env, uint32_t label, void *invocation) {
  struct jump *jump = env;
  jump->invocation = invocation;
  jump->label = label;
}

uint32_t __wasm_setjmp_test(void *env, void *invocation) {
  struct jump *jump = env;
  return jump->invocation == invocation ? jump->label : 0;
}

void __wasm_longjmp(void *env, int value) {
  struct jump *jump = env;
  jump->thrown.env = env;
  jump->thrown.value = value ? value : 1;
  __builtin_wasm_throw(TAG_LONGJMP, &jump->thrown);
}
