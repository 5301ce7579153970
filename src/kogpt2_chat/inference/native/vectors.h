// Vectors of 16 floats, written with the compiler's vector types: it maps them to whatever registers the target has.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16 };
typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));

static inline floats load_floats(const float *from) {
  floats found;
  memcpy(&found, from, sizeof found);
  return found;
}

static inline void store_floats(float *to, floats values) { memcpy(to, &values, sizeof values); }

static inline floats all_lanes(float value) { return value - (floats){0}; }

static inline floats select_floats(ints condition, floats yes, floats no) {
  return (floats)((condition & (ints)yes) | (~condition & (ints)no));
}

static inline floats larger(floats a, floats b) { return select_floats(a > b, a, b); }

// The order of the additions is the same on every processor.
static inline float sum_of(floats values) {
  typedef float eight __attribute__((vector_size(8 * sizeof(float))));
  typedef float four __attribute__((vector_size(4 * sizeof(float))));
  eight halves = __builtin_shufflevector(values, values, 0, 1, 2, 3, 4, 5, 6, 7) +
                 __builtin_shufflevector(values, values, 8, 9, 10, 11, 12, 13, 14, 15);
  four quarters = __builtin_shufflevector(halves, halves, 0, 1, 2, 3) + __builtin_shufflevector(halves, halves, 4, 5, 6, 7);
  return (quarters[0] + quarters[2]) + (quarters[1] + quarters[3]);
}

static inline float largest_of(floats values) {
  float largest = values[0];
  for (int lane = 1; lane < LANES; lane++) largest = values[lane] > largest ? values[lane] : largest;
  return largest;
}

// e to the power of each lane: a power of two times a polynomial of the rest, within 2 units in the last place of the
// result between -87 and 88; beyond these bounds, the value at the bound (so that -inf gives about 1e-38).
static inline floats exp_floats(floats x) {
  x = larger(x, all_lanes(-87.0f));
  x = -larger(-x, all_lanes(-88.0f));
  floats scaled = x * 1.44269504088896341f;
  ints nearest = __builtin_convertvector(scaled + select_floats(scaled < 0, all_lanes(-0.5f), all_lanes(0.5f)), ints);
  floats whole = __builtin_convertvector(nearest, floats);
  floats rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  floats series = all_lanes(1.9875691500e-4f);
  series = series * rest + 1.3981999507e-3f;
  series = series * rest + 8.3334519073e-3f;
  series = series * rest + 4.1665795894e-2f;
  series = series * rest + 1.6666665459e-1f;
  series = series * rest + 5.0000001201e-1f;
  series = series * rest * rest + rest + 1.0f;
  return series * (floats)((nearest + 127) << 23);
}
