// What Lua code finds beside the language: see libraries.h.

#include "libraries.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "host.h"
#include "json.h"
#include "lauxlib.h"
#include "lualib.h"

// --- The console ---

// print(...)
static int print(lua_State *L) {
  int count = lua_gettop(L);
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (int index = 1; index <= count; index++) {
    if (index > 1) luaL_addchar(&line, '\t');
    luaL_tolstring(L, index, NULL);
    luaL_addvalue(&line);
  }
  luaL_pushresult(&line);
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  host_log(LEVEL_INFO, text, length);
  return 0;
}

// warn(...)
static int warn(lua_State *L) {
  int count = lua_gettop(L);
  luaL_checkstring(L, 1);
  for (int index = 2; index <= count; index++) luaL_checkstring(L, index);
  lua_concat(L, count);
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  host_log(LEVEL_WARN, text, length);
  return 0;
}

// load(chunk, name, mode, env): of text alone, since a forged binary chunk can break the interpreter.
static int load_text(lua_State *L) {
  lua_settop(L, 4);
  int has_env = !lua_isnil(L, 4);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_pushliteral(L, "t");
  if (has_env) lua_pushvalue(L, 4);
  lua_call(L, has_env ? 4 : 3, LUA_MULTRET);
  return lua_gettop(L) - 4;
}

// --- fetch ---

// Writes what is asked for as JSON. `options` at 2.
static void write_head(lua_State *L, struct text *head) {
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "url");
  static const char *const names[] = {"method", "headers"};
  for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
    lua_getfield(L, 2, names[index]);
    lua_setfield(L, -2, names[index]);
  }
  head->length = 0;
  json_encode(L, -1, head);
  lua_pop(L, 1);
}

// fetch(url [, { method, headers, body }]): gives { url, status, ok, headers, body }. The host refuses it where the network was not
// granted.
static int fetch(lua_State *L) {
  static struct text head;
  luaL_checkstring(L, 1);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  write_head(L, &head);
  size_t body_length = 0;
  lua_getfield(L, 2, "body");
  const char *body = lua_tolstring(L, 3, &body_length);
  if (!body && !lua_isnil(L, 3)) luaL_error(L, "the body has to be a string: `json.encode` makes one of a table");
  int32_t length = host_fetch(head.bytes, head.length, body, body ? body_length : 0);
  if (length < 0) luaL_error(L, "not enough memory");
  // The variables were read from `input` before the call.
  const char *head_end = memchr(input, '\n', (size_t)length);
  json_decode(L, input, (size_t)(head_end - input));
  if (lua_getfield(L, -1, "error") != LUA_TNIL) luaL_error(L, "fetch failed: %s", lua_tostring(L, -1));
  lua_pop(L, 1);
  lua_pushlstring(L, head_end + 1, (size_t)(input + length - head_end - 1));
  lua_setfield(L, -2, "body");
  return 1;
}

// --- os ---

static int os_clock(lua_State *L) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

static int field(lua_State *L, const char *name, int otherwise) {
  lua_getfield(L, 1, name);
  int is_number;
  lua_Integer value = lua_tointegerx(L, -1, &is_number);
  if (!is_number) {
    if (!lua_isnil(L, -1) || otherwise < 0) luaL_error(L, "field '%s' is missing or no integer", name);
    value = otherwise;
  }
  lua_pop(L, 1);
  if (value < -100000 || value > 100000) luaL_error(L, "field '%s' is out of bounds", name);
  return (int)value;
}

// os.time([table]): seconds, in UTC.
static int os_time(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_pushinteger(L, (lua_Integer)time(NULL));
    return 1;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  struct tm parts = {
      .tm_year = field(L, "year", -1) - 1900,
      .tm_mon = field(L, "month", -1) - 1,
      .tm_mday = field(L, "day", -1),
      .tm_hour = field(L, "hour", 12),
      .tm_min = field(L, "min", 0),
      .tm_sec = field(L, "sec", 0),
  };
  lua_pushinteger(L, (lua_Integer)timegm(&parts));
  return 1;
}

