// JSON for the host: what code gets and gives. Faster than QuickJS' own JSON where a value is plain data, and the same otherwise.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "quickjs.h"

// A growing text.
struct text {
  char *bytes;
  size_t length, capacity;
};

// The value of a JSON text, which has a NUL behind it. Throws what is wrong with it.
JSValue json_read(JSContext *ctx, const char *bytes, size_t length);

// Makes the text the JSON of a value, as `JSON.stringify` writes it; `null` where that writes nothing. False if it throws.
bool json_write(JSContext *ctx, JSValueConst value, struct text *text);
