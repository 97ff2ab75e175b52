// Rung 1: one thread a row. Neighbouring threads are 256 bytes apart, so each 2-byte access of a
// warp touches 32 sectors of 32 bytes and uses a sixteenth of each; and the row is read twice,
// because one thread does not hold 128 elements.
#include "row.cuh"

extern "C" __global__ void __launch_bounds__(128) rung(const Call call) {
  const int index = blockIdx.x * blockDim.x + threadIdx.x;
  if (index >= Row::count(call)) return;
  const Row row(call, index);

  float sum = 0;
  for (int i = 0; i < kHeadDim; ++i) {
    const float x = to_float(row.x[i]);
    sum += x * x;
  }
  const float r = rsqrtf(sum / kHeadDim + call.eps);

  for (int i = 0; i < kPairs; ++i) {
    const float a = to_float(row.x[2 * i]) * r * to_float(row.weight[2 * i]);
    const float b = to_float(row.x[2 * i + 1]) * r * to_float(row.weight[2 * i + 1]);
    row.x[2 * i] = to_bf16(a * row.cosines[i] - b * row.sines[i]);
    row.x[2 * i + 1] = to_bf16(b * row.cosines[i] + a * row.sines[i]);
  }
}
