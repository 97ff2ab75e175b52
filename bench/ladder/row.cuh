// What every rung is given, where row number `index` of it lies, and how a bf16 is read
// and written.
#pragma once

constexpr int kHeadDim = 128;  // all of it is rotated: element 2i with element 2i + 1
constexpr int kPairs = kHeadDim / 2;

using bf16 = unsigned short;

/// ladder/rungs.py has the same struct.
struct Call {
  bf16* q;  // [tokens][heads_q][kHeadDim], in place
  bf16* k;
  const bf16* q_weight;
  const bf16* k_weight;
  const float* table;  // [positions][kHeadDim]: kPairs cosines, then kPairs sines
  const long long* positions;
  int tokens;
  int heads_q;
  int heads_k;
  float eps;
};

/// One head of one token. Row numbers go through all heads of a token, q's before k's.
struct Row {
  bf16* x;
  const bf16* weight;
  const float* cosines;
  const float* sines;

  __device__ Row(const Call& call, int index) {
    const int heads = call.heads_q + call.heads_k;
    const int token = index / heads;
    const int head = index - token * heads;
    const bool is_q = head < call.heads_q;
    const long long row = is_q ? static_cast<long long>(token) * call.heads_q + head
                               : static_cast<long long>(token) * call.heads_k + head - call.heads_q;
    x = (is_q ? call.q : call.k) + row * kHeadDim;
    weight = is_q ? call.q_weight : call.k_weight;
    cosines = call.table + call.positions[token] * kHeadDim;
    sines = cosines + kPairs;
  }

  static __device__ int count(const Call& call) {
    return call.tokens * (call.heads_q + call.heads_k);
  }
};

__device__ inline float to_float(bf16 bits) { return __uint_as_float(bits << 16); }

__device__ inline bf16 to_bf16(float x) {
  bf16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return bits;
}
