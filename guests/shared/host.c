// The host as the guests see it: see host.h.

#include "host.h"

#include <stdlib.h>

char *input;
static size_t input_capacity;

static const char *result;
static size_t result_length;

void set_result(const char *text, size_t length) {
  result = text;
  result_length = length;
}

// Makes room for a text of `length` bytes and returns where to write it; 0 if there is no memory.
EXPORT("reserve") char *reserve(size_t length) {
  if (length >= input_capacity) {
    free(input);
    input_capacity = 0;
    input = malloc(length + 1);
    if (!input) return NULL;
    input_capacity = length + 1;
  }
  return input;
}

// The last result: its address in the upper half, its length in bytes in the lower.
EXPORT("result") uint64_t packed_result(void) { return (uint64_t)(uintptr_t)result << 32 | result_length; }
