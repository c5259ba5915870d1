// The JavaScript guest: QuickJS-NG as a WebAssembly reactor. JSON goes in, JSON comes out.
//
// The host runs `initialize` once and snapshots the memory; every instance starts from that snapshot. It then calls `reserve`,
// writes a text, and calls `compile` or `call`. The guest can reach nothing but the imports below and the clock of WASI.
// What JavaScript can express is in prelude.js; here is only what needs C.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "json.h"
#include "memory.h"
#include "quickjs.h"

// Bytes of the C stack that JavaScript may use; beyond it a call throws RangeError. The linker gives the stack twice of it.
#define JAVASCRIPT_STACK_BYTES_MAX (256 * 1024)

// Memory that may be in use before the first search for cycles, which takes longer than most runs: without cycles, memory is freed
// as soon as nothing refers to it.
#define COLLECT_BYTES (8 * 1024 * 1024)
// Memory that an instance has at hand, so that a small run need not ask the host for more.
#define SPARE_BYTES (512 * 1024)

// Number of the line before the lines of a source. Not 0, which QuickJS takes for 1.
#define HEADER_LINE (-1)

// How a source is compiled.
enum flags { FLAG_STRICT = 1 };

static JSRuntime *runtime;
static JSContext *context;

static const char prelude_source[] = {
#embed "prelude.js" suffix(, 0)
};

// Functions of prelude.js.
static JSValue prelude_invoke, prelude_describe, prelude_seal;

// The compiled functions, by handle.
static JSValue *functions;
static int32_t functions_length, functions_capacity;

// What the last call was given and what it returned. Dropped by the next one: after the only one, nobody needs the memory.
static JSValue last_scope = JS_UNDEFINED, last_value = JS_UNDEFINED;
// The JSON of the last value.
static struct text output;

// The text of the last result, if QuickJS made it and must get it back.
static const char *owned_result;

// --- Functions for prelude.js ---

// native.random(): xorshift64*. Seeded on first use, so that no two instances of one snapshot draw the same numbers.
static JSValue native_random(JSContext *ctx, JSValueConst this_value, int count, JSValueConst *arguments) {
  (void)this_value, (void)count, (void)arguments;
  static uint64_t state;
  while (state == 0) state = host_seed();
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  uint64_t mantissa = (state * 0x2545F4914F6CDD1DULL) >> 11;
  return JS_NewFloat64(ctx, (double)mantissa / 9007199254740992.0); // 2^53
}

// native.log(level, text)
static JSValue native_log(JSContext *ctx, JSValueConst this_value, int count, JSValueConst *arguments) {
  (void)this_value, (void)count;
  int32_t level;
  size_t length;
  if (JS_ToInt32(ctx, &level, arguments[0]) < 0) return JS_EXCEPTION;
  const char *text = JS_ToCStringLen(ctx, &length, arguments[1]);
  if (!text) return JS_EXCEPTION;
  host_log(level, text, length);
  JS_FreeCString(ctx, text);
  return JS_UNDEFINED;
}

// native.fetch(head, body): a body is a string or an ArrayBuffer. Gives [head, ArrayBuffer].
static JSValue native_fetch(JSContext *ctx, JSValueConst this_value, int count, JSValueConst *arguments) {
  (void)this_value, (void)count;
  size_t head_length, body_length;
  const char *head = JS_ToCStringLen(ctx, &head_length, arguments[0]);
  if (!head) return JS_EXCEPTION;
  const char *text = JS_IsString(arguments[1]) ? JS_ToCStringLen(ctx, &body_length, arguments[1]) : NULL;
  const char *body = text ? text : (const char *)JS_GetArrayBuffer(ctx, &body_length, arguments[1]);
  // An empty buffer is at no address.
  int is_readable = body || !JS_HasException(ctx);
  int32_t length = is_readable ? host_fetch(head, head_length, body, body ? body_length : 0) : 0;
  JS_FreeCString(ctx, head);
  if (text) JS_FreeCString(ctx, text);
  if (!is_readable) return JS_EXCEPTION;
  if (length < 0) return JS_ThrowOutOfMemory(ctx);
  // The scope was read from `input` before the call.
  size_t head_end = (size_t)((char *)memchr(input, '\n', (size_t)length) - input);
  JSValue answer = JS_NewArray(ctx);
  if (JS_IsException(answer)) return answer;
  JS_SetPropertyUint32(ctx, answer, 0, JS_NewStringLen(ctx, input, head_end));
  const uint8_t *bytes = (const uint8_t *)input + head_end + 1;
  JS_SetPropertyUint32(ctx, answer, 1, JS_NewArrayBufferCopy(ctx, bytes, (size_t)length - head_end - 1));
  return answer;
}

