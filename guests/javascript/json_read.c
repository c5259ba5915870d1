// The reading half of json.c.

// Keys of an object whose shape is remembered.
#define KEYS_MAX 32
// Shapes that are remembered.
#define SHAPES 64

// A text that is being read. What it is not sure of, it does not read: then QuickJS does.
struct reader {
  JSContext *ctx;
  const char *at, *end;
  // What objects had lately, by a hash of their first key.
  JSShape *shapes[SHAPES];
};

static bool read_value(struct reader *reader, JSValue *value);

// Appends the character that an escape sequence stands for. `*at` is behind the backslash.
static bool read_escape(StringBuffer *buffer, const char **at) {
  static const char NAMES[] = "bfnrt\"\\/", MEANINGS[] = "\b\f\n\r\t\"\\/";
  char name = *(*at)++;
  const char *known = name ? strchr(NAMES, name) : NULL;
  if (known) return string_buffer_putc8(buffer, (uint8_t)MEANINGS[known - NAMES]) == 0;
  if (name != 'u') return false;
  uint32_t c = 0;
  for (int digit = 0; digit < 4; digit++) {
    int value = from_hex((*at)[digit]);
    if (value < 0) return false;
    c = c << 4 | (uint32_t)value;
  }
  *at += 4;
  return string_buffer_putc16(buffer, c) == 0;
}

// A string with escape sequences, up to `end`, where its closing quote is.
static bool read_escaped(JSContext *ctx, const char *at, const char *end, JSValue *string) {
  StringBuffer buffer;
  if (string_buffer_init(ctx, &buffer, (int)(end - at))) return false;
  while (at < end) {
    if (is_plain((uint8_t)*at)) {
      const char *start = at;
      while (is_plain((uint8_t)*at)) at++;
      if (string_buffer_write8(&buffer, (const uint8_t *)start, (int)(at - start))) goto failed;
    } else if (*at == '\\') {
      at++;
      if (!read_escape(&buffer, &at)) goto failed;
    } else {
      const uint8_t *next;
      uint32_t c = utf8_decode((const uint8_t *)at, &next);
      at = (const char *)next;
      if (string_buffer_putc(&buffer, c)) goto failed;
    }
  }
  *string = string_buffer_end(&buffer);
  return made(*string);
failed:
  string_buffer_free(&buffer);
  return false;
}

// A string, from behind its opening quote to behind its closing one.
static bool read_string(struct reader *reader, JSValue *string) {
  const char *start = reader->at, *at = start;
  while (is_plain((uint8_t)*at)) at++;
  bool is_ascii = *at == '"', has_escapes = false;
  while (*at != '"') {
    if (at >= reader->end || (uint8_t)*at < 0x20) return false;
    if (*at == '\\') {
      has_escapes = true;
      if (++at >= reader->end) return false;
    }
    at++;
  }
  reader->at = at + 1;
  if (has_escapes) return read_escaped(reader->ctx, start, at, string);
  size_t length = (size_t)(at - start);
  *string = is_ascii && length > 0 ? js_new_string8_len(reader->ctx, start, (int)length)
                                   : JS_NewStringLen(reader->ctx, start, length);
  return made(*string);
}

static bool read_number(struct reader *reader, JSValue *number) {
  const char *end;
  double value = number_read(reader->at, &end);
  if (!end) return false;
  reader->at = end;
  *number = js_number(value);
  return true;
}

// Skips a key and its colon, if the key is the name of an atom.
static bool skip_key(struct reader *reader, JSAtom atom) {
  JSString *name = reader->ctx->rt->atom_array[atom];
  const char *at = reader->at;
  size_t length = name->len;
  if ((size_t)(reader->end - at) < length + 3 || *at != '"') return false;
  if (memcmp(at + 1, str8(name), length) != 0 || at[length + 1] != '"' || at[length + 2] != ':') return false;
  reader->at = at + length + 3;
  return true;
}

// Reads a key and its colon.
static bool read_key(struct reader *reader, JSAtom *key) {
  JSValue name;
  if (*reader->at != '"') return false;
  reader->at++;
  if (!read_string(reader, &name)) return false;
  *key = JS_ValueToAtom(reader->ctx, name);
  JS_FreeValue(reader->ctx, name);
  if (*key == JS_ATOM_NULL) return false;
  if (*reader->at == ':') {
    reader->at++;
    return true;
  }
  JS_FreeAtom(reader->ctx, *key);
  return false;
}

// Whether `skip_key` may compare the keys of this shape byte by byte: they are written as they are.
static bool has_plain_keys(JSContext *ctx, JSShape *shape) {
  JSShapeProperty *property = get_shape_prop(shape);
  for (int index = 0; index < shape->prop_count; index++, property++) {
    if (__JS_AtomIsTaggedInt(property->atom) || property->flags != JS_PROP_C_W_E) return false;
    JSString *name = ctx->rt->atom_array[property->atom];
    if (name->is_wide_char) return false;
    for (uint32_t at = 0; at < name->len; at++) {
      if (!is_plain(str8(name)[at])) return false;
    }
  }
  return true;
}

