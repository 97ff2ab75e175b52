// What a kernel is specialised on. The one definition shared by device code and host: the host
// parses it (src/spec), prints it into a translation unit (src/codegen), and the kernel takes it as
// a template argument.
#pragma once

// Compile-time functions run on the host's side of a compiler too.
#if defined(__CUDACC__)
#define QKJIT_CONSTEXPR __host__ __device__ constexpr
#else
#define QKJIT_CONSTEXPR constexpr
#endif

namespace qkjit {

/// Element type of q, k, their outputs and their norm weights.
enum class DType { bf16, fp16, fp32 };

/// Bytes of an element.
QKJIT_CONSTEXPR int size_of(DType dtype) { return dtype == DType::fp32 ? 4 : 2; }

/// Which elements form a rotated pair: (2i, 2i+1), or (i, i + rope_dim/2).
enum class Layout { interleaved, neox };

/// Where values are rounded to the dtype between the norm and the store (see arithmetic.cuh).
enum class Rounding { fused, split, eager, hf, late_weight };

/// How a token finds its row of cos_sin_cache: an index array, or its own number.
enum class Positions { int64, int32, implicit };

/// What happens to a head before it is rotated: RMSNorm, or nothing.
enum class Norm { rms, none };

struct Spec {
  int head_dim = 0;
  int rope_dim = 0;  ///< rotated leading elements of a head; 0 is norm only
  Layout layout = Layout::interleaved;
  DType dtype = DType::bf16;
  Rounding rounding = Rounding::fused;
  Positions positions = Positions::int64;
  Norm norm = Norm::rms;

  friend QKJIT_CONSTEXPR bool operator==(const Spec&, const Spec&) = default;
};

/// Rows are summed, loaded and stored in chunks of this many elements.
constexpr int kChunk = 8;

QKJIT_CONSTEXPR int ceil_div(int a, int b) { return (a + b - 1) / b; }

QKJIT_CONSTEXPR int next_power_of_two(int n) {
  int power = 1;
  while (power < n) power *= 2;
  return power;
}

}  // namespace qkjit
