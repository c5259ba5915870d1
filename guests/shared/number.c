// Numbers as text: see number.h. What few digits can say is done here; the rest is dtoa.c's of QuickJS.

#include "number.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "dtoa.h"

// Digits of a number that a double holds exactly, whatever they are.
#define DIGITS_MAX 15
static const double WHOLE_MAX = 1e15;
// Digits behind the point that `put_decimal` looks for.
#define SCALE_MAX 6
// Below it, JavaScript writes an exponent.
static const double DECIMAL_MIN = 1e-6;

static const double POWERS_OF_TEN[DIGITS_MAX + 1] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                     1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes digits into `*value`, which wraps where there are too many to be used.
static const char *read_digits(const char *at, uint64_t *value) {
  while (is_digit(*at)) *value = 10 * *value + (uint64_t)(*at++ - '0');
  return at;
}

double number_read(const char *text, const char **end) {
  bool is_negative = *text == '-';
  const char *first = text + is_negative;
  uint64_t digits = 0;
  const char *at = read_digits(first, &digits);
  ptrdiff_t count = at - first, scale = 0;
  *end = NULL;
  if (count == 0 || (*first == '0' && count > 1)) return 0;
  if (*at == '.') {
    const char *fraction = at + 1;
    at = read_digits(fraction, &digits);
    scale = at - fraction;
    count += scale;
    if (scale == 0) return 0;
  }
  bool has_exponent = *at == 'e' || *at == 'E';
  if (has_exponent) {
    const char *exponent = at + 1;
    if (*exponent == '+' || *exponent == '-') exponent++;
    if (!is_digit(*exponent)) return 0;
  }
  if (count <= DIGITS_MAX && !has_exponent) {
    *end = at;
    // Both are exact, so that the quotient is the double that is nearest to the number.
    double value = (double)digits / POWERS_OF_TEN[scale];
    return is_negative ? -value : value;
  }
  JSATODTempMem memory;
  return js_atod(text, end, 10, 0, &memory);
}

// Writes a number with few digits behind its point, like a price. Returns 0 if it is none of those.
//
// At most 15 digits that stand for the same double are the only ones that do, and so they are the shortest.
static size_t put_decimal(char *to, double number) {
  double magnitude = fabs(number);
  if (magnitude < DECIMAL_MIN && magnitude != 0) return 0;
  for (int scale = 0; scale <= SCALE_MAX; scale++) {
    double whole = nearbyint(magnitude * POWERS_OF_TEN[scale]);
    if (!(whole < WHOLE_MAX)) return 0;
    if (whole / POWERS_OF_TEN[scale] != magnitude) continue;
    uint64_t digits = (uint64_t)whole, power = (uint64_t)POWERS_OF_TEN[scale];
    char *start = to;
    if (number < 0) *to++ = '-';
    to += u64toa(to, digits / power);
    if (scale == 0) return (size_t)(to - start);
    *to++ = '.';
    uint32_t fraction = (uint32_t)(digits % power);
    for (int at = scale - 1; at >= 0; at--, fraction /= 10) to[at] = (char)('0' + fraction % 10);
    return (size_t)(to + scale - start);
  }
  return 0;
}

size_t number_write(char *to, double number) {
  size_t length = put_decimal(to, number);
  if (length > 0) return length;
  JSDTOATempMem memory;
  return (size_t)js_dtoa(to, number, 10, 0, JS_DTOA_FORMAT_FREE, &memory);
}
