// Rung 2: one block a row, one element a thread. Accesses are coalesced and the row is read once,
// but every step of the sum is a barrier for the whole block, and a thread that moves 2 bytes costs
// as many instructions as one that moves 16.
#include "row.cuh"

extern "C" __global__ void __launch_bounds__(kHeadDim) rung(const Call call) {
  __shared__ float shared[kHeadDim];
  const Row row(call, blockIdx.x);
  const int i = threadIdx.x;

  const float x = to_float(row.x[i]);
  shared[i] = x * x;
  for (int d = kHeadDim / 2; d > 0; d /= 2) {
    __syncthreads();
    if (i < d) shared[i] += shared[i + d];
  }
  __syncthreads();
  const float r = rsqrtf(shared[0] / kHeadDim + call.eps);
  __syncthreads();  // all have read the sum: its place may be written

  const float own = x * r * to_float(row.weight[i]);
  shared[i] = own;
  __syncthreads();
  const float other = shared[i ^ 1];
  const float s = row.sines[i / 2];
  row.x[i] = to_bf16(own * row.cosines[i / 2] + other * (i % 2 ? s : -s));
}