// native.text(buffer): what is no UTF-8 in it becomes U+FFFD.
static JSValue native_text(JSContext *ctx, JSValueConst this_value, int count, JSValueConst *arguments) {
  (void)this_value, (void)count;
  size_t length;
  const char *bytes = (const char *)JS_GetArrayBuffer(ctx, &length, arguments[0]);
  if (!bytes && JS_HasException(ctx)) return JS_EXCEPTION;
  return JS_NewStringLen(ctx, bytes ? bytes : "", bytes ? length : 0);
}

// --- Results ---

static void drop_result(void) {
  if (owned_result) JS_FreeCString(context, owned_result);
  owned_result = NULL;
}

static enum status fail_without_memory(void) {
  static const char text[] = "{\"name\":\"InternalError\",\"message\":\"out of memory\",\"stack\":\"\"}";
  drop_result();
  set_result(text, sizeof text - 1);
  return STATUS_FAILED;
}

// Makes the string `value` the result. Takes over `value`.
static enum status finish(JSValue value, enum status status) {
  size_t length;
  const char *text = JS_ToCStringLen(context, &length, value);
  JS_FreeValue(context, value);
  if (!text) {
    JS_FreeValue(context, JS_GetException(context));
    return fail_without_memory();
  }
  drop_result();
  owned_result = text;
  set_result(text, length);
  return status;
}

// Makes the pending exception the result: JSON `{ name, message, stack }`.
static enum status fail(void) {
  JSValue exception = JS_GetException(context);
  JSValue text = JS_Call(context, prelude_describe, JS_UNDEFINED, 1, (JSValueConst *)&exception);
  JS_FreeValue(context, exception);
  if (JS_IsException(text)) {
    JS_FreeValue(context, JS_GetException(context));
    return fail_without_memory();
  }
  return finish(text, STATUS_FAILED);
}

// Runs jobs until none is left and replaces a settled promise by its value. Takes over `value`; throws what was rejected.
static JSValue settle(JSValue value) {
  JSContext *job_context;
  int jobs;
  while ((jobs = JS_ExecutePendingJob(runtime, &job_context)) > 0) {
  }
  if (jobs < 0) {
    JS_FreeValue(context, value);
    return JS_EXCEPTION;
  }
  JSPromiseStateEnum state = JS_PromiseState(context, value);
  if (state == JS_PROMISE_NOT_A_PROMISE) return value;
  JSValue settled = JS_UNDEFINED;
  if (state == JS_PROMISE_PENDING) {
    settled = JS_ThrowTypeError(context, "the promise is never settled: nothing is left that could settle it");
  } else {
    settled = JS_PromiseResult(context, value);
    if (state == JS_PROMISE_REJECTED) settled = JS_Throw(context, settled);
  }
  JS_FreeValue(context, value);
  return settled;
}

static JSValue evaluate(const char *source, size_t length, const char *file_name, int first_line, int flags) {
  JSEvalOptions options = {
      .version = JS_EVAL_OPTIONS_VERSION,
      .eval_flags = JS_EVAL_TYPE_GLOBAL | flags,
      .filename = file_name,
      .line_num = first_line,
  };
  return JS_Eval2(context, source, length, &options);
}

