// The writing half of json.c.

// Objects and arrays inside of each other that are written here.
#define DEPTH_MAX 100
// Characters of a string that are written at once, and bytes that one may take: `\u001f`.
#define CHUNK 1024
#define CHARACTER_BYTES_MAX 6

// What is written, and whether the prototypes of plain objects and arrays are as they were.
struct writer {
  JSContext *ctx;
  struct text *text;
  JSObject *object_prototype, *array_prototype;
};

static bool write_value(struct writer *writer, JSValueConst value, int depth);

static bool reserve_bytes(struct text *text, size_t more) {
  if (more <= text->capacity - text->length) return true;
  size_t capacity = 2 * text->capacity > text->length + more ? 2 * text->capacity : text->length + more + CHUNK;
  char *grown = realloc(text->bytes, capacity);
  if (!grown) return false;
  text->bytes = grown;
  text->capacity = capacity;
  return true;
}

static bool append(struct text *text, const char *bytes, size_t length) {
  if (!reserve_bytes(text, length)) return false;
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
  return true;
}

// Writes one character that is not plain. There is room for it.
static char *put_character(char *to, uint32_t c) {
  static const char ESCAPED[] = "\b\f\n\r\t\"\\", NAMES[] = "bfnrt\"\\", DIGITS[] = "0123456789abcdef";
  const char *known = c && c < 0x80 ? strchr(ESCAPED, (int)c) : NULL;
  if (known) {
    *to++ = '\\';
    *to++ = NAMES[known - ESCAPED];
  } else if (c < 0x20 || is_surrogate(c)) {
    *to++ = '\\';
    *to++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4) *to++ = DIGITS[c >> shift & 15];
  } else {
    to += utf8_encode((uint8_t *)to, c);
  }
  return to;
}

static bool write_string(struct text *text, JSString *string) {
  uint32_t length = string->len;
  if (!append(text, "\"", 1)) return false;
  for (int at = 0; at < (int)length;) {
    int end = min_int((int)length, at + CHUNK);
    // One more for the second half of a pair at the end.
    if (!reserve_bytes(text, (size_t)(end - at + 1) * CHARACTER_BYTES_MAX)) return false;
    char *to = text->bytes + text->length;
    if (string->is_wide_char) {
      while (at < end) {
        uint32_t c = (uint32_t)string_getc(string, &at);
        if (c < 0x80 && is_plain((uint8_t)c)) *to++ = (char)c;
        else to = put_character(to, c);
      }
    } else {
      const uint8_t *bytes = str8(string);
      for (; at < end; at++) {
        if (is_plain(bytes[at])) *to++ = (char)bytes[at];
        else to = put_character(to, bytes[at]);
      }
    }
    text->length = (size_t)(to - text->bytes);
  }
  return append(text, "\"", 1);
}

static bool write_number(struct text *text, double number) {
  if (!isfinite(number)) return append(text, "null", 4);
  if (!reserve_bytes(text, NUMBER_BYTES_MAX)) return false;
  text->length += number_write(text->bytes + text->length, number);
  return true;
}

// The name of a property, unless it is a symbol or a number: numbers come first, whatever the order of the properties.
static JSString *plain_name(JSContext *ctx, JSAtom atom) {
  if (__JS_AtomIsTaggedInt(atom)) return NULL;
  JSString *name = ctx->rt->atom_array[atom];
  if (name->atom_type != JS_ATOM_TYPE_STRING) return NULL;
  bool is_number = name->len > 0 && !name->is_wide_char && is_digit(str8(name)[0]);
  return is_number ? NULL : name;
}

static bool write_object(struct writer *writer, JSObject *object, int depth) {
  JSShape *shape = object->shape;
  if (object->is_exotic || (shape->proto && shape->proto != writer->object_prototype)) return false;
  struct text *text = writer->text;
  JSShapeProperty *property = get_shape_prop(shape);
  bool is_first = true;
  if (!append(text, "{", 1)) return false;
  for (int index = 0; index < shape->prop_count; index++, property++) {
    if (property->atom == JS_ATOM_NULL) continue;
    if (property->atom == JS_ATOM_toJSON || (property->flags & JS_PROP_TMASK) != JS_PROP_NORMAL) return false;
    JSString *name = plain_name(writer->ctx, property->atom);
    if (!name) return false;
    JSValue value = object->prop[index].u.value;
    if (!(property->flags & JS_PROP_ENUMERABLE) || JS_IsUndefined(value)) continue;
    if (!is_first && !append(text, ",", 1)) return false;
    is_first = false;
    if (!write_string(text, name) || !append(text, ":", 1) || !write_value(writer, value, depth)) return false;
  }
  return append(text, "}", 1);
}

