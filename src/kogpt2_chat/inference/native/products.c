#include "products.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "vectors.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { INT8_LARGEST = 127, INT8_OFFSET = 128, HUGE_PAGE = 2 << 20 };

static int groups_of(const matrix *m) { return (m->in + GROUP - 1) / GROUP; }

int matrix_panels(const matrix *m) { return (m->out + PANEL - 1) / PANEL; }

static int64_t panel_bytes(const matrix *m) { return (int64_t)groups_of(m) * PANEL * GROUP; }

int64_t rounded_bytes(const matrix *m) { return (int64_t)groups_of(m) * GROUP * (m->int8 ? 1 : sizeof(int16_t)); }

static void *zeros(int64_t bytes) {
  bytes = (bytes + 63) / 64 * 64;
  void *made = aligned_alloc(64, bytes);
  if (made) memset(made, 0, bytes);
  return made;
}

// Where the weight of an output and an input is stored in its panel.
static int64_t place(int output, int input) { return ((int64_t)input / GROUP * PANEL + output) * GROUP + input % GROUP; }

static void pack_panel(matrix *m, int panel, const float *weights, int64_t row_step, int64_t step) {
  int outputs = m->out - panel * PANEL < PANEL ? m->out - panel * PANEL : PANEL;
  const float *first = weights + panel * PANEL * row_step;
  int8_t *stored = m->panels + panel * panel_bytes(m);
  float largest[PANEL] = {0};
  for (int input = 0; input < m->in; input++)
    for (int lane = 0; lane < outputs; lane++)
      largest[lane] = fmaxf(largest[lane], fabsf(first[lane * row_step + input * step]));
  for (int lane = 0; lane < outputs; lane++)
    m->scales[panel * PANEL + lane] = largest[lane] = largest[lane] > 0 ? largest[lane] / INT8_LARGEST : 1;
  for (int input = 0; input < m->in; input++)
    for (int lane = 0; lane < outputs; lane++) {
      int8_t weight = (int8_t)rintf(first[lane * row_step + input * step] / largest[lane]);
      stored[place(lane, input)] = weight;
      if (m->int8) m->offsets[panel * PANEL + lane] += INT8_OFFSET * weight;
    }
}

