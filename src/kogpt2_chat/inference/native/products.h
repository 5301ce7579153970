// Products of rounded activations and int8 weights, summed in int32: the sums are exact, so a row's result does not depend
// on the rows beside it, on the number of threads or on the processor.
//
// Activations are rounded to int16, or to int8 where the processor multiplies int8 (VNNI).
#pragma once
#include <stdint.h>

enum { PANEL = 16 };  // outputs that are stored together

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define HAS_INT8 1
enum { GROUP = 4 };  // inputs of an output that are stored together
#else
#define HAS_INT8 0
enum { GROUP = 2 };
#endif

typedef struct {
  int out, in;       // sizes; `in` is rounded up to whole groups where it is stored
  int int8;          // activations are rounded to int8 instead of int16
  int level;         // largest magnitude of an activation, so that no sum of `in` products overflows
  int8_t *panels;    // [ceil(out / 16)][in / GROUP][16 outputs][GROUP inputs]
  int32_t *offsets;  // by output, padded: the product with activations that are all 128; int8 only
  float *scales;     // by output, padded with zeros to whole panels
  float *bias;       // by output, padded; NULL: none
} matrix;

// Round weights to int8, with a scale per output, and store them. `weights` is (out, in), or (in, out) if `transposed`.
// 0: no memory.
int matrix_pack(matrix *, const float *weights, const float *bias, int out, int in, int transposed, int int8);
// Copy some outputs of a matrix without a bias, in the order given. 0: no memory.
int matrix_select(matrix *, const matrix *from, const int32_t *outputs, int count);
void matrix_free(matrix *);
int matrix_panels(const matrix *);
// Copy the weights of one output, restored to floats.
void matrix_row(const matrix *, int output, float *row);

// Bytes of a rounded row.
int64_t rounded_bytes(const matrix *);
// Round a row of `in` floats. Returns the scale: integer times scale approximates the float.
float round_row(const matrix *, const float *row, void *rounded);

// results[row][output] = (product, scaled) + bias, for the outputs of panels [first, last). `add`: add to what is there.
// `results` has rows of `stride` floats.
void multiply(const matrix *, const void *rounded, const float *row_scales, int rows, int first, int last,
              float *results, int stride, int add);
