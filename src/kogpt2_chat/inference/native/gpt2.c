#include "gpt2.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "products.h"
#include "threads.h"
#include "vectors.h"

typedef struct {
  float *weight, *bias;
} norm;

typedef struct {
  norm before_attention, before_network;
  matrix joined, attended, widened, narrowed;  // c_attn, attn.c_proj, c_fc, mlp.c_proj
} layer;

// Space for the rows of a pass.
typedef struct {
  int rows, wanted;
  float *hidden;       // [rows][width]
  float *joined;       // [rows][3 * width]: queries, keys and values
  float *attended;     // [rows][width]
  float *wide;         // [rows][4 * width]
  char *rounded;       // [rows][rounded row], or [threads][rows][rounded row] if there are few rows
  float *row_scales;   // [rows], or [threads][rows]
  float *chosen;       // [wanted][width]
  float *listed;       // [wanted][tokens of the short list]
  float *partial;      // [threads][wanted][2]: each member's largest logit, and its sum of exponentials
  int32_t *sequence;   // [rows]: which sequence a row belongs to
} space;

struct gpt2 {
  int layers, heads, width, head_width, positions, vocabulary, pages, page_tokens, threads, int8;
  float epsilon;
  layer *layer;
  norm last;
  float *position_table, *mask, *pending_bias;
  matrix tokens, head, short_head;
  int32_t *listed;  // tokens of the short list
  int has_head;
  float *cache;  // [layers][key, value][pages][heads][page_tokens][head_width]
  size_t cache_bytes;
  team *team;
  space space;
};

static int64_t padded(int64_t count) { return (count + LANES - 1) / LANES * LANES; }

static void *zeros(int64_t count, int64_t size) {
  int64_t bytes = (count * size + 63) / 64 * 64;
  void *made = aligned_alloc(64, bytes ? bytes : 64);
  if (made) memset(made, 0, bytes);
  return made;
}

