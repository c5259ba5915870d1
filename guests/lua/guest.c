// The Lua guest: Lua as a WebAssembly reactor. JSON goes in, JSON comes out.
//
// The host runs `initialize` once and snapshots the memory; every instance starts from that snapshot. It then calls `reserve`,
// writes a text, and calls `compile` or `call`. The guest can reach nothing but the imports below and the clock of WASI.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "json.h"
#include "lauxlib.h"
#include "libraries.h"
#include "lua.h"
#include "lualib.h"
#include "memory.h"

// Where code runs: what is before the line in messages.
#define CHUNK "code.lua"
// Calls that a failure tells of.
#define FRAMES_MAX 20
// Memory that an instance has at hand, so that a small run need not ask the host for more.
#define SPARE_BYTES (256 * 1024)

// The code's variables, on its own first line. `_` is there for `CALL_MAIN` alone.
static const char HEADER[] = "local input, items = ...; ";
// Behind the code: gives the function `main`, whether local or global, and shows by the last value that the code did not return.
static const char CALL_MAIN[] = "\nreturn main, ...";

static lua_State *L;

// The text of the last result, where it is not a fixed one.
static struct text result;

// What the code gets as its last argument, and gives back when it did not return.
static const char end_mark;

// --- Results ---

static enum status fail_with(const char *message) {
  set_result(message, strlen(message));
  return STATUS_FAILED;
}

static enum status fail_without_memory(void) { return fail_with("{\"message\":\"not enough memory\"}"); }

// The line in `code.lua:<line>: <message>`, and where the message begins; 0 and the whole message if it has none. There are several
// lines where an error went through coroutines: the last is where it began.
static int split_line(const char **message) {
  int innermost = 0;
  while (strncmp(*message, CHUNK ":", sizeof CHUNK) == 0) {
    char *end;
    long line = strtol(*message + sizeof CHUNK, &end, 10);
    if (line <= 0 || end[0] != ':' || end[1] != ' ') break;
    *message = end + 2;
    innermost = (int)line;
  }
  return innermost;
}

// Appends one a line the calls that led to the failure, and returns the line of the innermost; 0 if there are none.
static int append_calls(struct text *calls) {
  int innermost = 0, frames = 0;
  lua_Debug frame;
  for (int level = 1; frames < FRAMES_MAX && lua_getstack(L, level, &frame); level++) {
    if (!lua_getinfo(L, "Sln", &frame) || frame.currentline <= 0 || strcmp(frame.short_src, CHUNK) != 0) continue;
    char shown[128];
    if (frame.name) {
      snprintf(shown, sizeof shown, "%sat %.60s (" CHUNK ":%d)", frames ? "\n" : "", frame.name, frame.currentline);
    } else {
      snprintf(shown, sizeof shown, "%sat " CHUNK ":%d", frames ? "\n" : "", frame.currentline);
    }
    text_append(L, calls, shown, strlen(shown));
    if (frames++ == 0) innermost = frame.currentline;
  }
  return innermost;
}

// Makes the error at the top of the stack the result: JSON `{ message, line?, stack }`.
static void describe(int line, struct text *calls) {
  size_t length;
  const char *message;
  if (lua_type(L, -1) == LUA_TTABLE && !luaL_getmetafield(L, -1, "__tostring")) {
    struct text shown = {0};
    json_encode(L, -1, &shown);
    lua_pushlstring(L, shown.bytes, shown.length);
    free(shown.bytes);
    message = lua_tolstring(L, -1, &length);
  } else {
    lua_settop(L, 1);
    const char *start = message = luaL_tolstring(L, -1, &length);
    int own_line = split_line(&message);
    if (own_line) line = own_line;
    length -= (size_t)(message - start);
  }
  result.length = 0;
  text_append(L, &result, "{\"message\":", 11);
  json_append_string(L, &result, message, length);
  if (line) {
    char shown[32];
    snprintf(shown, sizeof shown, ",\"line\":%d", line);
    text_append(L, &result, shown, strlen(shown));
  }
  text_append(L, &result, ",\"stack\":", 9);
  json_append_string(L, &result, calls->bytes, calls->length);
  text_append(L, &result, "}", 1);
  set_result(result.bytes, result.length);
}

// Runs where the error was thrown, with all calls still there.
static int on_error(lua_State *thrower) {
  static struct text calls;
  lua_State *main_thread = L;
  L = thrower;
  calls.length = 0;
  describe(append_calls(&calls), &calls);
  L = main_thread;
  lua_settop(thrower, 1);
  return 1;
}

