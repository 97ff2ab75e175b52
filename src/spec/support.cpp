#include "spec/support.hpp"

#include <algorithm>

#include "spec/names.hpp"

namespace qkjit {
namespace {

template <class E>
Result<void> check_enumerator(const char* name, E value) {
  if (is_enumerator(value)) return {};
  return fail(Code::invalid_argument,
              "spec has {} {}, which is out of range: use the named constants", name,
              static_cast<int>(value));
}

Result<void> check_enumerators(const Spec& spec) {
  for (auto checked :
       {check_enumerator("dtype", spec.dtype), check_enumerator("layout", spec.layout),
        check_enumerator("rounding", spec.rounding), check_enumerator("positions", spec.positions),
        check_enumerator("q_norm", spec.q_norm), check_enumerator("k_norm", spec.k_norm),
        check_enumerator("weight", spec.weight), check_enumerator("bias", spec.bias),
        check_enumerator("weight_dtype", spec.weight_dtype),
        check_enumerator("norm_order", spec.norm_order)}) {
    if (!checked) return checked;
  }
  return {};
}

Result<void> check(const Spec& spec) {
  if (auto checked = check_enumerators(spec); !checked) return checked;
  if (spec.head_dim < 1) {
    return fail(Code::invalid_argument, "head_dim={} is not positive: use 1 to {}", spec.head_dim,
                kMaxHeadDim);
  }
  if (spec.head_dim > kMaxHeadDim) {
    return fail(Code::unsupported, "head_dim={} is above {}: use a head_dim up to {}",
                spec.head_dim, kMaxHeadDim, kMaxHeadDim);
  }
  if (spec.rope_dim < 0 || spec.rope_dim > spec.head_dim) {
    return fail(Code::invalid_argument, "rope_dim={} is not within 0..head_dim={}: use at most {}",
                spec.rope_dim, spec.head_dim, spec.head_dim / 2 * 2);
  }
  if (spec.rope_dim % 2 != 0) {
    return fail(Code::invalid_argument, "rope_dim={} is odd, but elements rotate in pairs: use {}",
                spec.rope_dim, spec.rope_dim - 1);
  }
  if (spec.bias == Bias::yes && spec.q_norm != Norm::layer && spec.k_norm != Norm::layer) {
    return fail(Code::invalid_argument,
                "bias=yes without a LayerNorm: use norm=layer, or leave the bias out");
  }
  if (!has_norm(spec) && spec.rope_dim == 0) {
    return fail(Code::invalid_argument,
                "norm=none with rope_dim=0 leaves nothing to do: use norm=rms, or rotate");
  }
  return {};
}

}  // namespace

Result<Support> supports(const Spec& spec) {
  if (auto checked = check(spec); !checked) return tl::unexpected(checked.error());
  if (spec.head_dim % kChunk == 0 && spec.head_dim <= kMaxFusedHeadDim) {
    return Support{{Path::fused, Reason::none}, ""};
  }
  const int nearest = std::min(ceil_div(spec.head_dim, kChunk) * kChunk, kMaxFusedHeadDim);
  return Support{{Path::generic, Reason::shape},
                 fmt::format("head_dim={}: {}; nearest is {}", spec.head_dim,
                             sentence_of(Reason::shape), nearest)};
}

Result<void> require_fused(const Spec& spec) {
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  if (support->dispatch.path != Path::fused) return fail(Code::unsupported, "{}", support->text);
  return {};
}

}  // namespace qkjit
