// Rung 3: one warp a row, 4 elements a lane, the sum by shuffles: no barrier, and both elements of
// a pair in one lane. The grid just fills the GPU and each warp goes on to further rows, so blocks
// are started once, but a warp asks for its next row only when it is done with this one. This is
// the form that inference engines commonly ship.
#include "pair.cuh"

extern "C" __global__ void __launch_bounds__(128) rung(const Call call) {
  const int warps = gridDim.x * blockDim.x / 32;
  const int lane = threadIdx.x % 32;
  const int rows = Row::count(call);
  for (int index = (blockIdx.x * blockDim.x + threadIdx.x) / 32; index < rows; index += warps) {
    const Row row(call, index);
    uint2* const data = reinterpret_cast<uint2*>(row.x) + lane;
    uint2 x = *data;
    const uint2 weight = reinterpret_cast<const uint2*>(row.weight)[lane];
    const float2 c = reinterpret_cast<const float2*>(row.cosines)[lane];
    const float2 s = reinterpret_cast<const float2*>(row.sines)[lane];

    float sum = squares(x.x) + squares(x.y);
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(0xffffffff, sum, d);
    const float r = rsqrtf(sum / kHeadDim + call.eps);

    x.x = finish(x.x, r, weight.x, c.x, s.x);
    x.y = finish(x.y, r, weight.y, c.y, s.y);
    *data = x;
  }
}
