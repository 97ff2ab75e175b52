// A generated problem: every tensor of one call, in memory of its own, with canaries where the call
// must not write.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "op/check.hpp"
#include "qkjit/qkjit.h"
#include "tests/support/values.hpp"

namespace qkjit::test {

/// How the rows of q and k lie in memory. Out of place, the outputs lie in another way.
enum class Strides {
  contiguous,  ///< [tokens, heads, head_dim]
  packed,      ///< q and k are views of one [tokens, (heads_q + 2 * heads_k) * head_dim]
  head_major,  ///< [heads, tokens, head_dim]
  gaps,        ///< q with gaps after every head and token, k head-major with gaps
};

/// How the blocks of a paged cache lie: [blocks, block_size, heads, head_dim] of k and of V apart,
/// as in vLLM; both in one page, as in FlashInfer, token by token or head by head.
enum class Pages { apart, combined, combined_by_head };

/// Of given FP8 scales, one for all; one a head; one a head of each sequence.
enum class ScaleForm { one, heads, sequences };

struct ProblemConfig {
  Spec spec;
  std::int64_t tokens = 5;
  int heads_q = 3;  ///< 0: the call has no q; and no k alike
  int heads_k = 2;
  Strides strides = Strides::contiguous;
  bool in_place = true;
  Data data = Data::normal;
  std::int64_t position_offset = 0;
  int misalignment = 0;     ///< elements by which every tensor misses a 16-byte boundary
  bool joint_table = true;  ///< cos_sin_cache; else cos and sin
  int table_gap = 0;        ///< elements between rows of the table, and between axes of positions
  float eps = 1e-6f;
  std::uint64_t seed = 1;
  qkjit_frequencies frequencies = {1e4, 1, 1, 0, 0, 1};  ///< where angles are computed
  int batches = 0;               ///< sequences of `tokens` each; 0: one, and no batch dimension
  std::int64_t tokens_k = -1;    ///< -1: as many as q; not with Strides::packed
  bool gap_of_batches = false;   ///< between sequences, so that none of any strides fold
  bool batch_positions = true;   ///< [batch, tokens]; else [tokens] for all sequences
  bool own_k_positions = false;  ///< k_positions too
  int heads_v = 0;               ///< of specs with Values::copy, of which k has heads too
  bool head_major_table = true;  ///< of heads with tables of their own: [heads, rows] in memory
  ScaleForm scales = ScaleForm::heads;
  Pages pages = Pages::apart;  ///< combined ones if V has as many heads as k
  int block_size = 4;

  std::int64_t tokens_of_k() const { return tokens_k < 0 ? tokens : tokens_k; }
  /// Of all sequences, which have as many each.
  std::int64_t tokens_in_all() const { return tokens * (batches > 0 ? batches : 1); }
  /// Of specs with Positions::grid, for so many tokens.
  qkjit_grid grid() const;
};

std::string to_text(const ProblemConfig& config);

/// On 16 bytes, and of exactly the requested size, so that ASan sees the first byte beyond.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{16};

  AlignedAllocator() = default;
  template <class U>
  AlignedAllocator(const AlignedAllocator<U>&) {}
  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, std::size_t) { ::operator delete(memory, kAlignment); }
  friend bool operator==(AlignedAllocator, AlignedAllocator) { return true; }
};

/// One allocation. What no tensor covers holds canaries.
struct Block {
  std::string name;
  std::vector<std::byte, AlignedAllocator<std::byte>> bytes;
};

/// Where an argument of the call lies.
struct Argument {
  const char* name;
  qkjit_tensor qkjit_args::*field;
  std::size_t block;
  std::size_t offset;  ///< bytes from the block's begin
  qkjit_tensor view;   ///< without its address
};

/// A value: copies are independent. The elements depend on seed, spec and counts only, never on
/// strides, alignment or how the table is cut. What the library need not read of a table is
/// canaries: gaps, and the second one of equal values.
class Problem {
 public:
  explicit Problem(const ProblemConfig& config);

  const ProblemConfig& config() const { return config_; }
  std::vector<Block>& blocks() { return blocks_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  std::span<const Argument> arguments() const { return arguments_; }
  /// The arguments that the call writes: q_out and k_out, or in place q and k, or caches; v_out;
  /// and scales that are found.
  std::vector<Argument> outputs() const;

  /// The call on this problem's own memory.
  qkjit_args args();
  /// The call on copies of the blocks: block i lies at bases[i], on 16 bytes at least.
  qkjit_args args(std::span<void* const> bases) const;

 private:
  std::size_t add_block(std::string name, std::size_t bytes);
  void place_heads();
  void place_heads(const char* name, qkjit_tensor qkjit_args::*field, const qkjit_tensor& view);
  void place_packed();
  qkjit_tensor head_view(Strides strides, int heads, bool is_q) const;
  void place_norm(Norm norm, int heads, std::array<const char*, 2> names,
                  qkjit_tensor qkjit_args::*weight, qkjit_tensor qkjit_args::*bias);
  void place_table();
  void place_segments();
  void place_positions(const char* name, qkjit_tensor qkjit_args::*field, std::int64_t tokens);
  void place_dense(const char* name, qkjit_tensor qkjit_args::*field, qkjit_tensor view,
                   std::size_t element_size);
  void fill();
  void fill_table();
  void fill_values(const Argument& v);
  void fill_segments(const Argument& segments);
  void fill_positions(const Argument& positions, Random& random);
  void place_outputs(Strides strides);
  void place_caches();
  void place_scales(const char* name, qkjit_tensor qkjit_args::*field, int heads, bool is_q);
  void fill_slots(const Argument& slots);
  bool has(qkjit_tensor qkjit_args::*field) const;
  std::byte* begin_of(const Argument& argument);

  ProblemConfig config_;
  std::int64_t table_rows_ = 0;
  std::vector<Block> blocks_;
  std::vector<Argument> arguments_;
};

/// Whether the argument is q, k, v, an output or a cache.
bool is_head_tensor(const Argument& argument);
/// Whether it is of FP8 scales.
bool is_scale(const Argument& argument);

/// Calls `visit(token, head, element)` for every row of such a view, with the row's first element:
/// tokens are numbered through all sequences.
template <class Visit>
void visit_rows(const qkjit_tensor& view, Visit visit) {
  const int first = view.rank == 4 ? 1 : 0;  // dimension of the tokens
  const std::int64_t batches = first == 1 ? view.shape[0] : 1, tokens = view.shape[first];
  for (std::int64_t token = 0; token < batches * tokens; ++token) {
    for (std::int64_t head = 0; head < view.shape[first + 1]; ++head) {
      const std::int64_t batch = token / tokens;
      visit(token, head,
            (first == 1 ? batch * view.strides[0] : 0) + token % tokens * view.strides[first] +
                head * view.strides[first + 1]);
    }
  }
}

/// Bytes of an element of an argument.
std::size_t element_size(qkjit_dtype dtype);

}  // namespace qkjit::test
