// What memory.c has besides what the C library has.

#pragma once

#include <stdbool.h>
#include <stddef.h>

// Has so many bytes at hand, so that what takes no more need not ask the host for memory. False if there is none.
bool memory_reserve(size_t bytes);
