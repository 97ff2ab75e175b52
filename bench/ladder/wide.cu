// Rung 4: 16 lanes a row, 16 bytes a lane, the widest access there is, so half as many warps do the
// same work. No loop: when a block ends, the hardware starts the next one. Streaming stores leave
// the L2 cache first: nobody will read the rows there.
#include "pair.cuh"

constexpr int kLanes = 16;

extern "C" __global__ void __launch_bounds__(128) rung(const Call call) {
  const int index = (blockIdx.x * blockDim.x + threadIdx.x) / kLanes;
  if (index >= Row::count(call)) return;
  const int lane = threadIdx.x % kLanes;
  const unsigned group = 0xffffu << (threadIdx.x & kLanes);  // the warp's other row may be missing
  const Row row(call, index);
  uint4* const data = reinterpret_cast<uint4*>(row.x) + lane;
  uint4 x = *data;
  const uint4 weight = reinterpret_cast<const uint4*>(row.weight)[lane];
  const float4 c = reinterpret_cast<const float4*>(row.cosines)[lane];
  const float4 s = reinterpret_cast<const float4*>(row.sines)[lane];

  float sum = squares(x.x) + squares(x.y) + squares(x.z) + squares(x.w);
  for (int d = kLanes / 2; d > 0; d /= 2) sum += __shfl_xor_sync(group, sum, d);
  const float r = rsqrtf(sum / kHeadDim + call.eps);

  x.x = finish(x.x, r, weight.x, c.x, s.x);
  x.y = finish(x.y, r, weight.y, c.y, s.y);
  x.z = finish(x.z, r, weight.z, c.z, s.z);
  x.w = finish(x.w, r, weight.w, c.w, s.w);
  __stcs(data, x);
}