static void set_field(lua_State *L, const char *name, int value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

// os.date([format [, time]]): always in UTC.
static int os_date(lua_State *L) {
  static const char conversions[] = "aAbBcdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%";
  const char *format = luaL_optstring(L, 1, "%c");
  time_t at = (time_t)luaL_optinteger(L, 2, (lua_Integer)time(NULL));
  struct tm parts;
  if (!gmtime_r(&at, &parts)) return luaL_error(L, "the time cannot be represented");
  if (*format == '!') format++;
  if (strcmp(format, "*t") == 0) {
    lua_createtable(L, 0, 9);
    set_field(L, "year", parts.tm_year + 1900);
    set_field(L, "month", parts.tm_mon + 1);
    set_field(L, "day", parts.tm_mday);
    set_field(L, "hour", parts.tm_hour);
    set_field(L, "min", parts.tm_min);
    set_field(L, "sec", parts.tm_sec);
    set_field(L, "yday", parts.tm_yday + 1);
    set_field(L, "wday", parts.tm_wday + 1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "isdst");
    return 1;
  }
  luaL_Buffer shown;
  luaL_buffinit(L, &shown);
  for (; *format; format++) {
    if (*format != '%') {
      luaL_addchar(&shown, *format);
      continue;
    }
    format++;
    if (!*format || !strchr(conversions, *format)) return luaL_error(L, "invalid conversion specifier '%%%c'", *format);
    char conversion[] = {'%', *format, '\0'}, part[128];
    luaL_addlstring(&shown, part, strftime(part, sizeof part, conversion, &parts));
  }
  luaL_pushresult(&shown);
  return 1;
}

static int os_difftime(lua_State *L) {
  lua_pushnumber(L, luaL_checknumber(L, 1) - luaL_checknumber(L, 2));
  return 1;
}

// os.getenv(name): what the global `env` held when the code was called.
static int os_getenv(lua_State *L) {
  luaL_checkstring(L, 1);
  if (lua_getglobal(L, "env") != LUA_TTABLE) return 0;
  lua_pushvalue(L, 1);
  lua_rawget(L, -2);
  return 1;
}

// --- What guest.c calls ---

void libraries_open(lua_State *L) {
  static const luaL_Reg libraries[] = {
      {LUA_GNAME, luaopen_base},       {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},
      {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8}, {LUA_COLIBNAME, luaopen_coroutine},
      {NULL, NULL},
  };
  static const luaL_Reg os[] = {
      {"clock", os_clock},       {"time", os_time},     {"date", os_date},
      {"difftime", os_difftime}, {"getenv", os_getenv}, {NULL, NULL},
  };
  for (const luaL_Reg *library = libraries; library->func; library++) {
    luaL_requiref(L, library->name, library->func, 1);
    lua_pop(L, 1);
  }
  luaL_newlib(L, os);
  lua_setglobal(L, "os");
  lua_newtable(L);
  lua_setglobal(L, "env");
  lua_register(L, "print", print);
  lua_register(L, "warn", warn);
  lua_register(L, "fetch", fetch);
  lua_getglobal(L, "load");
  lua_pushcclosure(L, load_text, 1);
  lua_setglobal(L, "load");
  // These read files.
  static const char *const removed[] = {"dofile", "loadfile"};
  for (size_t index = 0; index < sizeof removed / sizeof *removed; index++) {
    lua_pushnil(L);
    lua_setglobal(L, removed[index]);
  }
}

void libraries_seed(lua_State *L) {
  static int is_seeded;
  if (is_seeded) return;
  is_seeded = 1;
  lua_getglobal(L, "math");
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, (lua_Integer)host_seed());
  lua_pushinteger(L, (lua_Integer)host_seed());
  lua_pcall(L, 2, 0, 0);
  lua_settop(L, 0);
}
