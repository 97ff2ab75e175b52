// The argument struct of every kernel: plain data, laid out alike by NVRTC and by the host
// compiler.
#pragma once

#include "divisor.cuh"
#include "spec.cuh"

namespace qkjit {

/// The rows of q or of k: `heads` per token, head_dim contiguous elements each. Strides count
/// elements.
struct Rows {
  const void* in;
  void* out;           ///< may equal `in`
  const void* weight;  ///< null without one; see weight_length()
  const void* bias;    ///< null without one
  long long in_token_stride, in_head_stride;
  long long out_token_stride, out_head_stride;
  unsigned heads;
  float inv_width;  ///< 1 / (heads * head_dim), rounded to fp32; 0 for a norm of each head
};

/// Tokens on a grid of frames, rows and columns, of which the last run fastest.
struct PositionGrid {
  unsigned extents[3];
  Divisor by_extents[3];  ///< divide by them
  long long first[3];     ///< coordinates of the first token
};

/// Tokens in segments, one after another: `positions` are where they begin.
struct Segments {
  const int* offsets;  ///< of each: the position of its first token
  unsigned count;
};

struct Params {
  Rows q, k;
  const void* cosines;             ///< of the table's first row; see table.cuh for what it holds
  const void* sines;               ///< likewise
  const void* positions;           ///< [axes, tokens]; segments' begins; null if there is none
  long long position_offset;       ///< added to every position
  long long position_axis_stride;  ///< elements from one axis of the positions to the next
  int table_row_bytes;             ///< from a row of the table to the next
  unsigned row_count;              ///< tokens * (q.heads + k.heads)
  float eps;
  long long table_head_stride;  ///< bytes from a head's table to the next; 0 if heads share one
  unsigned* position_error;     ///< of Bounds::checked: takes the lowest token outside the table
  int table_rows;               ///< of Bounds::checked
  unsigned first_token;         ///< number of the first token, as position_error has it
  Segments segments;            ///< of Positions::segments
  PositionGrid grid;            ///< of Positions::grid
};

/// How the rows of a call are dealt to warps; see variant.cuh for what a slice is.
/// For fused_by_token.cuh, whose warps share a tensor of a token: how many of these there are, and
/// in `per_token` how many warps share one.
struct Slices {
  unsigned count;  ///< of the whole call
  unsigned of_q;   ///< of one token: those of q, before those of k
  unsigned per_token;
  Divisor by_token;  ///< divides by per_token
};

/// The sequences of q or of k where batches do not fold. Strides count elements, from the first row
/// or position of a sequence to that of the next.
struct Sequences {
  long long in_stride, out_stride;
  const void* positions;  ///< of the first sequence; [axes, tokens] each
  long long position_stride, position_axis_stride;
  unsigned tokens;  ///< of a sequence
};

/// Tokens are numbered through all sequences, each with as many as the longer of q and k has.
struct Batches {
  Sequences q, k;
  unsigned tokens;    ///< numbers of a sequence
  Divisor by_tokens;  ///< divides by `tokens`
};

struct FusedParams {
  Params common;
  Slices slices;
};

/// The rows of V, of as many tokens as k's.
struct ValueRows {
  Rows rows;
  Sequences of;
  unsigned first_slice;  ///< of a token, behind those of k
};

/// What a kernel for Batch::strided or Values::copy takes. One for neither takes the same and reads
/// its begin only.
struct BatchedParams : FusedParams {
  Batches batches;
  ValueRows v;
};

/// The FP8 scales of q, of k or of V: given, or written. Strides count elements and are 0 where
/// several share one.
struct Scales {
  float* data;  ///< null without FP8
  long long sequence_stride, token_stride, head_stride;
};

/// What outputs of another kind need; see has_other_outputs().
struct Outputs {
  Scales q, k, v;
  /// Of a paged cache the slots of k's tokens, sequence after sequence; a negative one is none.
  /// Blocks are to slots what sequences are to tokens: Sequences::out_stride of k and of V is from
  /// one to the next.
  const void* slots;
  Divisor by_block;  ///< divides by `block_size`
  unsigned block_size;
};

/// What a kernel with other outputs takes; all others read its begin only.
struct OutputParams : BatchedParams {
  Outputs outputs;
};

/// What a kernel of two streams takes: the calls of both, one grid after the other.
struct DualParams {
  OutputParams streams[2];
  unsigned first_blocks;  ///< of the grid, those of the first stream
};

static_assert(sizeof(Rows) == 72, "host and device must agree: change both sides and this size");
static_assert(sizeof(PositionGrid) == 64,
              "host and device must agree: change both sides and this size");
static_assert(sizeof(Params) == 304, "host and device must agree: change both sides and this size");
static_assert(sizeof(Sequences) == 48,
              "host and device must agree: change both sides and this size");
static_assert(sizeof(Batches) == 112,
              "host and device must agree: change both sides and this size");
static_assert(sizeof(FusedParams) == 328,
              "host and device must agree: change both sides and this size");
static_assert(sizeof(BatchedParams) == 568,
              "host and device must agree: change both sides and this size");
static_assert(sizeof(OutputParams) == 688,
              "host and device must agree: change both sides and this size");
static_assert(sizeof(DualParams) == 1384,
              "host and device must agree: change both sides and this size");

}  // namespace qkjit
