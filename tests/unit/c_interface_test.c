/* The C interface as a C program uses it: one norm and rotation in host memory, and one refusal. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "qkjit/qkjit.h"

static int failures = 0;

#define CHECK(condition)                                                                      \
  do {                                                                                        \
    if (!(condition)) {                                                                       \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, qkjit_last_error()); \
      ++failures;                                                                             \
    }                                                                                         \
  } while (0)

enum { kTokens = 2, kHeads = 2, kHeadDim = 4, kElements = kTokens * kHeads * kHeadDim };

int main(void) {
  float q[kElements], k[kElements], before[kElements];
  float q_weight[kHeadDim] = {1, 2, 3, 4}, k_weight[kHeadDim] = {1, 1, 1, 1};
  /* Row 0 does not rotate, row 1 by a quarter turn: the cosines of two pairs, then their sines. */
  float cos_sin_cache[2 * kHeadDim] = {1, 1, 0, 0, 0, 0, 1, 1};
  int32_t positions[kTokens] = {0, 1};
  for (int i = 0; i < kElements; ++i) q[i] = k[i] = (float)(i % kHeadDim + 1);
  memcpy(before, q, sizeof q);
  const float r = 1 / sqrtf((1 + 4 + 9 + 16) / 4.0f);

  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.cache_dir = "/nowhere/qkjit";
  options.cpu_threads = 1;
  qkjit_runtime* runtime = NULL;
  CHECK(qkjit_runtime_create(&options, &runtime) == QKJIT_OK);
  CHECK(runtime != NULL);

  qkjit_args args = QKJIT_ARGS_INIT;
  CHECK(qkjit_spec_parse("head_dim=4,rope_dim=4,layout=interleaved,dtype=fp32,positions=int32",
                         &args.spec) == QKJIT_OK);
  qkjit_support support = QKJIT_SUPPORT_INIT;
  CHECK(qkjit_supports(&args.spec, &support) == QKJIT_OK);
  CHECK(support.dispatch.reason == QKJIT_REASON_SHAPE);
  args.q = qkjit_tensor_3d(q, QKJIT_FP32, kTokens, kHeads, kHeadDim);
  args.k = qkjit_tensor_3d(k, QKJIT_FP32, kTokens, kHeads, kHeadDim);
  args.q_weight = qkjit_tensor_1d(q_weight, QKJIT_FP32, kHeadDim);
  args.k_weight = qkjit_tensor_1d(k_weight, QKJIT_FP32, kHeadDim);
  args.cos_sin_cache = qkjit_tensor_2d(cos_sin_cache, QKJIT_FP32, 2, kHeadDim);
  args.positions = qkjit_tensor_1d(positions, QKJIT_INT32, kTokens);

  positions[1] = 2;
  CHECK(qkjit_launch(runtime, &args, QKJIT_STREAM_HOST, NULL) == QKJIT_INVALID_ARGUMENT);
  CHECK(strstr(qkjit_last_error(), "positions[1] = 2") != NULL);
  CHECK(memcmp(q, before, sizeof q) == 0 && memcmp(k, before, sizeof k) == 0);

  positions[1] = 1;
  qkjit_dispatch dispatch = {QKJIT_PATH_NONE, QKJIT_REASON_NONE};
  CHECK(qkjit_launch(runtime, &args, QKJIT_STREAM_HOST, &dispatch) == QKJIT_OK);
  CHECK(strcmp(qkjit_path_string(dispatch.path), "cpu") == 0);
  CHECK(strcmp(qkjit_reason_string(dispatch.reason), "host_memory") == 0);
  for (int i = 0; i < kElements; ++i) {
    const int token = i / (kHeads * kHeadDim), element = i % kHeadDim;
    const int from = token == 0 ? element : element ^ 1; /* a quarter turn: (a, b) to (-b, a) */
    const float sign = token == 1 && element % 2 == 0 ? -1.0f : 1.0f;
    const float y = sign * (float)(from + 1) * r;
    CHECK(fabsf(q[i] - y * q_weight[from]) < 1e-5f);
    CHECK(fabsf(k[i] - y) < 1e-5f);
  }

  qkjit_stats stats = QKJIT_STATS_INIT;
  CHECK(qkjit_get_stats(runtime, &stats) == QKJIT_OK);
  CHECK(stats.cpu == 1 && stats.reasons[QKJIT_REASON_HOST_MEMORY] == 1 && stats.fused == 0);
  qkjit_runtime_destroy(runtime);
  return failures != 0;
}
