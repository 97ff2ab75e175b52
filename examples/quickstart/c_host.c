/* A host in C: normalises and rotates two tokens of Q and K in host memory. With a CUDA stream in
 * place of QKJIT_STREAM_HOST, and device pointers, the same call runs on the GPU. */
#include <math.h>
#include <qkjit/qkjit.h>
#include <stdio.h>

enum { kTokens = 2, kHeadsQ = 4, kHeadsK = 2, kHeadDim = 8 };

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, qkjit_last_error());
  return 1;
}

int main(void) {
  float q[kTokens * kHeadsQ * kHeadDim], k[kTokens * kHeadsK * kHeadDim], weight[kHeadDim];
  for (int i = 0; i < kTokens * kHeadsQ * kHeadDim; ++i) q[i] = 5.0f;
  for (int i = 0; i < kTokens * kHeadsK * kHeadDim; ++i) k[i] = -5.0f;
  for (int i = 0; i < kHeadDim; ++i) weight[i] = 1.0f;
  /* One row per token: cosines, then sines. Token 0 stays, token 1 turns by a quarter. */
  float cos_sin_cache[kTokens * kHeadDim] = {1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1};

  qkjit_runtime* runtime = NULL;
  if (qkjit_runtime_create(NULL, &runtime) != QKJIT_OK) return failed("create");

  qkjit_args args = QKJIT_ARGS_INIT;
  const char* spec = "head_dim=8,rope_dim=8,layout=interleaved,dtype=fp32,positions=implicit";
  if (qkjit_spec_parse(spec, &args.spec) != QKJIT_OK) return failed(spec);
  args.q = qkjit_tensor_3d(q, QKJIT_FP32, kTokens, kHeadsQ, kHeadDim);
  args.k = qkjit_tensor_3d(k, QKJIT_FP32, kTokens, kHeadsK, kHeadDim);
  args.q_weight = qkjit_tensor_1d(weight, QKJIT_FP32, kHeadDim);
  args.k_weight = qkjit_tensor_1d(weight, QKJIT_FP32, kHeadDim);
  args.cos_sin_cache = qkjit_tensor_2d(cos_sin_cache, QKJIT_FP32, kTokens, kHeadDim);

  qkjit_dispatch dispatch;
  if (qkjit_launch(runtime, &args, QKJIT_STREAM_HOST, &dispatch) != QKJIT_OK)
    return failed("launch");
  qkjit_runtime_destroy(runtime);

  /* Every row was constant, so its norm is 1; the quarter turn makes the pair (1, 1) into (-1, 1).
   */
  const float* second = q + kHeadsQ * kHeadDim;
  printf("qkjit %s, path %s: token 0 (%.3f, %.3f), token 1 (%.3f, %.3f)\n", qkjit_version(),
         qkjit_path_string(dispatch.path), q[0], q[1], second[0], second[1]);
  return fabsf(q[1] - 1) < 1e-5f && fabsf(second[0] + 1) < 1e-5f && fabsf(k[0] + 1) < 1e-5f ? 0 : 1;
}
