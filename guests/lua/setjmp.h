// setjmp for WebAssembly: see sjlj.c.

#pragma once

#include <stdint.h>

struct jump {
  void *invocation;
  uint32_t label;
  // What clang's code reads of a thrown jump: in this order.
  struct {
    void *env;
    int value;
  } thrown;
};

typedef struct jump jmp_buf[1];

int setjmp(jmp_buf) __attribute__((returns_twice));
_Noreturn void longjmp(jmp_buf, int);
#define setjmp(env) setjmp(env)
