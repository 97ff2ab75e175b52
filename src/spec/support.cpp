#include "spec/support.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "spec/names.hpp"

namespace qkjit {
namespace {

/// Pairs that turn by two angles each: one model has them, with neox.
Result<void> check_elements(const Spec& spec) {
  if (spec.table_width != TableWidth::elements) return {};
  if (spec.layout == Layout::neox && !has_sections(spec)) return {};
  return fail(Code::unsupported,
              "table_width=elements with layout={}{}: it is for layout=neox without sections; use "
              "table_width=full",
              name_of(spec.layout), has_sections(spec) ? " and sections" : "");
}

/// Every angle belongs to one axis, and every axis can have as many as its section says.
Result<void> check_sections(const Spec& spec) {
  const auto& [first, second, third] = spec.sections;
  if (std::ranges::equal(spec.sections, Spec{}.sections)) return {};
  const std::string given = fmt::format("sections={}", fmt::join(spec.sections, "+"));
  const int angles = spec.rope_dim / 2;
  if (std::ranges::min(spec.sections) < 1 || first > angles || second > angles || third > angles ||
      first + second + third != angles) {
    return fail(Code::invalid_argument,
                "{}: needs three positive numbers whose sum is rope_dim/2={}", given, angles);
  }
  if (spec.positions == Positions::implicit || spec.positions == Positions::segments) {
    return fail(Code::invalid_argument,
                "{} with positions={}: a token's own number is no position on three axes; "
                "use positions=int64, int32 or grid",
                given, name_of(spec.positions));
  }
  const int most_second = (angles + 1) / 3, most_third = angles / 3;
  if (spec.section_order == SectionOrder::interleaved &&
      (second > most_second || third > most_third)) {
    return fail(Code::invalid_argument,
                "{} with section_order=interleaved: in turns, the second axis has at most {} and "
                "the third at most {} of {} angles; use those, or section_order=contiguous",
                given, most_second, most_third, angles);
  }
  return {};
}

/// A grid has three axes, which sections deal out.
Result<void> check_positions(const Spec& spec) {
  if (spec.positions == Positions::grid && !has_sections(spec)) {
    return fail(Code::invalid_argument,
                "positions=grid without sections: they say which angles are of which of a grid's "
                "three axes; use sections, or positions=implicit");
  }
  if (spec.positions == Positions::segments && spec.batch == Batch::strided) {
    return fail(
        Code::unsupported,
        "positions=segments with batch=strided: segments are of one sequence of tokens; use "
        "batch=folded");
  }
  return {};
}

/// Of positions in device memory alone nobody knows before the call whether the table has them.
Result<void> check_bounds(const Spec& spec) {
  if (spec.bounds == Bounds::unchecked) return {};
  const bool is_computed = spec.angles == Angles::computed;
  const bool is_known = spec.positions == Positions::implicit || spec.positions == Positions::grid;
  if (!is_computed && !is_known) return {};
  return fail(
      Code::invalid_argument, "bounds=checked with {}: {}; leave bounds out",
      is_computed ? "angles=computed" : fmt::format("positions={}", name_of(spec.positions)),
      is_computed ? "there is no table to be outside of"
                  : "every call's are checked before it is launched");
}

/// No model has a LayerNorm across heads.
Result<void> check_scope(const Spec& spec) {
  if (!norms_across_heads(spec)) return {};
  if (spec.q_norm != Norm::layer && spec.k_norm != Norm::layer) return {};
  return fail(
      Code::unsupported,
      "norm_scope=token with norm=layer: across heads there is RMSNorm alone; use norm=rms, "
      "or norm_scope=head");
}

/// Without a table there is nothing to say of one.
Result<void> check_angles(const Spec& spec) {
  const Spec defaults;
  const bool says_nothing = spec.table == defaults.table &&
                            spec.table_width == defaults.table_width &&
                            spec.table_heads == defaults.table_heads;
  if (spec.angles == Angles::table || says_nothing) return {};
  return fail(Code::invalid_argument,
              "angles=computed with table={}, table_width={}, table_heads={}: computed angles have "
              "no table; leave these out, or use angles=table",
              name_of(spec.table), name_of(spec.table_width), name_of(spec.table_heads));
}

/// Where a block has a token's q or its k, it has no place yet for what is largest in them.
Result<void> check_scales(const Spec& spec) {
  if (!scales_tokens(spec) || !runs_by_token(spec)) return {};
  return fail(
      Code::unsupported,
      "out_scale=token with {}: it takes norms and weights of each head; use out_scale=head "
      "or static",
      norms_across_heads(spec) ? "norm_scope=token" : "weights=per_head");
}

template <class E>
Result<void> check_enumerator(const char* name, E value) {
  if (is_enumerator(value)) return {};
  return fail(Code::invalid_argument,
              "spec has {} {}, which is out of range: use the named constants", name,
              static_cast<int>(value));
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
  if (auto checked = check_scope(spec); !checked) return checked;
  if (auto checked = check_angles(spec); !checked) return checked;
  if (auto checked = check_scales(spec); !checked) return checked;
  if (auto checked = check_elements(spec); !checked) return checked;
  if (auto checked = check_positions(spec); !checked) return checked;
  if (auto checked = check_bounds(spec); !checked) return checked;
  return check_sections(spec);
}

}  // namespace

std::string_view field_against_dual(const Spec& spec) {
  if (norms_across_heads(spec)) return "norm_scope=token";
  if (spec.weights == Weights::per_head) return "weights=per_head";
  return spec.angles == Angles::computed ? "angles=computed" : "";
}

Result<void> check_enumerators(const Spec& spec) {
  for (auto checked : {check_enumerator("dtype", spec.dtype),
                       check_enumerator("layout", spec.layout),
                       check_enumerator("rounding", spec.rounding),
                       check_enumerator("positions", spec.positions),
                       check_enumerator("q_norm", spec.q_norm),
                       check_enumerator("k_norm", spec.k_norm),
                       check_enumerator("weight", spec.weight),
                       check_enumerator("bias", spec.bias),
                       check_enumerator("weight_dtype", spec.weight_dtype),
                       check_enumerator("norm_order", spec.norm_order),
                       check_enumerator("table", spec.table),
                       check_enumerator("table_width", spec.table_width),
                       check_enumerator("placement", spec.placement),
                       check_enumerator("section_order", spec.section_order),
                       check_enumerator("norm_scope", spec.norm_scope),
                       check_enumerator("angles", spec.angles),
                       check_enumerator("weights", spec.weights),
                       check_enumerator("batch", spec.batch),
                       check_enumerator("v", spec.v),
                       check_enumerator("table_heads", spec.table_heads),
                       check_enumerator("bounds", spec.bounds),
                       check_enumerator("q_out", spec.q_out),
                       check_enumerator("k_out", spec.k_out),
                       check_enumerator("out_scale", spec.out_scale),
                       check_enumerator("cache", spec.cache),
                       check_enumerator("slots", spec.slots)}) {
    if (!checked) return checked;
  }
  return {};
}

Result<Support> supports(const Spec& spec) {
  if (auto checked = check(spec); !checked) return tl::unexpected(checked.error());
  if (spec.head_dim % kChunk != 0 || spec.head_dim > kMaxFusedHeadDim) {
    const int nearest = std::min(ceil_div(spec.head_dim, kChunk) * kChunk, kMaxFusedHeadDim);
    return Support{{Path::generic, Reason::shape},
                   fmt::format("head_dim={}: {}; nearest is {}", spec.head_dim,
                               sentence_of(Reason::shape), nearest)};
  }
  if (rotated_begin(spec) % kChunk != 0) {
    const int nearest = ceil_div(spec.rope_dim, kChunk) * kChunk;
    return Support{{Path::generic, Reason::shape},
                   fmt::format("placement=tail with head_dim={}, rope_dim={}: {}; nearest is "
                               "rope_dim={}",
                               spec.head_dim, spec.rope_dim, sentence_of(Reason::shape), nearest)};
  }
  return Support{{Path::fused, Reason::none}, ""};
}

Result<void> require_fused(const Spec& spec) {
  const auto support = supports(spec);
  if (!support) return tl::unexpected(support.error());
  if (support->dispatch.path != Path::fused) return fail(Code::unsupported, "{}", support->text);
  return {};
}

}  // namespace qkjit
