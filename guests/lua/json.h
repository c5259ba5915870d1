// JSON for Lua, in C since every run reads its input and writes its output with it.

#pragma once

#include <stddef.h>

#include "lua.h"

// A growing text that C owns: it outlives the Lua values that it was made of.
struct text {
  char *bytes;
  size_t length, capacity;
};

// Appends to a text. Throws "not enough memory".
void text_append(lua_State *L, struct text *text, const char *bytes, size_t length);

// Appends a JSON string; what is no UTF-8 becomes U+FFFD.
void json_append_string(lua_State *L, struct text *text, const char *bytes, size_t length);

// Pushes the value of a JSON text. Throws a message with the byte where the text is wrong.
void json_decode(lua_State *L, const char *bytes, size_t length);

// Appends the value at `index` as JSON. Throws what cannot be written.
void json_encode(lua_State *L, int index, struct text *text);

// Makes the global `json`: `decode`, `encode`, `null`, `array`, `object`.
void json_open(lua_State *L);
