// A GPT-2 that computes any mix of sequences in one pass, with keys and values in pages.
#pragma once
#include <stdint.h>

typedef struct gpt2 gpt2;

// One pass: the new tokens of some sequences, one sequence after another.
typedef struct {
  int32_t sequences;
  const int32_t *begins;       // [sequences + 1]: where each sequence's new tokens begin
  const int64_t *tokens;       // [begins[sequences]]
  const int32_t *past;         // [sequences]: positions that are stored already
  const int32_t *pages;        // numbers of all sequences' pages, in the order of the positions
  const int32_t *page_begins;  // [sequences + 1]: where each sequence's pages begin
  int32_t wanted;              // rows whose logits are computed
  const int32_t *wanted_rows;  // [wanted], among the new tokens
  float *logits;               // [wanted][vocabulary]
  float *normalisers;          // [wanted]: logarithm of the sum of the exponentials of the logits
  int32_t short_list;          // 1: only the logits of the listed tokens are computed and written
} gpt2_pass;

// 1: activations may be rounded to int8, which this processor multiplies fast.
int gpt2_has_int8(void);

// NULL: no memory. `threads`: cores of a pass that may use all. `int8`: round activations to int8 instead of int16.
gpt2 *gpt2_new(int layers, int heads, int width, int positions, int vocabulary, float epsilon, int pages, int page_tokens,
               int threads, int int8);
void gpt2_delete(gpt2 *);

// Give a tensor by its name in transformers, without the prefix `transformer.` (`h.0.attn.c_attn.weight`), as floats in
// C order. A layer's bias comes before its weight. `lm_head.weight` is needed only if it is not `wte.weight`.
// 0: it is given; 1: the name is not known; 2: it has another size; 3: no memory.
int gpt2_set(gpt2 *, const char *name, const float *values, int64_t count);
// The logits of these tokens are minus infinity. 0: no memory.
int gpt2_suppress(gpt2 *, const int32_t *tokens, int count);
// The tokens of the short list, ascending, none of them suppressed; after all tensors. 0: no memory.
int gpt2_shorten(gpt2 *, const int32_t *tokens, int count);
// 1: every tensor was given.
int gpt2_complete(const gpt2 *);

// 0: done; 3: no memory. `single_core`: run in the caller's thread only.
int gpt2_run(gpt2 *, const gpt2_pass *, int single_core);
