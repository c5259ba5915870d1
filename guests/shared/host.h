// The host as the guests see it that are written in C: what they import of it, and the texts that go between them.

#pragma once

#include <stddef.h>
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("citadel"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

// The host's list of levels.
enum level { LEVEL_DEBUG = 0, LEVEL_INFO = 1, LEVEL_WARN = 2, LEVEL_ERROR = 3 };

// What a call of the host's ends with: the result is what was asked for, or what was thrown.
enum status { STATUS_OK = 0, STATUS_FAILED = 1 };

// Takes one line of console output.
IMPORT("log") void host_log(int32_t level, const char *text, size_t length);
// Gives 64 random bits.
IMPORT("seed") uint64_t host_seed(void);
// Sends an HTTP request and waits. A head is JSON: `{ url, method?, headers? }` asks, `{ url, status, ok, headers }` or `{ error }`
// answers. The answer is then in `input`: its head, a newline, its body. Returns its length; -1 without memory.
IMPORT("fetch") int32_t host_fetch(const char *head, size_t head_length, const char *body, size_t body_length);

// The text that the host wrote last, with room for a NUL behind it.
extern char *input;

// Says what the result of the call is. The text has to stay until the next one.
void set_result(const char *text, size_t length);