gpt2 *gpt2_new(int layers, int heads, int width, int positions, int vocabulary, float epsilon, int pages, int page_tokens,
               int threads, int int8) {
  gpt2 *model = calloc(1, sizeof *model);
  if (!model) return NULL;
  *model = (gpt2){.layers = layers, .heads = heads, .width = width, .head_width = width / heads, .positions = positions,
                  .vocabulary = vocabulary, .pages = pages, .page_tokens = page_tokens, .threads = threads, .int8 = int8,
                  .epsilon = epsilon};
  model->layer = calloc(layers, sizeof *model->layer);
  model->cache_bytes = (size_t)layers * 2 * pages * page_tokens * width * sizeof(float);
  // The system gives memory at the first write, so a large pool costs nothing until it is used.
  model->cache = mmap(NULL, model->cache_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (model->cache == MAP_FAILED) model->cache = NULL;
  if (!model->layer || !model->cache) return gpt2_delete(model), NULL;
  return model;
}

static void norm_free(norm *n) {
  free(n->weight);
  free(n->bias);
}

static void space_free(space *s) {
  free(s->hidden), free(s->joined), free(s->attended), free(s->wide), free(s->rounded);
  free(s->row_scales), free(s->chosen), free(s->listed), free(s->partial), free(s->sequence);
  *s = (space){0};
}

void gpt2_delete(gpt2 *model) {
  if (!model) return;
  team_delete(model->team);
  for (int number = 0; model->layer && number < model->layers; number++) {
    layer *l = &model->layer[number];
    norm_free(&l->before_attention), norm_free(&l->before_network);
    matrix_free(&l->joined), matrix_free(&l->attended), matrix_free(&l->widened), matrix_free(&l->narrowed);
  }
  free(model->layer);
  norm_free(&model->last);
  free(model->position_table), free(model->mask), free(model->pending_bias);
  matrix_free(&model->tokens), matrix_free(&model->head), matrix_free(&model->short_head);
  free(model->listed);
  if (model->cache) munmap(model->cache, model->cache_bytes);
  space_free(&model->space);
  free(model);
}

enum { GIVEN, UNKNOWN_NAME, WRONG_SIZE, NO_MEMORY };

static int keep(float **to, const float *values, int64_t count, int64_t expected) {
  if (count != expected) return WRONG_SIZE;
  free(*to);
  *to = zeros(padded(count), sizeof **to);
  if (!*to) return NO_MEMORY;
  memcpy(*to, values, count * sizeof **to);
  return GIVEN;
}

static int keep_matrix(gpt2 *model, matrix *to, const float *values, int64_t count, int out, int in, int transposed) {
  if (count != (int64_t)out * in) return WRONG_SIZE;
  matrix_free(to);
  int made = matrix_pack(to, values, transposed ? model->pending_bias : NULL, out, in, transposed, model->int8);
  if (transposed) free(model->pending_bias), model->pending_bias = NULL;
  return made ? GIVEN : NO_MEMORY;
}

static int set_layer(gpt2 *model, layer *l, const char *part, const float *values, int64_t count) {
  int width = model->width;
  struct {
    const char *name;
    matrix *to;
    int out, in;
  } matrices[] = {{"attn.c_attn", &l->joined, 3 * width, width},
                  {"attn.c_proj", &l->attended, width, width},
                  {"mlp.c_fc", &l->widened, 4 * width, width},
                  {"mlp.c_proj", &l->narrowed, width, 4 * width}};
  for (int number = 0; number < 4; number++) {
    size_t length = strlen(matrices[number].name);
    if (strncmp(part, matrices[number].name, length)) continue;
    if (!strcmp(part + length, ".bias")) return keep(&model->pending_bias, values, count, matrices[number].out);
    if (!strcmp(part + length, ".weight"))
      return keep_matrix(model, matrices[number].to, values, count, matrices[number].out, matrices[number].in, 1);
  }
  if (!strcmp(part, "ln_1.weight")) return keep(&l->before_attention.weight, values, count, width);
  if (!strcmp(part, "ln_1.bias")) return keep(&l->before_attention.bias, values, count, width);
  if (!strcmp(part, "ln_2.weight")) return keep(&l->before_network.weight, values, count, width);
  if (!strcmp(part, "ln_2.bias")) return keep(&l->before_network.bias, values, count, width);
  return UNKNOWN_NAME;
}

int gpt2_set(gpt2 *model, const char *name, const float *values, int64_t count) {
  int width = model->width, vocabulary = model->vocabulary, number, after;
  if (!strcmp(name, "wte.weight")) return keep_matrix(model, &model->tokens, values, count, vocabulary, width, 0);
  if (!strcmp(name, "lm_head.weight")) {
    model->has_head = 1;
    return keep_matrix(model, &model->head, values, count, vocabulary, width, 0);
  }
  if (!strcmp(name, "wpe.weight"))
    return keep(&model->position_table, values, count, (int64_t)model->positions * width);
  if (!strcmp(name, "ln_f.weight")) return keep(&model->last.weight, values, count, width);
  if (!strcmp(name, "ln_f.bias")) return keep(&model->last.bias, values, count, width);
  if (sscanf(name, "h.%d.%n", &number, &after) == 1 && number >= 0 && number < model->layers)
    return set_layer(model, &model->layer[number], name + after, values, count);
  return UNKNOWN_NAME;
}

int gpt2_suppress(gpt2 *model, const int32_t *tokens, int count) {
  free(model->mask);
  model->mask = zeros(padded(model->vocabulary), sizeof *model->mask);
  if (!model->mask) return 0;
  for (int number = 0; number < count; number++) model->mask[tokens[number]] = -INFINITY;
  return 1;
}

static const matrix *whole_head(const gpt2 *model) { return model->has_head ? &model->head : &model->tokens; }

int gpt2_shorten(gpt2 *model, const int32_t *tokens, int count) {
  matrix_free(&model->short_head);
  free(model->listed);
  space_free(&model->space);  // its size depends on the list
  model->listed = zeros(count, sizeof *model->listed);
  if (!model->listed) return 0;
  memcpy(model->listed, tokens, count * sizeof *tokens);
  return matrix_select(&model->short_head, whole_head(model), tokens, count);
}

static int norm_complete(const norm *n) { return n->weight && n->bias; }

int gpt2_has_int8(void) { return HAS_INT8; }

int gpt2_complete(const gpt2 *model) {
  if (!model->tokens.panels || !model->position_table || !norm_complete(&model->last)) return 0;
  for (int number = 0; number < model->layers; number++) {
    const layer *l = &model->layer[number];
    const matrix *matrices[] = {&l->joined, &l->attended, &l->widened, &l->narrowed};
    for (int part = 0; part < 4; part++)
      if (!matrices[part]->panels || !matrices[part]->bias) return 0;
    if (!norm_complete(&l->before_attention) || !norm_complete(&l->before_network)) return 0;
  }
  return 1;
}

// ---- one pass ----

typedef struct {
  gpt2 *model;
  const gpt2_pass *pass;
  team *team;
  int size;
} run;

static void normalise(const gpt2 *model, const norm *n, const float *row, float *result) {
  int width = model->width, whole = width / LANES * LANES;
  floats sums = {0}, squares = {0};
  for (int at = 0; at < whole; at += LANES) sums += load_floats(row + at);
  float mean = sum_of(sums);
  for (int at = whole; at < width; at++) mean += row[at];
  mean /= width;
  for (int at = 0; at < whole; at += LANES) {
    floats apart = load_floats(row + at) - mean;
    squares += apart * apart;
  }
  float variance = sum_of(squares);
  for (int at = whole; at < width; at++) variance += (row[at] - mean) * (row[at] - mean);
  float scale = 1 / sqrtf(variance / width + model->epsilon);
  for (int at = 0; at < whole; at += LANES)
    store_floats(result + at, (load_floats(row + at) - mean) * scale * load_floats(n->weight + at) + load_floats(n->bias + at));
  for (int at = whole; at < width; at++) result[at] = (row[at] - mean) * scale * n->weight[at] + n->bias[at];
}

// Approximation of GELU by the hyperbolic tangent, as in GPT-2: x / (1 + exp(-2u)).
static void gelu(float *values, int count) {
  for (int at = 0; at < count; at += LANES) {
    floats x = {0};
    int lanes = count - at < LANES ? count - at : LANES;
    memcpy(&x, values + at, lanes * sizeof *values);
    floats u = 1.5957691216057308f * (x + 0.044715f * x * x * x);
    floats result = x / (1.0f + exp_floats(-u));
    memcpy(values + at, &result, lanes * sizeof *values);
  }
}

static int part(int count, int member, int size) { return (int)((int64_t)count * member / size); }

static float *page_of(const gpt2 *model, int layer, int is_value, int page, int head) {
  int64_t head_floats = (int64_t)model->page_tokens * model->head_width;
  return model->cache + ((((int64_t)layer * 2 + is_value) * model->pages + page) * model->heads + head) * head_floats;
}

enum { MIXED = 4 };  // vectors of a head's result that registers hold: 64 floats, as GPT-2's heads have

// One head of one row: its keys and values are stored before its row is computed.
static void attend(const run *r, int layer, int row, int head, float *scores) {
  const gpt2 *model = r->model;
  const gpt2_pass *pass = r->pass;
  int width = model->head_width, sequence = model->space.sequence[row], page_tokens = model->page_tokens;
  int length = pass->past[sequence] + row - pass->begins[sequence] + 1;
  const int32_t *pages = pass->pages + pass->page_begins[sequence];
  const float *query = model->space.joined + (int64_t)row * 3 * model->width + head * width;
  float *result = model->space.attended + (int64_t)row * model->width + head * width;
  float scale = 1 / sqrtf(width), largest = -INFINITY, sum = 0;
  int whole = width / LANES * LANES;
  for (int position = 0; position < length; position++) {
    const float *key = page_of(model, layer, 0, pages[position / page_tokens], head) + position % page_tokens * width;
    floats products = {0};
    for (int at = 0; at < whole; at += LANES) products += load_floats(query + at) * load_floats(key + at);
    float score = sum_of(products);
    for (int at = whole; at < width; at++) score += query[at] * key[at];
    scores[position] = score * scale;
    largest = fmaxf(largest, scores[position]);
  }
  for (int position = length; position < padded(length); position++) scores[position] = -INFINITY;
  for (int at = 0; at < length; at += LANES) {
    floats shares = exp_floats(load_floats(scores + at) - largest);
    store_floats(scores + at, shares);
  }
  for (int position = 0; position < length; position++) sum += scores[position];
  for (int position = 0; position < length; position++) scores[position] /= sum;
  for (int first = 0; first < width; first += MIXED * LANES) {
    int count = width - first < MIXED * LANES ? width - first : MIXED * LANES, vectors = count / LANES;
    floats mixed[MIXED] = {{0}};
    memset(result + first, 0, count * sizeof *result);
    for (int position = 0; position < length; position++) {
      const float *value = page_of(model, layer, 1, pages[position / page_tokens], head) +
                           position % page_tokens * width + first;
      if (vectors == MIXED) {
#pragma GCC unroll 4
        for (int part = 0; part < MIXED; part++) mixed[part] += scores[position] * load_floats(value + part * LANES);
      } else {
        for (int at = 0; at < count; at++) result[first + at] += scores[position] * value[at];
      }
    }
    for (int part = 0; vectors == MIXED && part < MIXED; part++) store_floats(result + first + part * LANES, mixed[part]);
  }
}

static void store_keys_and_values(const run *r, int layer, int row, int head) {
  const gpt2 *model = r->model;
  const gpt2_pass *pass = r->pass;
  int width = model->head_width, sequence = model->space.sequence[row];
  int position = pass->past[sequence] + row - pass->begins[sequence];
  int page = pass->pages[pass->page_begins[sequence] + position / model->page_tokens];
  const float *joined = model->space.joined + (int64_t)row * 3 * model->width + head * width;
  for (int is_value = 0; is_value < 2; is_value++)
    memcpy(page_of(model, layer, is_value, page, head) + position % model->page_tokens * width,
           joined + (1 + is_value) * model->width, width * sizeof *joined);
}

enum { FEW_ROWS = 2 };

// Where a member finds the rounded rows. Few rows are rounded by each member for itself: that takes no longer than to wait
// for the others.
static int64_t own_rows(int rows, int member) { return rows <= FEW_ROWS ? (int64_t)member * rows : 0; }

// Normalise the rows, if there is a norm, and round them for the matrix that reads them.
static void round_rows(const run *r, const matrix *reader, const norm *n, const float *from, int stride, int rows, int member) {
  space *s = &r->model->space;
  float normed[r->model->width];
  int few = rows <= FEW_ROWS, first = few ? 0 : part(rows, member, r->size);
  int last = few ? rows : part(rows, member + 1, r->size);
  int64_t own = own_rows(rows, member);
  for (int row = first; row < last; row++) {
    const float *values = from + (int64_t)row * stride;
    if (n) normalise(r->model, n, values, normed), values = normed;
    s->row_scales[own + row] = round_row(reader, values, s->rounded + (own + row) * rounded_bytes(reader));
  }
  if (!few) team_barrier(r->team);
}

static void multiply_part(const run *r, const matrix *m, int rows, float *results, int stride, int add, int member) {
  int panels = matrix_panels(m);
  int64_t own = own_rows(rows, member);
  multiply(m, r->model->space.rounded + own * rounded_bytes(m), r->model->space.row_scales + own, rows,
           part(panels, member, r->size), part(panels, member + 1, r->size), results, stride, add);
}

static void run_layer(const run *r, int number, int rows, int member) {
  gpt2 *model = r->model;
  layer *l = &model->layer[number];
  space *s = &model->space;
  int width = model->width;
  round_rows(r, &l->joined, &l->before_attention, s->hidden, width, rows, member);
  multiply_part(r, &l->joined, rows, s->joined, 3 * width, 0, member);
  team_barrier(r->team);
  float scores[padded(model->positions)];
  int first = part(model->heads, member, r->size), last = part(model->heads, member + 1, r->size);
  for (int row = 0; row < rows; row++)
    for (int head = first; head < last; head++) store_keys_and_values(r, number, row, head);
  for (int row = 0; row < rows; row++)
    for (int head = first; head < last; head++) attend(r, number, row, head, scores);
  team_barrier(r->team);
  round_rows(r, &l->attended, NULL, s->attended, width, rows, member);
  multiply_part(r, &l->attended, rows, s->hidden, width, 1, member);
  team_barrier(r->team);
  round_rows(r, &l->widened, &l->before_network, s->hidden, width, rows, member);
  multiply_part(r, &l->widened, rows, s->wide, 4 * width, 0, member);
  int panels = matrix_panels(&l->widened), from = part(panels, member, r->size) * PANEL;
  int to = part(panels, member + 1, r->size) * PANEL;
  if (to > 4 * width) to = 4 * width;
  for (int row = 0; row < rows; row++) gelu(s->wide + (int64_t)row * 4 * width + from, to - from);
  team_barrier(r->team);
  round_rows(r, &l->narrowed, NULL, s->wide, 4 * width, rows, member);
  multiply_part(r, &l->narrowed, rows, s->hidden, width, 1, member);
  team_barrier(r->team);
}

// Mask a row of logits of this head, if there is a mask, and sum their exponentials.
static void finish_logits(const run *r, const matrix *head, float *logits, const float *mask, int row, int member) {
  int panels = matrix_panels(head), from = part(panels, member, r->size) * PANEL;
  int to = part(panels, member + 1, r->size) * PANEL;
  if (to > head->out) to = head->out;
  float largest = -INFINITY, sum = 0;
  floats most = all_lanes(-INFINITY), total = {0};
  int whole = from + (to - from) / LANES * LANES;
  for (int at = from; at < whole; at += LANES) {
    floats values = load_floats(logits + at);
    if (mask) store_floats(logits + at, values += load_floats(mask + at));
    most = larger(most, values);
  }
  for (int at = whole; at < to; at++) {
    if (mask) logits[at] += mask[at];
    largest = fmaxf(largest, logits[at]);
  }
  largest = fmaxf(largest, largest_of(most));
  if (largest > -INFINITY) {
    for (int at = from; at < whole; at += LANES) total += exp_floats(load_floats(logits + at) - largest);
    for (int at = whole; at < to; at++) sum += expf(logits[at] - largest);
    sum += sum_of(total);
  }
  float *partial = r->model->space.partial + ((int64_t)member * r->pass->wanted + row) * 2;
  partial[0] = largest;
  partial[1] = sum;
}

static void run_head(const run *r, int member) {
  gpt2 *model = r->model;
  space *s = &model->space;
  const gpt2_pass *pass = r->pass;
  int is_short = pass->short_list && model->short_head.panels;
  const matrix *head = is_short ? &model->short_head : whole_head(model);
  float *logits = is_short ? s->listed : pass->logits;
  int wanted = pass->wanted, width = model->width, count = head->out;
  for (int row = part(wanted, member, r->size); row < part(wanted, member + 1, r->size); row++)
    memcpy(s->chosen + (int64_t)row * width, s->hidden + (int64_t)pass->wanted_rows[row] * width, width * sizeof(float));
  if (wanted <= FEW_ROWS) team_barrier(r->team);
  round_rows(r, head, &model->last, s->chosen, width, wanted, member);
  multiply_part(r, head, wanted, logits, count, 0, member);
  int panels = matrix_panels(head), first = part(panels, member, r->size) * PANEL;
  int last = part(panels, member + 1, r->size) * PANEL;
  for (int row = 0; row < wanted; row++) {
    float *row_logits = logits + (int64_t)row * count, *all = pass->logits + (int64_t)row * model->vocabulary;
    finish_logits(r, head, row_logits, is_short ? NULL : model->mask, row, member);
    for (int at = first; is_short && at < last && at < count; at++) all[model->listed[at]] = row_logits[at];
  }
  team_barrier(r->team);
  for (int row = part(wanted, member, r->size); row < part(wanted, member + 1, r->size); row++) {
    float largest = -INFINITY, sum = 0;
    for (int other = 0; other < r->size; other++)
      largest = fmaxf(largest, s->partial[((int64_t)other * wanted + row) * 2]);
    for (int other = 0; other < r->size; other++) {
      const float *partial = s->partial + ((int64_t)other * wanted + row) * 2;
      if (partial[1] > 0) sum += partial[1] * expf(partial[0] - largest);
    }
    pass->normalisers[row] = largest + logf(sum);
  }
}

static void run_member(void *argument, int member) {
  const run *r = argument;
  gpt2 *model = r->model;
  const gpt2_pass *pass = r->pass;
  int rows = pass->begins[pass->sequences], width = model->width;
  for (int row = part(rows, member, r->size); row < part(rows, member + 1, r->size); row++) {
    int sequence = model->space.sequence[row];
    int position = pass->past[sequence] + row - pass->begins[sequence];
    float *hidden = model->space.hidden + (int64_t)row * width;
    matrix_row(&model->tokens, (int)pass->tokens[row], hidden);
    for (int at = 0; at < width; at++) hidden[at] += model->position_table[(int64_t)position * width + at];
  }
  if (rows <= FEW_ROWS) team_barrier(r->team);  // then every member reads all of them
  for (int number = 0; number < model->layers; number++) run_layer(r, number, rows, member);
  run_head(r, member);
}

static int reserve(gpt2 *model, int rows, int wanted) {
  space *s = &model->space;
  if (rows <= s->rows && wanted <= s->wanted) return 1;
  if (rows < s->rows) rows = s->rows;
  if (wanted < s->wanted) wanted = s->wanted;
  space_free(s);
  int64_t width = model->width;
  s->hidden = zeros(rows * width, sizeof(float));
  s->joined = zeros(rows * 3 * width, sizeof(float));
  s->attended = zeros(rows * width, sizeof(float));
  s->wide = zeros(rows * 4 * width, sizeof(float));
  int64_t most = rows > wanted ? rows : wanted;
  if (most < (int64_t)FEW_ROWS * model->threads) most = (int64_t)FEW_ROWS * model->threads;
  s->rounded = zeros(most * (4 * width + GROUP), sizeof(int16_t));
  s->row_scales = zeros(most, sizeof(float));
  s->chosen = zeros(wanted * width, sizeof(float));
  s->listed = zeros(wanted * (int64_t)model->short_head.out, sizeof(float));
  s->partial = zeros((int64_t)model->threads * wanted * 2, sizeof(float));
  s->sequence = zeros(rows, sizeof(int32_t));
  if (!s->hidden || !s->joined || !s->attended || !s->wide || !s->rounded || !s->row_scales || !s->chosen || !s->listed ||
      !s->partial || !s->sequence)
    return space_free(s), 0;
  s->rows = rows;
  s->wanted = wanted;
  return 1;
}

int gpt2_run(gpt2 *model, const gpt2_pass *pass, int single_core) {
  if (!reserve(model, pass->begins[pass->sequences], pass->wanted)) return NO_MEMORY;
  for (int sequence = 0; sequence < pass->sequences; sequence++)
    for (int row = pass->begins[sequence]; row < pass->begins[sequence + 1]; row++) model->space.sequence[row] = sequence;
  int size = single_core ? 1 : model->threads;
  if (size > 1 && !model->team) model->team = team_new(size);
  if (size > 1 && !model->team) return NO_MEMORY;
  run r = {.model = model, .pass = pass, .team = size > 1 ? model->team : NULL, .size = size};
  if (size > 1)
    team_run(model->team, run_member, &r);
  else
    run_member(&r, 0);
  return GIVEN;
}
