// JSON for Lua: see json.h.
//
// An object is a table, an array a table with the keys 1 to n, null the value `json.null`. An empty table is an empty array, unless
// it was read from `{}` or marked by `json.object`.

#include "json.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lauxlib.h"
#include "number.h"

// Arrays and objects inside of each other; the host takes no more.
#define DEPTH_MAX 128
// Whole floats from there on have an exponent.
#define WHOLE_MAX 1e15
// Digits of an integer of 64 bits that may fit.
#define INTEGER_DIGITS_MAX 19

// The metatables that mark empty tables, by their address in the registry.
static const char array_mark, object_mark;
// The address of `json.null`.
static const char null_mark;

static void push_null(lua_State *L) { lua_pushlightuserdata(L, (void *)&null_mark); }

static void mark(lua_State *L, const char *metatable) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, metatable);
  lua_setmetatable(L, -2);
}

static int is_marked(lua_State *L, int index, const char *metatable) {
  if (!lua_getmetatable(L, index)) return 0;
  lua_rawgetp(L, LUA_REGISTRYINDEX, metatable);
  int is_equal = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is_equal;
}

// --- Texts ---

void text_append(lua_State *L, struct text *text, const char *bytes, size_t length) {
  if (length > text->capacity - text->length) {
    size_t capacity = 2 * text->capacity > text->length + length ? 2 * text->capacity : text->length + length + 64;
    char *grown = realloc(text->bytes, capacity);
    if (!grown) luaL_error(L, "not enough memory");
    text->bytes = grown;
    text->capacity = capacity;
  }
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

static void append(lua_State *L, struct text *text, const char *string) { text_append(L, text, string, strlen(string)); }

// The length of the character at `bytes`, in UTF-8 without surrogates and overlong forms; 0 if there is none.
static size_t character_length(const unsigned char *bytes, size_t length) {
  unsigned char first = bytes[0];
  if (first < 0x80) return 1;
  size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || length < wanted) return 0;
  for (size_t at = 1; at < wanted; at++) {
    if ((bytes[at] & 0xC0) != 0x80) return 0;
  }
  unsigned char second = bytes[1];
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F)) return 0;
  if ((first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) return 0;
  return wanted;
}

void json_append_string(lua_State *L, struct text *text, const char *bytes, size_t length) {
  append(L, text, "\"");
  size_t plain = 0; // Where the characters begin that are written as they are.
  for (size_t at = 0; at < length;) {
    unsigned char c = (unsigned char)bytes[at];
    size_t character = character_length((const unsigned char *)bytes + at, length - at);
    if (character != 0 && c >= 0x20 && c != '"' && c != '\\') {
      at += character;
      continue;
    }
    text_append(L, text, bytes + plain, at - plain);
    char escaped[8];
    switch (c) {
    case '"': append(L, text, "\\\""); break;
    case '\\': append(L, text, "\\\\"); break;
    case '\n': append(L, text, "\\n"); break;
    case '\r': append(L, text, "\\r"); break;
    case '\t': append(L, text, "\\t"); break;
    default:
      if (c < 0x20) {
        snprintf(escaped, sizeof escaped, "\\u%04x", c);
        append(L, text, escaped);
      } else {
        append(L, text, "\xEF\xBF\xBD"); // U+FFFD
      }
    }
    plain = ++at;
  }
  text_append(L, text, bytes + plain, length - plain);
  append(L, text, "\"");
}

// --- Reading ---

struct reader {
  lua_State *L;
  const char *start, *at, *end;
  int depth;
};

static void fail(struct reader *in, const char *what) {
  luaL_error(in->L, "this is no JSON: %s at byte %d", what, (int)(in->at - in->start) + 1);
}

static char peek(struct reader *in) {
  while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t')) in->at++;
  return in->at < in->end ? *in->at : '\0';
}

// Takes one of the words true, false, null.
static void read_word(struct reader *in, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0) fail(in, "an unknown word");
  in->at += length;
}