static bool write_array(struct writer *writer, JSObject *array, int depth) {
  // Of this shape, it has no properties of its own, and the prototype of arrays.
  if (array->shape != writer->ctx->array_shape || !array->fast_array) return false;
  uint32_t length = array->u.array.count;
  JSValue known = array->prop[0].u.value;
  if (JS_VALUE_GET_TAG(known) != JS_TAG_INT || (uint32_t)JS_VALUE_GET_INT(known) != length) return false;
  if (!append(writer->text, "[", 1)) return false;
  for (uint32_t index = 0; index < length; index++) {
    if (index > 0 && !append(writer->text, ",", 1)) return false;
    JSValue value = array->u.array.u.values[index];
    if (!write_value(writer, JS_IsUndefined(value) ? JS_NULL : value, depth)) return false;
  }
  return append(writer->text, "]", 1);
}

static bool write_rope(struct writer *writer, JSValueConst rope) {
  JSValue string = js_linearize_string_rope(writer->ctx, rope);
  bool is_written = made(string) && write_string(writer->text, JS_VALUE_GET_STRING(string));
  JS_FreeValue(writer->ctx, string);
  return is_written;
}

static bool write_value(struct writer *writer, JSValueConst value, int depth) {
  struct text *text = writer->text;
  switch (JS_VALUE_GET_NORM_TAG(value)) {
  case JS_TAG_STRING: return write_string(text, JS_VALUE_GET_STRING(value));
  case JS_TAG_STRING_ROPE: return write_rope(writer, value);
  case JS_TAG_INT: return write_number(text, JS_VALUE_GET_INT(value));
  case JS_TAG_FLOAT64: return write_number(text, JS_VALUE_GET_FLOAT64(value));
  case JS_TAG_BOOL: return JS_VALUE_GET_BOOL(value) ? append(text, "true", 4) : append(text, "false", 5);
  case JS_TAG_NULL: return append(text, "null", 4);
  case JS_TAG_OBJECT: {
    JSObject *object = JS_VALUE_GET_OBJ(value);
    if (depth == 0) return false; // Perhaps a cycle.
    if (object->class_id == JS_CLASS_ARRAY) return write_array(writer, object, depth - 1);
    return object->class_id == JS_CLASS_OBJECT && write_object(writer, object, depth - 1);
  }
  default: return false;
  }
}

// Whether nobody has given plain objects and arrays a `toJSON`.
static bool has_plain_prototypes(struct writer *writer) {
  JSObject *objects = writer->object_prototype, *arrays = writer->array_prototype;
  return arrays->shape->proto == objects && !find_own_property1(objects, JS_ATOM_toJSON) &&
         !find_own_property1(arrays, JS_ATOM_toJSON);
}

bool json_write(JSContext *ctx, JSValueConst value, struct text *text) {
  struct writer writer = {
      .ctx = ctx,
      .text = text,
      .object_prototype = JS_VALUE_GET_OBJ(ctx->class_proto[JS_CLASS_OBJECT]),
      .array_prototype = JS_VALUE_GET_OBJ(ctx->class_proto[JS_CLASS_ARRAY]),
  };
  text->length = 0;
  if (has_plain_prototypes(&writer) && write_value(&writer, value, DEPTH_MAX)) return true;
  JSValue json = JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED);
  if (!made(json)) return false;
  text->length = 0;
  size_t length = 4;
  const char *bytes = JS_IsUndefined(json) ? NULL : JS_ToCStringLen(ctx, &length, json);
  bool is_written = (bytes || JS_IsUndefined(json)) && append(text, bytes ? bytes : "null", length);
  if (bytes) JS_FreeCString(ctx, bytes);
  JS_FreeValue(ctx, json);
  if (!is_written && !JS_HasException(ctx)) JS_ThrowOutOfMemory(ctx);
  return is_written;
}
