// Two streams in one grid: the blocks of the first, then those of the second.
#pragma once

#include "fused.cuh"

namespace qkjit {

/// Both in threads of the same count. Streams of one spec and variant share their code.
template <Spec kFirst, Variant kFirstVariant, Spec kSecond, Variant kSecondVariant>
static QKJIT_DEVICE void dual(const DualParams& d) {
  static_assert(kFirstVariant.threads == kSecondVariant.threads,
                "the streams share a grid: take variants of as many threads");
  const bool is_second = blockIdx.x >= d.first_blocks;
  const unsigned block = is_second ? blockIdx.x - d.first_blocks : blockIdx.x;
  if constexpr (kFirst == kSecond && kFirstVariant == kSecondVariant) {
    fused<kFirst, kFirstVariant>(is_second ? d.streams[1] : d.streams[0], block);
  } else if (is_second) {
    fused<kSecond, kSecondVariant>(d.streams[1], block);
  } else {
    fused<kFirst, kFirstVariant>(d.streams[0], block);
  }
}

}  // namespace qkjit