static uint32_t read_hex(struct reader *in) {
  uint32_t value = 0;
  for (int digit = 0; digit < 4; digit++) {
    char c = in->at < in->end ? *in->at : '\0';
    uint32_t number = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
    if (number == 16) fail(in, "an incomplete \\u");
    value = value << 4 | number;
    in->at++;
  }
  return value;
}

static void add_character(luaL_Buffer *buffer, uint32_t c) {
  if (c < 0x80) {
    luaL_addchar(buffer, (char)c);
    return;
  }
  if (c < 0x800) {
    luaL_addchar(buffer, (char)(0xC0 | c >> 6));
  } else {
    if (c < 0x10000) {
      luaL_addchar(buffer, (char)(0xE0 | c >> 12));
    } else {
      luaL_addchar(buffer, (char)(0xF0 | c >> 18));
      luaL_addchar(buffer, (char)(0x80 | (c >> 12 & 0x3F)));
    }
    luaL_addchar(buffer, (char)(0x80 | (c >> 6 & 0x3F)));
  }
  luaL_addchar(buffer, (char)(0x80 | (c & 0x3F)));
}

// Takes what is behind a backslash.
static void read_escape(struct reader *in, luaL_Buffer *buffer) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  char c = in->at < in->end ? *in->at : '\0';
  in->at++;
  const char *name = c ? strchr(names, c) : NULL;
  if (name) {
    luaL_addchar(buffer, values[name - names]);
    return;
  }
  if (c != 'u') fail(in, "an unknown escape");
  uint32_t value = read_hex(in);
  if (value >= 0xD800 && value < 0xDC00 && in->end - in->at >= 6 && in->at[0] == '\\' && in->at[1] == 'u') {
    const char *second = in->at;
    in->at += 2;
    uint32_t low = read_hex(in);
    if (low >= 0xDC00 && low < 0xE000) {
      value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    } else {
      in->at = second;
    }
  }
  add_character(buffer, value >= 0xD800 && value < 0xE000 ? 0xFFFD : value);
}

static void read_string(struct reader *in) {
  const char *start = ++in->at;
  while (in->at < in->end && *in->at != '"' && *in->at != '\\') in->at++;
  if (in->at < in->end && *in->at == '"') { // Most have no escape.
    lua_pushlstring(in->L, start, (size_t)(in->at++ - start));
    return;
  }
  luaL_Buffer buffer;
  luaL_buffinit(in->L, &buffer);
  luaL_addlstring(&buffer, start, (size_t)(in->at - start));
  while (in->at < in->end && *in->at != '"') {
    if (*in->at == '\\') {
      in->at++;
      read_escape(in, &buffer);
    } else {
      luaL_addchar(&buffer, *in->at++);
    }
  }
  if (in->at >= in->end) fail(in, "a string without an end");
  in->at++;
  luaL_pushresult(&buffer);
}

// An integer, if it is written as one and fits, and a float otherwise.
static void read_number(struct reader *in) {
  const char *end, *start = in->at + (*in->at == '-'), *at = start;
  uint64_t magnitude = 0;
  while (*at >= '0' && *at <= '9') magnitude = 10 * magnitude + (uint64_t)(*at++ - '0');
  unsigned is_negative = start != in->at, is_integer = *at != '.' && *at != 'e' && *at != 'E' && at - start <= INTEGER_DIGITS_MAX;
  if (at == start) fail(in, "an unknown character");
  double number = number_read(in->at, &end);
  if (!end || end > in->end) fail(in, "a broken number");
  in->at = end;
  if (!is_integer || magnitude > (uint64_t)LUA_MAXINTEGER + is_negative) lua_pushnumber(in->L, number);
  else lua_pushinteger(in->L, (lua_Integer)(is_negative ? 0 - magnitude : magnitude));
}

static void read_value(struct reader *in);

static void read_array(struct reader *in) {
  lua_State *L = in->L;
  in->at++;
  lua_newtable(L);
  if (peek(in) == ']') {
    in->at++;
    mark(L, &array_mark);
    return;
  }
  for (lua_Integer index = 1;; index++) {
    read_value(in);
    lua_rawseti(L, -2, index);
    char c = peek(in);
    in->at++;
    if (c == ']') return;
    if (c != ',') fail(in, "an array without an end");
  }
}

