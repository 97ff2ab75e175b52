// A host application: normalises and rotates Q and K of 16 tokens. It runs in host memory; with
// device pointers and a CUDA stream in place of Stream::host() the same call runs on the GPU.
#include <cmath>
#include <cstdio>
#include <qkjit/qkjit.hpp>
#include <vector>

int main() {
  auto runtime = qkjit::Runtime::create().value();
  auto spec = qkjit::parse_spec("head_dim=64,rope_dim=64,layout=neox,dtype=fp32,positions=implicit")
                  .value();
  std::vector<float> q(16 * 32 * 64, 2.0f), k(16 * 8 * 64, 3.0f), weight(64, 1.0f),
      table(16 * 64, 0.5f);

  qkjit::Args args(spec);
  args.q = qkjit::tensor(q.data(), QKJIT_FP32, {16, 32, 64});
  args.k = qkjit::tensor(k.data(), QKJIT_FP32, {16, 8, 64});
  args.q_weight = args.k_weight = qkjit::tensor(weight.data(), QKJIT_FP32, {64});
  args.cos_sin_cache = qkjit::tensor(table.data(), QKJIT_FP32, {16, 64});
  auto done = runtime.launch(args, qkjit::Stream::host());
  if (!done) return std::puts(done.message().c_str()), 1;
  std::printf("path %s, q[0] = %g, q[32] = %g\n", qkjit_path_string(done->path), q[0], q[32]);
  return std::abs(q[32] - 1) < 1e-5f ? 0 : 1;  // a row of ones, rotated: 0.5 + 0.5
}