// Calls a function of this file in protected mode, with what is on the stack. Throws nothing.
static enum status protect(lua_CFunction function, int arguments) {
  lua_pushcfunction(L, on_error);
  lua_insert(L, 1);
  lua_pushcfunction(L, function);
  lua_insert(L, 2);
  int status = lua_pcall(L, arguments, 1, 1);
  lua_remove(L, 1);
  switch (status) {
  case LUA_OK: return STATUS_OK;
  case LUA_ERRMEM: lua_settop(L, 0); return fail_without_memory();
  case LUA_ERRERR: lua_settop(L, 0); return fail_with("{\"message\":\"the error could not be described\"}");
  default: lua_settop(L, 0); return STATUS_FAILED;
  }
}

// --- What runs in protected mode ---

// Compiles the text at the address with the length into a function.
static int compile_protected(lua_State *state) {
  const char *source = lua_touserdata(state, 1);
  size_t length = (size_t)lua_tointeger(state, 2);
  // With the call of `main`, unless the code ends with a `return`: nothing may follow that.
  for (int has_call = 1; has_call >= 0; has_call--) {
    size_t call_length = has_call ? sizeof CALL_MAIN - 1 : 0;
    luaL_Buffer wrapped;
    luaL_buffinitsize(state, &wrapped, sizeof HEADER + length + call_length);
    luaL_addlstring(&wrapped, HEADER, sizeof HEADER - 1);
    luaL_addlstring(&wrapped, source, length);
    luaL_addlstring(&wrapped, CALL_MAIN, call_length);
    luaL_pushresult(&wrapped);
    size_t size;
    const char *text = lua_tolstring(state, -1, &size);
    int status = luaL_loadbufferx(state, text, size, "=" CHUNK, "t");
    if (status == LUA_OK) return 1;
    if (!has_call || status != LUA_ERRSYNTAX) return lua_error(state);
    lua_settop(state, 2);
  }
  return 0;
}

// Calls the function at 1 over the scope in `input`, with the length at 2, and writes what it returns to `result`.
static int call_protected(lua_State *state) {
  json_decode(state, input, (size_t)lua_tointeger(state, 2));
  if (lua_getfield(state, 3, "env") != LUA_TNIL) {
    lua_setglobal(state, "env");
  } else {
    lua_pop(state, 1);
  }
  lua_getfield(state, 3, "input");
  lua_getfield(state, 3, "items");
  lua_remove(state, 3);
  // Now 1 the function, 2 the length, 3 input, 4 items.
  lua_pushvalue(state, 1);
  lua_pushvalue(state, 3);
  lua_pushvalue(state, 4);
  lua_pushlightuserdata(state, (void *)&end_mark);
  lua_call(state, 3, LUA_MULTRET);
  int values = lua_gettop(state) - 4;
  if (values == 4 && lua_touserdata(state, -1) == (void *)&end_mark) {
    lua_settop(state, 5);
    if (lua_isfunction(state, 5)) {
      lua_pushvalue(state, 3);
      lua_call(state, 1, 1);
    } else {
      lua_pushnil(state);
    }
  } else {
    lua_settop(state, 5);
  }
  result.length = 0;
  json_encode(state, -1, &result);
  set_result(result.bytes, result.length);
  return 0;
}

static int open_protected(lua_State *state) {
  libraries_open(state);
  json_open(state);
  lua_gc(state, LUA_GCCOLLECT);
  return 0;
}

// --- What the host calls ---

// Makes the state with its libraries. The host snapshots what this leaves behind.
EXPORT("initialize") void initialize(void) {
  L = luaL_newstate();
  if (!L || protect(open_protected, 0) != STATUS_OK) abort();
  lua_settop(L, 0);
  memory_reserve(SPARE_BYTES);
}

// Compiles the text of `length` bytes, the body of a function. Returns its handle, or -1 with a result.
EXPORT("compile") int32_t compile(size_t length, int32_t flags) {
  (void)flags;
  libraries_seed(L);
  lua_settop(L, 0);
  lua_pushlightuserdata(L, input);
  lua_pushinteger(L, (lua_Integer)length);
  if (protect(compile_protected, 2) != STATUS_OK) return -1;
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

// Calls a compiled function over the scope, which is the JSON text of `length` bytes: `{ input, items?, env? }`. The result is JSON.
EXPORT("call") enum status call(int32_t handle, size_t length) {
  lua_settop(L, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, handle);
  lua_pushinteger(L, (lua_Integer)length);
  return protect(call_protected, 2);
}