// Space for a matrix whose sizes are set, filled with zeros. 0: no memory.
static int make_space(matrix *m, int with_bias) {
  int panels = matrix_panels(m);
  int64_t bytes = (panels * panel_bytes(m) + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
  m->panels = aligned_alloc(HUGE_PAGE, bytes);
  m->scales = zeros(panels * PANEL * sizeof(float));
  m->offsets = zeros(panels * PANEL * sizeof(int32_t));
  m->bias = with_bias ? zeros(panels * PANEL * sizeof(float)) : NULL;
  if (!m->panels || !m->scales || !m->offsets || (with_bias && !m->bias)) return matrix_free(m), 0;
#ifdef MADV_HUGEPAGE
  madvise(m->panels, bytes, MADV_HUGEPAGE);  // a pass reads every weight once: fewer misses of the address cache
#endif
  memset(m->panels, 0, bytes);
  return 1;
}

int matrix_pack(matrix *m, const float *weights, const float *bias, int out, int in, int transposed, int int8) {
  *m = (matrix){.out = out, .in = in, .int8 = int8 && HAS_INT8};
  int64_t limit = m->int8 ? INT8_LARGEST : INT32_MAX / INT8_LARGEST / in;
  m->level = limit < INT16_MAX ? (int)limit : INT16_MAX;
  if (!make_space(m, bias != NULL)) return 0;
  if (bias) memcpy(m->bias, bias, out * sizeof *bias);
  for (int panel = 0; panel < matrix_panels(m); panel++)
    pack_panel(m, panel, weights, transposed ? 1 : in, transposed ? out : 1);
  return 1;
}

int matrix_select(matrix *m, const matrix *from, const int32_t *outputs, int count) {
  *m = (matrix){.out = count, .in = from->in, .int8 = from->int8, .level = from->level};
  if (!make_space(m, 0)) return 0;
  for (int number = 0; number < count; number++) {
    const int8_t *read = from->panels + outputs[number] / PANEL * panel_bytes(m);
    int8_t *written = m->panels + number / PANEL * panel_bytes(m);
    for (int input = 0; input < m->in; input++)
      written[place(number % PANEL, input)] = read[place(outputs[number] % PANEL, input)];
    m->scales[number] = from->scales[outputs[number]];
    m->offsets[number] = from->offsets[outputs[number]];
  }
  return 1;
}

void matrix_free(matrix *m) {
  free(m->panels), free(m->scales), free(m->offsets), free(m->bias);
  *m = (matrix){0};
}

void matrix_row(const matrix *m, int output, float *row) {
  const int8_t *stored = m->panels + output / PANEL * panel_bytes(m);
  for (int input = 0; input < m->in; input++) row[input] = stored[place(output % PANEL, input)] * m->scales[output];
}

float round_row(const matrix *m, const float *row, void *rounded) {
  int input = 0, whole = m->in / LANES * LANES;
  floats magnitudes = {0};
  for (; input < whole; input += LANES) {
    floats values = load_floats(row + input);
    magnitudes = larger(magnitudes, larger(values, -values));
  }
  float largest = largest_of(magnitudes);
  for (; input < m->in; input++) largest = fmaxf(largest, fabsf(row[input]));
  float factor = largest > 0 && isfinite(largest) ? m->level / largest : 0;
  if (m->int8) {
    uint8_t *bytes = rounded;
    for (input = 0; input < m->in; input++) bytes[input] = (uint8_t)((int)rintf(row[input] * factor) + INT8_OFFSET);
    for (; input < groups_of(m) * GROUP; input++) bytes[input] = 0;
  } else {
    int16_t *shorts = rounded;
    for (input = 0; input < m->in; input++) shorts[input] = (int16_t)rintf(row[input] * factor);
    for (; input < groups_of(m) * GROUP; input++) shorts[input] = 0;
  }
  return isfinite(largest) ? largest / m->level : NAN;  // a row that is not finite has no finite result
}

// How the products of one group of inputs are added, with the registers of the target. A panel's sums are in one or more
// vectors; `outputs_of` brings them into the order of the outputs.
enum { MOST_ROWS = 6, MOST_PANELS = 4 };
#if defined(__AVX512BW__)
typedef __m512i vector;
#define SAME_GROUP(from) _mm512_set1_epi64(*(const int64_t *)(from))
#define SAME_WORD(from) _mm512_set1_epi32(*(const int32_t *)(from))
#define WIDEN(from) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(from)))
#define LOAD(from) _mm512_loadu_si512(from)
#if defined(__AVX512VNNI__)
#define ADD_SHORTS(sum, row, weights) _mm512_dpwssd_epi32(sum, row, weights)
#define ADD_BYTES(sum, row, weights) _mm512_dpbusd_epi32(sum, row, weights)
#else
#define ADD_SHORTS(sum, row, weights) _mm512_add_epi32(sum, _mm512_madd_epi16(row, weights))
#endif
#elif defined(__AVX2__)
typedef __m256i vector;
#define SAME_GROUP(from) _mm256_set1_epi64x(*(const int64_t *)(from))
#define SAME_WORD(from) _mm256_set1_epi32(*(const int32_t *)(from))
#define WIDEN(from) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(from)))
#define LOAD(from) _mm256_loadu_si256((const __m256i *)(from))
#if defined(__AVXVNNI__)
#define ADD_SHORTS(sum, row, weights) _mm256_dpwssd_avx_epi32(sum, row, weights)
#define ADD_BYTES(sum, row, weights) _mm256_dpbusd_avx_epi32(sum, row, weights)
#else
#define ADD_SHORTS(sum, row, weights) _mm256_add_epi32(sum, _mm256_madd_epi16(row, weights))
#endif
#else
// Any processor: a vector has the low, or the high, input of each output's group.
typedef ints vector;
#endif

#if defined(__AVX2__)
enum {
  BYTES_A_VECTOR = sizeof(vector),
  INT16_VECTORS = PANEL * GROUP * 2 / BYTES_A_VECTOR,  // of a panel's sums
  INT8_VECTORS = PANEL * GROUP / BYTES_A_VECTOR,
};
#else
enum { INT16_VECTORS = 1, INT8_VECTORS = 1 };
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE ints outputs_of(const vector *sums, const int int8) {
  ints found;
  if (int8 || GROUP == 2) {
    memcpy(&found, sums, sizeof found);
  } else {  // two sums an output, side by side
    ints low, high;
    memcpy(&low, sums, sizeof low);
    memcpy(&high, (const char *)sums + sizeof low, sizeof high);
    found = __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
            __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  }
  return found;
}

#if defined(__AVX2__)
INLINE void add_group(const int rows, const int panels, const int int8, vector *sums, const char *row, int64_t row_bytes,
                      const int8_t *stored, int64_t panel_step) {
  const int per_panel = int8 ? INT8_VECTORS : INT16_VECTORS, vectors = panels * per_panel;
  const int bytes = int8 ? BYTES_A_VECTOR : BYTES_A_VECTOR / 2;
  vector weights[MOST_PANELS * INT16_VECTORS];
#pragma GCC unroll 16
  for (int number = 0; number < vectors; number++) {
    const int8_t *from = stored + number / per_panel * panel_step + number % per_panel * bytes;
    weights[number] = int8 ? LOAD(from) : WIDEN(from);
  }
#pragma GCC unroll 8
  for (int number = 0; number < rows; number++) {
    const char *from = row + number * row_bytes;
    vector same = int8 || GROUP == 2 ? SAME_WORD(from) : SAME_GROUP(from);
#pragma GCC unroll 16
    for (int part = 0; part < vectors; part++) {
      vector *sum = &sums[number * vectors + part];
#if HAS_INT8
      *sum = int8 ? ADD_BYTES(*sum, same, weights[part]) : ADD_SHORTS(*sum, same, weights[part]);
#else
      *sum = ADD_SHORTS(*sum, same, weights[part]);
#endif
    }
  }
}
#else
typedef int8_t bytes __attribute__((vector_size(PANEL * GROUP)));
INLINE void add_group(const int rows, const int panels, const int int8, vector *sums, const char *row, int64_t row_bytes,
                      const int8_t *stored, int64_t panel_step) {
  (void)int8;
  for (int panel = 0; panel < panels; panel++) {
    bytes found;
    memcpy(&found, stored + panel * panel_step, sizeof found);
    ints low = __builtin_convertvector(
        __builtin_shufflevector(found, found, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), ints);
    ints high = __builtin_convertvector(
        __builtin_shufflevector(found, found, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), ints);
    for (int number = 0; number < rows; number++) {
      const int16_t *pair = (const int16_t *)(row + number * row_bytes);
      sums[number * panels + panel] += low * (int32_t)pair[0] + high * (int32_t)pair[1];
    }
  }
}
#endif

INLINE void tile(const int rows, const int panels, const int int8, const matrix *m, const char *rounded,
                 const float *row_scales, int panel, float *results, int stride, int add) {
  const int groups = groups_of(m), per_panel = int8 ? INT8_VECTORS : INT16_VECTORS, vectors = panels * per_panel;
  const int64_t panel_step = panel_bytes(m), row_bytes = rounded_bytes(m);
  const int group_bytes = int8 ? GROUP : GROUP * 2;
  const int8_t *stored = m->panels + panel * panel_step;
  vector sums[MOST_ROWS * MOST_PANELS * INT16_VECTORS] = {0};
  for (int group = 0; group < groups; group++)
    add_group(rows, panels, int8, sums, rounded + (int64_t)group * group_bytes, row_bytes,
              stored + (int64_t)group * PANEL * GROUP, panel_step);
  for (int row = 0; row < rows; row++) {
    for (int part = 0; part < panels; part++) {
      int output = (panel + part) * PANEL;
      ints found = outputs_of(&sums[row * vectors + part * per_panel], int8);
      if (int8) {
        ints offsets;
        memcpy(&offsets, m->offsets + output, sizeof offsets);
        found -= offsets;
      }
      floats values = __builtin_convertvector(found, floats) * (load_floats(m->scales + output) * row_scales[row]);
      if (m->bias) values += load_floats(m->bias + output);
      float *result = results + (int64_t)row * stride + output;
      if (output + PANEL <= m->out) {
        store_floats(result, add ? load_floats(result) + values : values);
      } else {
        for (int lane = 0; output + lane < m->out; lane++) result[lane] = add ? result[lane] + values[lane] : values[lane];
      }
    }
  }
}

#define TILE(ROWS, PANELS, INT8)                                                                               \
  static void tile_##ROWS##_##PANELS##_##INT8(const matrix *m, const char *a, const float *s, int p, float *r, \
                                              int t, int add) {                                                \
    tile(ROWS, PANELS, INT8, m, a, s, p, r, t, add);                                                           \
  }
