#include "spec/variant.hpp"

#include "kernels/tile.cuh"
#include "spec/fields.hpp"
#include "spec/text.hpp"

namespace qkjit {
namespace {

constexpr int kSharedBytes = 48 * 1024;  // that a kernel may declare statically

Field<Variant> flag_field(std::string_view name, bool Variant::*member) {
  const auto parse = [=](std::string_view value, Variant& to) -> Result<void> {
    to.*member = value == "yes";
    if (value == "yes" || value == "no") return {};
    return fail(Code::invalid_argument, "field {}={}: needs yes or no", name, value);
  };
  return {name, false, parse,
          [=](const Variant& from) { return std::string(from.*member ? "yes" : "no"); },
          [=](const Variant& from) { return from.*member == Variant{}.*member; }};
}

/// In canonical order. A new field of Variant needs a line here.
const std::vector<Field<Variant>>& fields() {
  static const std::vector<Field<Variant>> all = {
      integer_field("lanes", &Variant::lanes, true),
      integer_field("rows", &Variant::rows, true),
      integer_field("threads", &Variant::threads, true),
      integer_field("blocks", &Variant::blocks, false),
      enum_field("span", &Variant::span, false),
      enum_field("pairing", &Variant::pairing, false),
      enum_field("staging", &Variant::staging, false),
      enum_field("load", &Variant::load, false),
      enum_field("store", &Variant::store, false),
      flag_field("pdl", &Variant::pdl),
  };
  return all;
}

/// Shared memory that a block declares, and what its launch may ask for.
int shared_bytes(const Spec& spec, const Variant& v) {
  const int groups = v.threads / 32 * (32 / v.lanes);
  const int shown = exchanges(spec, v) ? groups * spec.head_dim * 4 : 0;
  const bool staged = v.staging != Staging::registers;
  const int barriers = staged ? v.threads / 4 : 0;
  if (runs_by_token(spec) && staged) return shown + barriers + kMostStagedTokenBytes;
  const int sums = norms_across_heads(spec) ? groups * v.rows * 4 : 0;
  return shown + sums + barriers +
         (staged ? groups * v.rows * spec.head_dim * size_of(spec.dtype) : 0);
}

}  // namespace

std::string to_text(const Variant& variant) { return fields_to_text(fields(), variant); }

Result<Variant> parse_variant(std::string_view text) {
  return parse_fields(fields(), "variant", text);
}

int compute_capability(std::string_view target) {
  int number = 0;
  if (!target.starts_with("sm_")) return 0;
  std::from_chars(target.data() + 3, target.data() + target.size(), number);
  return number;
}

Result<void> check_names_gpu(std::string_view target) {
  constexpr std::string_view kVirtual = "compute_";
  if (!target.starts_with(kVirtual)) return {};
  return fail(Code::invalid_argument, "target '{}' names no GPU: use sm_{}", target,
              target.substr(kVirtual.size()));
}

Result<void> check_variant(const Spec& spec, const Variant& v, std::string_view target) {
  const auto refuse = [&](std::string_view need) {
    return fail(Code::invalid_argument, "variant {} of {} for {}: {}", to_text(v), to_text(spec),
                target, need);
  };
  if (!is_lane_count(spec, v.lanes)) {
    const int chunks = spec.head_dim / kChunk;
    std::string others;
    for (const int lanes : {chunks, chunks / 2}) {
      const bool is_power = next_power_of_two(lanes) == lanes;
      if (is_lane_count(spec, lanes) && !is_power) others += fmt::format(", or {}", lanes);
    }
    return refuse(fmt::format("lanes must be a power of two up to {}{}",
                              std::min(32, next_power_of_two(chunks)), others));
  }
  if (v.rows < 1 || v.rows > 32) return refuse("rows must be 1 to 32");
  if (v.threads < 32 || v.threads > 1024 || v.threads % 32 != 0) {
    return refuse("threads must be a multiple of 32 up to 1024");
  }
  if (v.blocks < 0 || v.blocks > 32) return refuse("blocks must be 0 to 32");
  const bool staged = v.staging != Staging::registers;
  if (runs_by_token(spec) && v.span != Span::token) {
    return refuse("norm_scope=token and weights=per_head need span=token");
  }
  if (staged && v.span != Span::slice && !runs_by_token(spec)) {
    return refuse("bulk copies need span=slice");
  }
  if (scales_tokens(spec) && (staged || v.span != Span::token)) {
    return refuse("out_scale=token needs span=token and staging=registers");
  }
  if (v.staging == Staging::bulk && has_other_outputs(spec)) {
    return refuse(
        "bulk copies store rows of the dtype in order: FP8 and a paged cache need "
        "staging=registers or bulk_load");
  }
  if ((staged || v.pdl) && compute_capability(target) < kFirstWithBulk) {
    return refuse("bulk copies and pdl need sm_90 or newer");
  }
  if (shared_bytes(spec, v) > kSharedBytes) {
    return refuse(
        fmt::format("it needs {} bytes of shared memory, {} can be had: take fewer "
                    "threads or rows",
                    shared_bytes(spec, v), kSharedBytes));
  }
  return {};
}

}  // namespace qkjit