static void read_object(struct reader *in) {
  lua_State *L = in->L;
  in->at++;
  lua_newtable(L);
  if (peek(in) == '}') {
    in->at++;
    mark(L, &object_mark);
    return;
  }
  for (;;) {
    if (peek(in) != '"') fail(in, "a key that is no string");
    read_string(in);
    if (peek(in) != ':') fail(in, "a key without a value");
    in->at++;
    read_value(in);
    lua_rawset(L, -3);
    char c = peek(in);
    in->at++;
    if (c == '}') return;
    if (c != ',') fail(in, "an object without an end");
  }
}

static void read_value(struct reader *in) {
  luaL_checkstack(in->L, 4, "JSON");
  if (++in->depth > DEPTH_MAX) fail(in, "too deep nesting");
  switch (peek(in)) {
  case '{': read_object(in); break;
  case '[': read_array(in); break;
  case '"': read_string(in); break;
  case 't': read_word(in, "true"), lua_pushboolean(in->L, 1); break;
  case 'f': read_word(in, "false"), lua_pushboolean(in->L, 0); break;
  case 'n': read_word(in, "null"), push_null(in->L); break;
  default: read_number(in);
  }
  in->depth--;
}

void json_decode(lua_State *L, const char *bytes, size_t length) {
  struct reader in = {.L = L, .start = bytes, .at = bytes, .end = bytes + length};
  read_value(&in);
  if (peek(&in) || in.at != in.end) fail(&in, "more than one value");
}

// --- Writing ---

// A key of an object, as it is written and as it is looked up.
struct key {
  const char *name;
  size_t length;
  enum { KEY_STRING, KEY_INTEGER, KEY_FLOAT } kind;
  lua_Integer integer;
  lua_Number number;
};

static int compare_keys(const void *left, const void *right) {
  const struct key *a = left, *b = right;
  size_t common = a->length < b->length ? a->length : b->length;
  int order = memcmp(a->name, b->name, common);
  return order ? order : (a->length > b->length) - (a->length < b->length);
}

static void write_value(lua_State *L, int index, struct text *text, int depth);

static void write_number(lua_State *L, int index, struct text *text) {
  char digits[NUMBER_BYTES_MAX + sizeof "e0"];
  if (lua_isinteger(L, index)) {
    snprintf(digits, sizeof digits, LUA_INTEGER_FMT, lua_tointeger(L, index));
  } else {
    double number = lua_tonumber(L, index);
    size_t length = isfinite(number) ? number_write(digits, number) : 0;
    strcpy(digits + length, length == 0 ? "null" : "");
    // So that it is not read as an integer, which has more digits than a float.
    if (length > 0 && fabs(number) >= WHOLE_MAX && !memchr(digits, 'e', length)) strcpy(digits + length, "e0");
  }
  append(L, text, digits);
}

static void write_array(lua_State *L, int index, size_t count, struct text *text, int depth) {
  append(L, text, "[");
  for (size_t at = 1; at <= count; at++) {
    if (at > 1) append(L, text, ",");
    lua_rawgeti(L, index, (lua_Integer)at);
    write_value(L, lua_gettop(L), text, depth);
    lua_pop(L, 1);
  }
  append(L, text, "]");
}

// Fills `keys` from the table at `index`. Names of numbers are kept in the table at `names`.
static void collect_keys(lua_State *L, int index, int names, struct key *keys) {
  size_t at = 0;
  for (lua_pushnil(L); lua_next(L, index); at++) {
    lua_pop(L, 1);
    struct key *key = &keys[at];
    if (lua_type(L, -1) == LUA_TSTRING) {
      key->kind = KEY_STRING;
      key->name = lua_tolstring(L, -1, &key->length);
      continue;
    }
    if (lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "a key of an object must be a string, not a %s", luaL_typename(L, -1));
    key->kind = lua_isinteger(L, -1) ? KEY_INTEGER : KEY_FLOAT;
    key->integer = lua_tointeger(L, -1);
    key->number = lua_tonumber(L, -1);
    // A copy, since a key must not become a string while the table is walked.
    lua_pushvalue(L, -1);
    key->name = lua_tolstring(L, -1, &key->length);
    lua_rawseti(L, names, (lua_Integer)at + 1);
  }
}

