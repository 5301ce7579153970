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

static inline float sum_of(floats values) {
  float sum = 0;
  for (int lane = 0; lane < LANES; lane++) sum += values[lane];
  return sum;
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
