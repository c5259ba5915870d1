// What Lua code finds beside the language.

#pragma once

#include "lua.h"

// Opens the libraries: those of Lua that reach nothing outside, `print` and `warn` to the host's console, `fetch` through the host,
// `os` without files and processes.
void libraries_open(lua_State *L);

// Seeds math.random, so that no two instances of one snapshot draw the same numbers. Does it once; throws nothing.
void libraries_seed(lua_State *L);
