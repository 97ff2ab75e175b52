#include "spec/support.hpp"

#include <algorithm>

#include "spec/names.hpp"

namespace qkjit {
namespace {

Result<void> check(const Spec& spec) {
  if (!is_enumerator(spec.dtype) || !is_enumerator(spec.layout) || !is_enumerator(spec.rounding) ||
      !is_enumerator(spec.positions) || !is_enumerator(spec.norm)) {
    return fail(
        Code::invalid_argument,
        "spec has dtype {}, layout {}, rounding {}, positions {}, norm {}: one is out of range; "
        "use the named constants",
        static_cast<int>(spec.dtype), static_cast<int>(spec.layout),
        static_cast<int>(spec.rounding), static_cast<int>(spec.positions),
        static_cast<int>(spec.norm));
  }
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
  if (spec.norm == Norm::none && spec.rope_dim == 0) {
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
