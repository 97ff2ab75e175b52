// How the outputs of a problem may be of another kind, for every suite that runs kernels on them.
#pragma once

#include "tests/support/batch_forms.hpp"

namespace qkjit::test {

/// Of a spec: which outputs are FP8, whose the scales are, and whether k and V go to a cache.
constexpr Spec with_outputs(Spec spec, Out q_out, Out k_out, OutScale scale = OutScale::given,
                            Cache cache = Cache::none, Slots slots = Slots::int64) {
  spec.q_out = q_out, spec.k_out = k_out, spec.out_scale = scale;
  spec.cache = cache, spec.slots = slots;
  return spec;
}

inline constexpr int kOutputForms = 12;

/// Form `n` of the list, in which every two values of the fields meet.
constexpr Spec output_spec(Spec spec, int n) {
  constexpr Out kSame = Out::same, kFp8 = Out::fp8_e4m3;
  constexpr OutScale kGiven = OutScale::given, kHead = OutScale::head;
  constexpr Cache kNone = Cache::none, kPaged = Cache::paged;
  switch (n % kOutputForms) {
    case 0:
      return with_outputs(spec, kFp8, kFp8, kGiven);
    case 1:
      return with_outputs(spec, kFp8, kSame, kHead);
    case 2:
      return with_outputs(spec, kSame, kSame, kGiven, kPaged, Slots::int64);
    case 3:
      return with_outputs(spec, kSame, kFp8, kGiven, kPaged, Slots::int32);
    case 4:
      return with_outputs(spec, kFp8, kFp8, kHead, kPaged, Slots::int64);
    case 5:
      return with_outputs(spec, kSame, kFp8, kHead, kNone);
    case 6:
      return with_outputs(spec, kFp8, kSame, kGiven, kPaged, Slots::int64);
    case 7:
      return with_outputs(spec, kSame, kSame, kGiven, kPaged, Slots::int32);
    case 8:
      return with_outputs(spec, kFp8, kFp8, kHead, kPaged, Slots::int32);
    case 9:
      return with_outputs(spec, kFp8, kFp8, kHead, kNone);
    case 10:
      return with_outputs(spec, kFp8, kFp8, OutScale::token, kNone);
    default:
      return with_outputs(spec, kSame, kFp8, OutScale::token, kPaged, Slots::int32);
  }
}

/// The rest of a problem in turn: cuts of pages and blocks, and forms of given scales, those of
/// sequences where batches are strided.
inline ProblemConfig with_output_turns(ProblemConfig config, std::size_t number) {
  constexpr int kBlockSizes[] = {1, 4, 16, 3};
  config.block_size = kBlockSizes[number % 4];
  config.pages = static_cast<Pages>(number / 2 % 3);
  const bool strided = config.spec.batch == Batch::strided;
  config.scales = static_cast<ScaleForm>(number % (strided ? 3 : 2));
  if (config.spec.v == Values::copy && config.heads_k > 0) {
    config.heads_v = number % 3 == 0 ? config.heads_k + 1 : config.heads_k;
  }
  return config;
}

}  // namespace qkjit::test
