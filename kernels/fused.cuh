// The fused kernel: the norm of every head of q and k, and the rotary embedding, in one pass over
// memory. A group of lanes owns a row (one head of one token), reads it whole before it stores any
// of it, and reads and stores it once, so in place is as good as out of place.
#pragma once

#include "scaled_token.cuh"

namespace qkjit {

/// The work of a block. Takes FusedParams, or for Batch::strided or Values::copy BatchedParams, or
/// for other outputs OutputParams.
/// `frequencies` are those of computed angles, null with a table.
template <Spec kSpec, Variant kVariant, class SomeParams>
static QKJIT_DEVICE void fused(const SomeParams& f, unsigned block,
                               const FrequenciesOf<kSpec>* frequencies = nullptr) {
  OwnScales own;
  if constexpr (scales_tokens(kSpec)) {
    run_scaled_token<kSpec, kVariant>(f, frequencies, block);
  } else if constexpr (kVariant.span == Span::slice) {
    const unsigned index = block * Tile<kSpec, kVariant>::kWarps + threadIdx.x / 32;
    if (index >= f.slices.count) return;
    const unsigned token = index / f.slices.by_token;
    run_slice<kSpec, kVariant>(f, frequencies, token, index - token * f.slices.per_token, own);
  } else {
    run_slices_of_token<kSpec, kVariant>(f, frequencies, block, own);
  }
  // Not earlier: grids that only wait take the place, and the memory system's time, of this one.
  if constexpr (kVariant.pdl) allow_next_grid();
}

}  // namespace qkjit
