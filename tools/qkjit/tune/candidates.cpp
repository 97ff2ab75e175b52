#include "tools/qkjit/tune/candidates.hpp"

#include <algorithm>

#include "kernels/tile.cuh"
#include "spec/variant.hpp"

namespace qkjit::tune {
namespace {

constexpr int kLeastBlockBytes = 512, kMostBlockBytes = 16384;
constexpr int kThreadsOfAMultiprocessor = 2048;

/// Lane counts with up to six chunks a lane, if few of the lanes' places stay empty, and one
/// lane for each chunk or two.
std::vector<int> lane_counts(const Spec& spec) {
  constexpr int kMostSlots = 6;
  const int chunks = spec.head_dim / kChunk;
  const int most = std::min(next_power_of_two(chunks), 32);
  std::vector<int> counts = {most};
  if (chunks < most) counts.push_back(chunks);
  if (chunks % 2 == 0 && next_power_of_two(chunks) != chunks) counts.push_back(chunks / 2);
  for (int lanes = most / 2; lanes > 0 && ceil_div(chunks, lanes) <= kMostSlots; lanes /= 2) {
    const bool has_room = 4 * chunks >= 3 * lanes * ceil_div(chunks, lanes);
    if (has_room && (!rotates_neox(spec) || neox_pairs_in_lane(spec, lanes))) {
      counts.push_back(lanes);
    }
  }
  return counts;
}

/// Blocks that leave registers for so many quarters of a multiprocessor's threads. With those for
/// half of them the compiler asks for all that a row needs at once; left to itself it may wait for
/// the row before it asks for the angles, which a call of few rows feels.
int blocks_for(int threads, int quarters) {
  return std::min(32, kThreadsOfAMultiprocessor * quarters / (4 * threads));
}

bool is_sensible(const Spec& spec, const Variant& v) {
  const int bytes = v.threads / 32 * (32 / v.lanes) * v.rows * spec.head_dim * size_of(spec.dtype);
  // By token, a block is launched with the threads that a token's heads need.
  if (runs_by_token(spec) && v.staging != Staging::registers)
    return v.threads <= 256 && v.rows <= 2;
  if (runs_by_token(spec)) return v.threads >= 256 && bytes >= kMostBlockBytes / 2;
  return v.threads <= 256 && kLeastBlockBytes <= bytes && bytes <= kMostBlockBytes;
}

/// Without the knobs that do nothing here: pairing without pairs apart, and the hints of accesses
/// that bulk copies make.
Variant essence(const Spec& spec, Variant variant) {
  variant.pairing = rotates_neox(spec) ? pairing_of(spec, variant) : Variant{}.pairing;
  if (variant.staging != Staging::registers) variant.load = Variant{}.load;
  if (variant.staging == Staging::bulk) variant.store = Variant{}.store;
  return variant;
}

bool is_same_kernel(const Spec& spec, const Variant& a, const Variant& b) {
  return essence(spec, a) == essence(spec, b);
}

}  // namespace

std::vector<Variant> broad_candidates(const Spec& spec, std::string_view target) {
  std::vector<Variant> candidates;
  const bool modern = compute_capability(target) >= kFirstWithBulk;
  const bool takes_tokens = runs_by_token(spec) || scales_tokens(spec);
  for (const int lanes : lane_counts(spec)) {
    for (const int rows : {1, 2, 4, 8}) {
      for (const int threads : {32, 64, 128, 160, 256, 512, 1024}) {
        for (const Staging staging : {Staging::registers, Staging::bulk_load, Staging::bulk}) {
          for (const int blocks : {0, blocks_for(threads, 2)}) {
            const Variant variant{.lanes = lanes,
                                  .rows = rows,
                                  .threads = threads,
                                  .blocks = blocks,
                                  .span = takes_tokens ? Span::token : Span::slice,
                                  .staging = staging,
                                  .pdl = modern};
            if (is_sensible(spec, variant) && check_variant(spec, variant, target)) {
              candidates.push_back(variant);
            }
          }
        }
      }
    }
  }
  // The first one serves every call.
  std::ranges::stable_partition(
      candidates, [](const Variant& variant) { return variant.staging == Staging::registers; });
  return candidates;
}

std::vector<Variant> neighbours(const Spec& spec, const Variant& best, std::string_view target) {
  std::vector<Variant> turned(8, best);
  turned[0].load = best.load == Hint::normal ? Hint::streaming : Hint::normal;
  turned[1].store = best.store == Hint::normal ? Hint::streaming : Hint::normal;
  turned[2].span = best.span == Span::slice ? Span::token : Span::slice;
  turned[3].pdl = !best.pdl;
  turned[4].pairing = Pairing::shuffle;
  for (int i = 0; i < 3; ++i) turned[5 + i].blocks = blocks_for(best.threads, 2 + i);
  std::erase_if(turned, [&](const Variant& variant) {
    return is_same_kernel(spec, variant, best) || !check_variant(spec, variant, target);
  });
  return turned;
}

}  // namespace qkjit::tune