#define TILES(ROWS) TILE(ROWS, 1, 0) TILE(ROWS, 2, 0) TILE(ROWS, 4, 0)
#define INT8_TILES(ROWS) TILE(ROWS, 1, 1) TILE(ROWS, 2, 1) TILE(ROWS, 4, 1)
#define NAMES(ROWS, INT8) {tile_##ROWS##_1_##INT8, tile_##ROWS##_2_##INT8, tile_##ROWS##_4_##INT8}
#define ALL_NAMES(INT8) {NAMES(1, INT8), NAMES(2, INT8), NAMES(3, INT8), NAMES(4, INT8), NAMES(5, INT8), NAMES(6, INT8)}
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if HAS_INT8
INT8_TILES(1) INT8_TILES(2) INT8_TILES(3) INT8_TILES(4) INT8_TILES(5) INT8_TILES(6)
#endif
typedef void (*tile_function)(const matrix *, const char *, const float *, int, float *, int, int);
static const tile_function TILE_BY_PRECISION[][MOST_ROWS][3] = {
    ALL_NAMES(0),
#if HAS_INT8
    ALL_NAMES(1),
#endif
};

// Panels of a tile: as many as the registers hold the sums of, and 4 for a single row, which waits for memory.
static int panels_at_once(int rows, int int8) {
  int per_panel = int8 ? INT8_VECTORS : INT16_VECTORS;
#if defined(__AVX512BW__)
  int most = 24;
#elif defined(__AVX2__)
  int most = 12;
#else
  int most = rows;
#endif
  for (int panels = MOST_PANELS; panels > 1; panels /= 2)
    if (rows * panels * per_panel <= most) return panels;
  return 1;
}