// Writes keys in the order of their bytes: that of the table differs from run to run.
static void write_object(lua_State *L, int index, size_t count, struct text *text, int depth) {
  struct key *keys = lua_newuserdatauv(L, count * sizeof(struct key), 0);
  lua_newtable(L);
  collect_keys(L, index, lua_gettop(L), keys);
  qsort(keys, count, sizeof(struct key), compare_keys);
  append(L, text, "{");
  for (size_t at = 0; at < count; at++) {
    if (at > 0) append(L, text, ",");
    json_append_string(L, text, keys[at].name, keys[at].length);
    append(L, text, ":");
    switch (keys[at].kind) {
    case KEY_STRING: lua_pushlstring(L, keys[at].name, keys[at].length); break;
    case KEY_INTEGER: lua_pushinteger(L, keys[at].integer); break;
    case KEY_FLOAT: lua_pushnumber(L, keys[at].number); break;
    }
    lua_rawget(L, index);
    write_value(L, lua_gettop(L), text, depth);
    lua_pop(L, 1);
  }
  append(L, text, "}");
  lua_pop(L, 2);
}

static void write_table(lua_State *L, int index, struct text *text, int depth) {
  if (depth > DEPTH_MAX) luaL_error(L, "the value is nested too deeply, or contains itself");
  size_t length = lua_rawlen(L, index), count = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
  int is_array = count == length && (count > 0 || !is_marked(L, index, &object_mark));
  if (is_array || is_marked(L, index, &array_mark)) {
    write_array(L, index, length, text, depth + 1);
  } else {
    write_object(L, index, count, text, depth + 1);
  }
}

static void write_value(lua_State *L, int index, struct text *text, int depth) {
  luaL_checkstack(L, 8, "JSON");
  size_t length;
  switch (lua_type(L, index)) {
  case LUA_TNIL: append(L, text, "null"); break;
  case LUA_TBOOLEAN: append(L, text, lua_toboolean(L, index) ? "true" : "false"); break;
  case LUA_TNUMBER: write_number(L, index, text); break;
  case LUA_TSTRING: {
    const char *bytes = lua_tolstring(L, index, &length);
    json_append_string(L, text, bytes, length);
    break;
  }
  case LUA_TTABLE: write_table(L, index, text, depth); break;
  case LUA_TLIGHTUSERDATA: append(L, text, "null"); break; // There is no other than `json.null`.
  default: luaL_error(L, "a %s cannot be written as JSON", luaL_typename(L, index));
  }
}

void json_encode(lua_State *L, int index, struct text *text) { write_value(L, lua_absindex(L, index), text, 0); }

// --- The global `json` ---

static int decode(lua_State *L) {
  size_t length;
  const char *bytes = luaL_checklstring(L, 1, &length);
  json_decode(L, bytes, length);
  return 1;
}

// Frees its text when the call ends, however it does.
static int free_text(lua_State *L) {
  struct text *text = lua_touserdata(L, 1);
  free(text->bytes);
  text->bytes = NULL;
  return 0;
}

static int encode(lua_State *L) {
  luaL_checkany(L, 1);
  struct text *text = lua_newuserdatauv(L, sizeof(struct text), 0);
  memset(text, 0, sizeof(struct text));
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_text);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  json_encode(L, 1, text);
  lua_pushlstring(L, text->bytes, text->length);
  free(text->bytes);
  text->bytes = NULL;
  return 1;
}

static int mark_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  mark(L, &array_mark);
  return 1;
}

static int mark_object(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  mark(L, &object_mark);
  return 1;
}

static int show_null(lua_State *L) {
  lua_pushliteral(L, "null");
  return 1;
}

void json_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"decode", decode}, {"encode", encode}, {"array", mark_array}, {"object", mark_object}, {NULL, NULL}};
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &array_mark);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &object_mark);
  luaL_newlib(L, functions);
  push_null(L);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, show_null);
  lua_setfield(L, -2, "__tostring");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "null");
  lua_setglobal(L, "json");
}