static void remember(struct reader *reader, size_t place, JSValueConst object) {
  JSShape *shape = JS_VALUE_GET_OBJ(object)->shape;
  if (!shape->is_hashed || shape->prop_count > KEYS_MAX || shape->deleted_prop_count || !has_plain_keys(reader->ctx, shape)) return;
  js_free_shape_null(reader->ctx->rt, reader->shapes[place]);
  reader->shapes[place] = js_dup_shape(shape);
}

// Reads values for as long as their keys are those of a shape. Ends before another key, or before the closing brace.
static bool read_values(struct reader *reader, JSShape *shape, JSProperty *values, int *count) {
  JSShapeProperty *property = get_shape_prop(shape);
  while (*count < shape->prop_count && skip_key(reader, property[*count].atom)) {
    if (!read_value(reader, &values[*count].u.value)) return false;
    ++*count;
    if (*reader->at == '}') return true;
    if (*reader->at != ',') return false;
    reader->at++;
  }
  return true;
}

// Reads the other members of an object.
static bool read_members(struct reader *reader, JSValueConst object) {
  JSAtom key;
  JSValue value;
  while (*reader->at != '}') {
    if (!read_key(reader, &key)) return false;
    bool is_read = read_value(reader, &value);
    if (is_read) is_read = JS_DefinePropertyValue(reader->ctx, object, key, value, JS_PROP_C_W_E) >= 0;
    JS_FreeAtom(reader->ctx, key);
    if (!is_read) return false;
    if (*reader->at == ',') reader->at++;
    else if (*reader->at != '}') return false;
  }
  return true;
}

// An object, from behind its opening brace.
static bool read_object(struct reader *reader, JSValue *object) {
  JSContext *ctx = reader->ctx;
  const char *key = reader->at;
  size_t place = key[0] && key[1] && key[2] ? ((uint8_t)key[1] * 31u + (uint8_t)key[2]) % SHAPES : 0;
  JSShape *shape = reader->shapes[place] ? js_dup_shape(reader->shapes[place]) : NULL;
  JSProperty values[KEYS_MAX];
  int count = 0;
  bool is_read = !shape || read_values(reader, shape, values, &count);
  if (is_read && shape && *reader->at == '}' && count == shape->prop_count) {
    reader->at++;
    *object = JS_NewObjectFromShape(ctx, shape, JS_CLASS_OBJECT, values); // Takes the shape.
    return made(*object);
  }
  *object = is_read ? JS_NewObject(ctx) : JS_EXCEPTION;
  is_read = made(*object);
  for (int index = 0; index < count; index++) {
    JSValue value = values[index].u.value;
    if (!is_read) JS_FreeValue(ctx, value);
    else is_read = JS_DefinePropertyValue(ctx, *object, get_shape_prop(shape)[index].atom, value, JS_PROP_C_W_E) >= 0;
  }
  js_free_shape_null(ctx->rt, shape);
  if (is_read && read_members(reader, *object)) {
    reader->at++;
    remember(reader, place, *object);
    return true;
  }
  JS_FreeValue(ctx, *object);
  return false;
}

// An array, from behind its opening bracket.
static bool read_array(struct reader *reader, JSValue *array) {
  JSContext *ctx = reader->ctx;
  *array = JS_NewArray(ctx);
  if (!made(*array)) return false;
  JSObject *object = JS_VALUE_GET_OBJ(*array);
  while (*reader->at != ']') {
    uint32_t count = object->u.array.count;
    if (count == object->u.array.u1.size && expand_fast_array(ctx, object, max_uint32(4, 2 * count)) < 0) goto failed;
    if (!read_value(reader, &object->u.array.u.values[count])) goto failed;
    object->u.array.count = count + 1;
    if (*reader->at == ',') reader->at++;
    else if (*reader->at != ']') goto failed;
  }
  reader->at++;
  object->prop[0].u.value = js_uint32(object->u.array.count); // `length`
  return true;
failed:
  JS_FreeValue(ctx, *array);
  return false;
}

static bool read_word(struct reader *reader, const char *word, JSValue meaning, JSValue *value) {
  size_t length = strlen(word);
  if (strncmp(reader->at, word, length) != 0) return false;
  reader->at += length;
  *value = meaning;
  return true;
}

static bool read_value(struct reader *reader, JSValue *value) {
  // Deep ones are read by QuickJS, or refused.
  if (js_check_stack_overflow(reader->ctx->rt, 0)) return false;
  switch (*reader->at) {
  case '{': reader->at++; return read_object(reader, value);
  case '[': reader->at++; return read_array(reader, value);
  case '"': reader->at++; return read_string(reader, value);
  case 't': return read_word(reader, "true", JS_TRUE, value);
  case 'f': return read_word(reader, "false", JS_FALSE, value);
  case 'n': return read_word(reader, "null", JS_NULL, value);
  default: return read_number(reader, value);
  }
}

JSValue json_read(JSContext *ctx, const char *bytes, size_t length) {
  struct reader reader = {.ctx = ctx, .at = bytes, .end = bytes + length};
  JSValue value;
  bool is_read = read_value(&reader, &value);
  if (is_read && reader.at != reader.end) {
    JS_FreeValue(ctx, value);
    is_read = false;
  }
  for (size_t place = 0; place < SHAPES; place++) js_free_shape_null(ctx->rt, reader.shapes[place]);
  return is_read ? value : JS_ParseJSON(ctx, bytes, length, "scope.json");
}

