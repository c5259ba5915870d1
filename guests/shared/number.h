// Numbers as text, for JSON: exact like those of the C library, and faster, since that computes with numbers of 128 bits.

#pragma once

#include <stddef.h>

// Bytes that a number may take as text.
#define NUMBER_BYTES_MAX 40

// The double that is nearest to the JSON number at `text`, which ends with something else; `*end` is set to what is behind it.
// NULL is set where there is no number.
double number_read(const char *text, const char **end);

// Writes a finite number in the shortest form that reads back as the same double, as JavaScript does. Returns its length; there is
// no NUL behind it.
size_t number_write(char *to, double number);
