// The arguments of contenders.cu, laid out alike by NVRTC and by the host compiler.
#pragma once

namespace qkjit::bench {

/// q or k as 16-byte vectors: how many in all, in a token's row, and from one row to the next.
struct CopyPart {
  void* data;
  unsigned vectors, row, stride;
};

struct CopyParams {
  CopyPart q, k;
};

struct SweepParams {
  const void* data;
  unsigned long long vectors;
  unsigned rounds;
};

static_assert(sizeof(CopyParams) == 48 && sizeof(SweepParams) == 24,
              "host and device must agree: change both sides and these sizes");

constexpr unsigned kCopyThreads = 256;
constexpr unsigned kSweepThreads = 256, kSweepBlocks = 1024;

}  // namespace qkjit::bench
