// How the same spec may be tuned. No variant changes a bit of the result.
#pragma once

#include "spec.cuh"

namespace qkjit {

/// What a block works on: slice after slice of all tokens, one for each of its warps, or one whole
/// token, whose slices its warps share; for a norm across heads that is a token's q or its k. A
/// slice is what a warp does at a time: as many neighbouring heads of one token, all of q or all of
/// k, as its lane groups have rows in flight.
enum class Span { slice, token };

/// How a neox pair is brought together: both elements are in one lane, or lanes show each other
/// what they hold by shuffles or in shared memory. The first possible one of these is taken, from
/// the one asked for on; see pairing_of().
enum class Pairing { in_lane, shuffle, exchange };

/// How rows come from and go to device memory: in 16-byte accesses of the lanes, or as one bulk
/// copy of a slice to (and with `bulk`, from) shared memory, which needs sm_90 and heads without
/// gaps.
enum class Staging { registers, bulk_load, bulk };

/// What the caches are told of rows: nothing, or that nobody will want them soon.
enum class Hint { normal, streaming };

struct Variant {
  /// Neighbouring threads that share one row, at most 32: a power of two, or as many as the row has
  /// chunks, or half as many. Lanes of a warp that are left over do nothing.
  int lanes = 0;
  int rows = 1;     ///< rows that a lane group has in flight
  int threads = 0;  ///< threads of a block; a multiple of 32
  int blocks = 0;   ///< blocks that registers must leave room for on a multiprocessor; 0: any
  Span span = Span::slice;
  Pairing pairing = Pairing::in_lane;
  Staging staging = Staging::registers;
  Hint load = Hint::normal;  ///< hints are for accesses of lanes: bulk copies ignore them
  Hint store = Hint::streaming;
  /// Programmatic dependent launch, from sm_90 on: the grid may be set up while the one before it
  /// in the stream runs, and waits for that one's memory before it touches any.
  bool pdl = false;

  friend QKJIT_CONSTEXPR bool operator==(const Variant&, const Variant&) = default;
};

}  // namespace qkjit