// Rows of a tile of one panel whose sums fit into the registers. GCC uses fewer of them: with 12 sums it stores some.
static int most_rows(int int8) {
#if defined(__AVX512BW__)
  (void)int8;
  return MOST_ROWS;
#elif defined(__AVX2__)
#if defined(__clang__)
  const int sums = 12;
#else
  const int sums = 8;
#endif
  int rows = sums / (int8 ? INT8_VECTORS : INT16_VECTORS);
  return rows < MOST_ROWS ? rows : MOST_ROWS;
#else
  (void)int8;
  return MOST_ROWS;
#endif
}

void multiply(const matrix *m, const void *rounded, const float *row_scales, int rows, int first, int last,
              float *results, int stride, int add) {
  if (!rows) return;
  int limit = most_rows(m->int8), blocks = (rows + limit - 1) / limit;
  int group = panels_at_once((rows + blocks - 1) / blocks, m->int8);
  for (int panel = first; panel < last;) {
    int panels = last - panel >= group ? group : last - panel >= 2 && group >= 2 ? 2 : 1;
    // The weights of these panels stay in the core's cache while all rows are multiplied by them.
    for (int block = 0; block < blocks; block++) {
      int row = (int)((int64_t)rows * block / blocks), count = (int)((int64_t)rows * (block + 1) / blocks) - row;
      TILE_BY_PRECISION[m->int8][count - 1][panels / 2](m, (const char *)rounded + row * rounded_bytes(m), row_scales + row,
                                                        panel, results + (int64_t)row * stride, stride, add);
    }
    panel += panels;
  }
}
