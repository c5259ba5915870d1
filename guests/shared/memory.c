// Memory of the guests: malloc and its relatives, in the place of the C library's.
//
// Every page that an instance writes to is restored when the instance ends, and every growth of its memory is a system call. So
// chunks lie close to each other, freed ones are joined and used again first, and the memory has room when an instance begins.
// (The C library takes powers of two, and 64 KiB for each of them.)

#include "memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// What addresses that are given out are a multiple of, and sizes of chunks.
#define UNIT 16
// Bytes before the address that is given out.
#define HEADER_BYTES offsetof(struct chunk, next)
// Largest request in bytes.
#define REQUEST_MAX ((size_t)1 << 30)
#define WASM_PAGE 65536
// Bytes that the memory grows by, if it may.
#define GROWTH (1024 * 1024)
// Free chunks of up to this many units are kept by their size; larger ones by the power of two, in halves.
#define SMALL_UNITS 63
#define LARGE_BINS 64
// Large chunks of one bin that are looked at.
#define LOOKS_MAX 16

// A piece of memory, in use or free. `before` is the size of the piece before it, 0 if there is none.
struct chunk {
  uint32_t before;
  uint32_t size : 31, is_free : 1;
  // While it is free: others of its bin.
  struct chunk *next, *previous;
};

static_assert(sizeof(struct chunk) == UNIT && HEADER_BYTES == UNIT / 2);

extern unsigned char __heap_base;

static struct chunk *small[SMALL_UNITS + 1], *large[LARGE_BINS];
// Which bins have chunks.
static uint64_t small_bins, large_bins;
// The chunk behind all others, which has no size: it ends with the memory.
static struct chunk *top;
static uintptr_t end;

static struct chunk *behind(struct chunk *chunk) { return (struct chunk *)((char *)chunk + chunk->size); }
static struct chunk *before(struct chunk *chunk) { return (struct chunk *)((char *)chunk - chunk->before); }
static void *address_of(struct chunk *chunk) { return (char *)chunk + HEADER_BYTES; }
static struct chunk *chunk_of(void *address) { return (struct chunk *)((char *)address - HEADER_BYTES); }

// The bin of large chunks: two for each power of two.
static int large_bin(uint32_t size) {
  int power = 31 - __builtin_clz(size);
  return 2 * power + (size >> (power - 1) & 1);
}

static struct chunk **bin_of(uint32_t size, uint64_t **bins, int *bin) {
  bool is_small = size / UNIT <= SMALL_UNITS;
  *bin = is_small ? (int)(size / UNIT) : large_bin(size);
  *bins = is_small ? &small_bins : &large_bins;
  return is_small ? &small[*bin] : &large[*bin];
}

static void put_in_bin(struct chunk *chunk) {
  uint64_t *bins;
  int bin;
  struct chunk **first = bin_of(chunk->size, &bins, &bin);
  *bins |= 1ULL << bin;
  chunk->is_free = 1;
  chunk->previous = NULL;
  chunk->next = *first;
  if (*first) (*first)->previous = chunk;
  *first = chunk;
}

static void take_from_bin(struct chunk *chunk) {
  uint64_t *bins;
  int bin;
  struct chunk **first = bin_of(chunk->size, &bins, &bin);
  if (chunk->previous) chunk->previous->next = chunk->next;
  else *first = chunk->next;
  if (chunk->next) chunk->next->previous = chunk->previous;
  if (!*first) *bins &= ~(1ULL << bin);
  chunk->is_free = 0;
}

// A chunk of the first bin from this one on that has any; NULL if none has.
static struct chunk *first_from(struct chunk **bins_of, uint64_t bins, int bin) {
  uint64_t later = bin < 64 ? bins >> bin : 0;
  return later ? bins_of[bin + __builtin_ctzll(later)] : NULL;
}

static struct chunk *find_free(uint32_t size) {
  if (size / UNIT <= SMALL_UNITS) {
    struct chunk *found = first_from(small, small_bins, (int)(size / UNIT));
    return found ? found : first_from(large, large_bins, 0);
  }
  int looks = 0, bin = large_bin(size);
  for (struct chunk *chunk = large[bin]; chunk && looks < LOOKS_MAX; chunk = chunk->next, looks++) {
    if (chunk->size >= size) return chunk;
  }
  return first_from(large, large_bins, bin + 1);
}

static bool grow(size_t bytes) {
  size_t pages = (bytes + WASM_PAGE - 1) / WASM_PAGE;
  size_t before_growth = __builtin_wasm_memory_grow(0, pages);
  if (before_growth == SIZE_MAX) return false;
  end = (before_growth + pages) * WASM_PAGE;
  return true;
}

