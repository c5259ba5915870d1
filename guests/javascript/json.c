// JSON for the host: see json.h.
//
// QuickJS is part of this file, since only from its inside it is fast: objects are made of the shape that the last one like them had,
// and are written by their shape. Whatever is not plain data (getters, `toJSON`, proxies, cycles, ...) is left to QuickJS.

#include "quickjs.c"

#include "json.h"
#include "number.h"

static bool made(JSValue value) { return !JS_IsException(value); }

// Whether a byte of a string means itself in JSON, and nothing else.
static bool is_plain(uint8_t c) { return c >= 0x20 && c < 0x80 && c != '"' && c != '\\'; }

#include "json_read.c"
#include "json_write.c"