// --- What the host calls ---

// Makes the context and runs prelude.js. The host snapshots what this leaves behind.
EXPORT("initialize") void initialize(void) {
  runtime = JS_NewRuntime();
  JS_SetMaxStackSize(runtime, JAVASCRIPT_STACK_BYTES_MAX);
  context = JS_NewContext(runtime);
  JSValue native = JS_NewObject(context);
  JS_SetPropertyStr(context, native, "random", JS_NewCFunction(context, native_random, "random", 0));
  JS_SetPropertyStr(context, native, "log", JS_NewCFunction(context, native_log, "log", 2));
  JS_SetPropertyStr(context, native, "fetch", JS_NewCFunction(context, native_fetch, "fetch", 2));
  JS_SetPropertyStr(context, native, "text", JS_NewCFunction(context, native_text, "text", 1));
  JSValue prelude = evaluate(prelude_source, sizeof prelude_source - 1, "prelude.js", 1, JS_EVAL_FLAG_STRICT);
  JSValue exports = JS_Call(context, prelude, JS_UNDEFINED, 1, (JSValueConst *)&native);
  if (JS_IsException(exports)) abort();
  prelude_invoke = JS_GetPropertyStr(context, exports, "invoke");
  prelude_describe = JS_GetPropertyStr(context, exports, "describe");
  prelude_seal = JS_GetPropertyStr(context, exports, "seal");
  JS_FreeValue(context, exports);
  JS_FreeValue(context, prelude);
  JS_FreeValue(context, native);
  JS_RunGC(runtime);
  JS_SetGCThreshold(runtime, COLLECT_BYTES);
  memory_reserve(SPARE_BYTES);
}

// Compiles the text of `length` bytes, a function expression. Its first line counts as HEADER_LINE: the third is line 1.
// Returns its handle, or -1 with a result.
EXPORT("compile") int32_t compile(size_t length, enum flags flags) {
  input[length] = '\0';
  if (functions_length == functions_capacity) {
    int32_t capacity = functions_capacity ? 2 * functions_capacity : 8;
    JSValue *grown = realloc(functions, sizeof(JSValue) * (size_t)capacity);
    if (!grown) {
      fail_without_memory();
      return -1;
    }
    functions = grown;
    functions_capacity = capacity;
  }
  JSValue function = evaluate(input, length, "code.js", HEADER_LINE, flags & FLAG_STRICT ? JS_EVAL_FLAG_STRICT : 0);
  if (JS_IsException(function)) {
    fail();
    return -1;
  }
  functions[functions_length] = function;
  return functions_length++;
}

// Calls a compiled function over the scope, which is the JSON text of `length` bytes. The result is JSON.
EXPORT("call") enum status call(int32_t handle, size_t length) {
  input[length] = '\0';
  if (handle < 0 || handle >= functions_length) abort();
  JS_FreeValue(context, last_value);
  JS_FreeValue(context, last_scope);
  last_value = JS_UNDEFINED;
  last_scope = json_read(context, input, length);
  if (JS_IsException(last_scope)) return fail();
  JSValueConst arguments[2] = {functions[handle], last_scope};
  last_value = settle(JS_Call(context, prelude_invoke, JS_UNDEFINED, 2, arguments));
  if (JS_IsException(last_value) || !json_write(context, last_value, &output)) return fail();
  drop_result();
  set_result(output.bytes, output.length);
  return STATUS_OK;
}

// Freezes the global object and the built-in ones, so that one expression cannot change what a later one sees.
EXPORT("seal") enum status seal(void) {
  JSValue sealed = JS_Call(context, prelude_seal, JS_UNDEFINED, 0, NULL);
  if (JS_IsException(sealed)) return fail();
  JS_FreeValue(context, sealed);
  return STATUS_OK;
}