static void start(void) {
  // So that what is behind the header is a multiple of the unit.
  uintptr_t base = ((uintptr_t)&__heap_base + HEADER_BYTES + UNIT - 1) / UNIT * UNIT - HEADER_BYTES;
  top = (struct chunk *)base;
  end = __builtin_wasm_memory_size(0) * WASM_PAGE;
}

bool memory_reserve(size_t bytes) {
  if (!top) start();
  // One unit for the header of what is the top then.
  size_t room = end - (uintptr_t)top, wanted = bytes + UNIT;
  return wanted <= room || grow(wanted - room > GROWTH ? wanted - room : GROWTH) || grow(wanted - room);
}

// Begins the top behind what is now the last chunk.
static void move_top(struct chunk *last) {
  top = behind(last);
  top->before = last->size;
}

static struct chunk *take_from_top(uint32_t size) {
  if (!memory_reserve(size)) return NULL;
  struct chunk *chunk = top;
  chunk->size = size;
  chunk->is_free = 0;
  move_top(chunk);
  return chunk;
}

// Gives back what is behind the first `size` bytes of a chunk in use.
static void cut(struct chunk *chunk, uint32_t size) {
  uint32_t rest = chunk->size - size;
  if (rest == 0) return;
  struct chunk *next = behind(chunk);
  if (next != top && next->is_free) {
    rest += next->size;
    take_from_bin(next);
  }
  chunk->size = size;
  if (next == top) {
    move_top(chunk);
    return;
  }
  struct chunk *cut_off = behind(chunk);
  cut_off->before = size;
  cut_off->size = rest;
  put_in_bin(cut_off);
  behind(cut_off)->before = rest;
}

// The size of the chunk for a request; 0 for one that is too large.
static uint32_t size_for(size_t request) {
  if (request > REQUEST_MAX) return 0;
  return (uint32_t)((request + HEADER_BYTES + UNIT - 1) / UNIT * UNIT);
}

static void *no_memory(void) {
  errno = ENOMEM;
  return NULL;
}

void *malloc(size_t request) {
  uint32_t size = size_for(request);
  if (size == 0) return no_memory();
  struct chunk *chunk = find_free(size);
  if (chunk) {
    take_from_bin(chunk);
    cut(chunk, size);
  } else {
    chunk = take_from_top(size);
  }
  return chunk ? address_of(chunk) : no_memory();
}

void free(void *address) {
  if (!address) return;
  struct chunk *chunk = chunk_of(address), *next = behind(chunk);
  struct chunk *previous = chunk->before ? before(chunk) : NULL;
  if (previous && previous->is_free) {
    take_from_bin(previous);
    previous->size += chunk->size;
    chunk = previous;
  }
  if (next == top) {
    top = chunk;
    return;
  }
  if (next->is_free) {
    take_from_bin(next);
    chunk->size += next->size;
  }
  behind(chunk)->before = chunk->size;
  put_in_bin(chunk);
}

// Makes a chunk larger where it is.
static bool extend(struct chunk *chunk, uint32_t size) {
  struct chunk *next = behind(chunk);
  if (next == top) {
    if (!memory_reserve(size - chunk->size)) return false;
    chunk->size = size;
    move_top(chunk);
    return true;
  }
  if (!next->is_free || chunk->size + next->size < size) return false;
  take_from_bin(next);
  chunk->size += next->size;
  behind(chunk)->before = chunk->size;
  cut(chunk, size);
  return true;
}

void *realloc(void *address, size_t request) {
  if (!address) return malloc(request);
  uint32_t size = size_for(request);
  if (size == 0) return no_memory();
  struct chunk *chunk = chunk_of(address);
  if (size <= chunk->size) {
    cut(chunk, size);
    return address;
  }
  if (extend(chunk, size)) return address;
  void *moved = malloc(request);
  if (!moved) return NULL;
  memcpy(moved, address, chunk->size - HEADER_BYTES);
  free(address);
  return moved;
}

void *calloc(size_t count, size_t bytes) {
  size_t request;
  if (__builtin_mul_overflow(count, bytes, &request)) return no_memory();
  void *address = malloc(request);
  if (address) memset(address, 0, request);
  return address;
}

// Not in any header of WASI's; QuickJS asks for it.
size_t malloc_usable_size(void *address);
size_t malloc_usable_size(void *address) { return address ? chunk_of(address)->size - HEADER_BYTES : 0; }
