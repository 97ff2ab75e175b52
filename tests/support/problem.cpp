#include "tests/support/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "kernels/table.cuh"
#include "spec/names.hpp"
#include "spec/text.hpp"

namespace qkjit::test {
namespace {

constexpr std::byte kCanary{0xff};   // as elements: NaN, which spoils any row that reads it
constexpr std::size_t kMargin = 64;  // bytes of canary around a tensor that is written
constexpr std::int64_t kGap = 16;    // elements; keeps rows on 16 bytes
constexpr std::array kStridesNames = {"contiguous", "packed", "head_major", "gaps"};

struct RowStrides {
  std::int64_t batch, token, head;
};

/// Of q, or of k or v, without gaps between sequences.
RowStrides row_strides(Strides strides, const ProblemConfig& config, std::int64_t heads,
                       bool is_q) {
  const std::int64_t head_dim = config.spec.head_dim, gapped = head_dim + kGap;
  const std::int64_t tokens = is_q ? config.tokens : config.tokens_of_k();
  switch (strides) {
    case Strides::packed: {
      const std::int64_t row = (config.heads_q + 2 * config.heads_k) * head_dim;
      return {tokens * row, row, head_dim};
    }
    case Strides::head_major:
      return {heads * tokens * head_dim, head_dim, tokens * head_dim};
    case Strides::gaps:
      if (is_q) return {tokens * (heads * gapped + kGap), heads * gapped + kGap, gapped};
      return {heads * (tokens * gapped + kGap), gapped, tokens * gapped + kGap};
    case Strides::contiguous:
      break;
  }
  return {tokens * heads * head_dim, heads * head_dim, head_dim};
}

/// Elements from the first to behind the last.
std::int64_t span_of(const qkjit_tensor& view) {
  std::int64_t elements = 1;
  for (int i = 0; i < view.rank; ++i) elements += (view.shape[i] - 1) * view.strides[i];
  return elements;
}

bool is_table(const Argument& a) {
  return a.field == &qkjit_args::cos_sin_cache || a.field == &qkjit_args::cos ||
         a.field == &qkjit_args::sin;
}

std::int64_t segments_of(std::int64_t tokens) { return std::min<std::int64_t>(tokens, 5); }

void put_int32(std::byte* to, std::int64_t index, std::int64_t value) {
  const auto narrow = static_cast<std::int32_t>(value);
  std::memcpy(to + 4 * index, &narrow, sizeof(narrow));
}

/// Random rows of the table, the first and the last among them.
std::int64_t position(std::int64_t token, std::int64_t table_rows, Random& random) {
  if (token == 0) return table_rows - 1;
  if (token == 1) return 0;
  return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(table_rows));
}

/// A position that has no table: of either sign, mostly below a million, some near the type's end.
std::int64_t any_position(Positions type, Random& random) {
  const std::int64_t far = type == Positions::int32 ? 1ll << 30 : 1ll << 37;
  const std::int64_t range = random() % 4 == 0 ? far : 1'000'000;
  const auto value = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(range));
  return random() % 8 == 0 ? -value : value;
}

}  // namespace

std::size_t element_size(qkjit_dtype dtype) {
  constexpr std::array<std::size_t, 6> kSizes = {2, 2, 4, 4, 8, 1};
  return kSizes[dtype];
}

std::string to_text(const ProblemConfig& c) {
  return fmt::format(
      "{}, batches={}{}, {}positions{}, tokens={}/{}, heads={}/{}/{}, {} {}, {} data, "
      "position_offset={}, misalignment={}, {} table, "
      "table_gap={}, eps={}, scales={}, pages={}, block_size={}, seed={}",
      qkjit::to_text(c.spec), c.batches, c.gap_of_batches ? " with gaps" : "",
      c.batch_positions ? "" : "shared ", c.own_k_positions ? " of each" : "", c.tokens,
      c.tokens_of_k(), c.heads_q, c.heads_k, c.heads_v,
      kStridesNames[static_cast<std::size_t>(c.strides)], c.in_place ? "in place" : "out of place",
      c.data == Data::normal ? "normal" : "special", c.position_offset, c.misalignment,
      c.joint_table ? "joint" : "separate", c.table_gap, c.eps, static_cast<int>(c.scales),
      static_cast<int>(c.pages), c.block_size, c.seed);
}

qkjit_grid ProblemConfig::grid() const {
  std::int64_t width = 1;
  for (std::int64_t i = 2; i * i <= tokens; ++i) width = tokens % i == 0 ? i : width;
  const std::int64_t rest = tokens / width, height = rest % 3 == 0 ? 3 : rest % 2 == 0 ? 2 : 1;
  qkjit_grid grid{{rest / height, height, width}, {}};
  for (int axis = 0; axis < 3; ++axis) {  // the last row of the table is that of the last token
    const std::int64_t spare = tokens - grid.extents[axis];
    grid.first[axis] = axis == 1 ? 0 : spare;
  }
  return grid;
}

Problem::Problem(const ProblemConfig& config) : config_(config) {
  const Spec& spec = config_.spec;
  place_heads();
  if (config_.heads_q > 0) {
    place_norm(spec.q_norm, config_.heads_q, {"q_weight", "q_bias"}, &qkjit_args::q_weight,
               &qkjit_args::q_bias);
  }
  if (config_.heads_k > 0) {
    place_norm(spec.k_norm, config_.heads_k, {"k_weight", "k_bias"}, &qkjit_args::k_weight,
               &qkjit_args::k_bias);
  }
  if (spec.rope_dim > 0) {
    if (spec.angles == Angles::table) place_table();
    if (spec.positions == Positions::segments) {
      place_segments();
    } else if (is_given_or_implicit(spec.positions) && spec.positions != Positions::implicit) {
      const std::int64_t both = std::max(config_.tokens, config_.tokens_of_k());
      place_positions("positions", &qkjit_args::positions,
                      config_.own_k_positions ? config_.tokens : both);
      if (config_.own_k_positions) {
        place_positions("k_positions", &qkjit_args::k_positions, config_.tokens_of_k());
      }
    }
  }
  if (spec.bounds == Bounds::checked) {
    place_dense("position_error", &qkjit_args::position_error,
                qkjit_tensor_1d(nullptr, QKJIT_INT32, 1), 4);
  }
  fill();
}

std::size_t Problem::add_block(std::string name, std::size_t bytes) {
  blocks_.push_back({std::move(name), {}});
  blocks_.back().bytes.assign(bytes, kCanary);
  return blocks_.size() - 1;
}

void Problem::place_heads() {
  const int q = config_.heads_q, k = config_.heads_k, v = config_.heads_v;
  const Strides strides = config_.strides;
  if (strides == Strides::packed) {
    place_packed();
  } else {
    place_heads("q", &qkjit_args::q, head_view(strides, q, true));
    place_heads("k", &qkjit_args::k, head_view(strides, k, false));
  }
  const Strides of_v = strides == Strides::packed ? Strides::contiguous : strides;
  place_heads("v", &qkjit_args::v, head_view(of_v, v, false));
  place_outputs(strides == Strides::gaps ? Strides::contiguous : Strides::gaps);
  place_scales("q_scale", &qkjit_args::q_scale, q, true);
  place_scales("k_scale", &qkjit_args::k_scale, k, false);
  place_scales("v_scale", &qkjit_args::v_scale, v, false);
}

/// What can be in place is, if the configuration says so.
void Problem::place_outputs(Strides strides) {
  const Spec& spec = config_.spec;
  const auto place = [&](const char* name, qkjit_tensor qkjit_args::*field, int heads, bool is_q) {
    qkjit_tensor view = head_view(strides, heads, is_q);
    if (is_fp8(spec, is_q)) view.dtype = QKJIT_FP8_E4M3;
    const bool in_place = field != &qkjit_args::v_out && config_.in_place && !is_fp8(spec, is_q);
    if (!in_place) place_heads(name, field, view);
  };
  place("q_out", &qkjit_args::q_out, config_.heads_q, true);
  if (spec.cache == Cache::paged) return place_caches();
  place("k_out", &qkjit_args::k_out, config_.heads_k, false);
  place("v_out", &qkjit_args::v_out, config_.heads_v, false);
}

/// Blocks for all tokens of k and one more, in one allocation or in two.
void Problem::place_caches() {
  if (config_.heads_k == 0) return;
  const Spec& spec = config_.spec;
  const std::int64_t tokens = config_.tokens_of_k() * std::max(config_.batches, 1);
  const std::int64_t size = config_.block_size, blocks = (tokens + size - 1) / size + 1;
  const std::int64_t k = config_.heads_k, v = config_.heads_v, head_dim = spec.head_dim;
  const bool combined = config_.pages != Pages::apart && k == v;
  const bool by_head = combined && config_.pages == Pages::combined_by_head;
  const auto view_of = [&](std::int64_t heads) {
    const std::int64_t block = size * heads * head_dim * (combined ? 2 : 1);
    return qkjit_tensor{
        nullptr,
        is_fp8(spec, false) ? QKJIT_FP8_E4M3 : static_cast<qkjit_dtype>(spec.dtype),
        4,
        {blocks, size, heads, head_dim},
        {block, by_head ? head_dim : heads * head_dim, by_head ? size * head_dim : head_dim, 1}};
  };
  place_heads("k_cache", &qkjit_args::k_cache, view_of(k));
  if (combined) {  // V's part of a page follows k's
    Argument cache = arguments_.back();
    const auto part =
        static_cast<std::size_t>(size * k * head_dim) * element_size(cache.view.dtype);
    blocks_[cache.block].bytes.insert(blocks_[cache.block].bytes.end(), part, kCanary);
    cache.name = "v_cache", cache.field = &qkjit_args::v_cache, cache.offset += part;
    arguments_.push_back(cache);
  } else {
    place_heads("v_cache", &qkjit_args::v_cache, view_of(v));
  }
  const auto type = spec.slots == Slots::int64 ? QKJIT_INT64 : QKJIT_INT32;
  place_dense("slot_mapping", &qkjit_args::slot_mapping, qkjit_tensor_1d(nullptr, type, tokens),
              element_size(type));
}

/// Found ones have gaps between tokens, and canaries there.
void Problem::place_scales(const char* name, qkjit_tensor qkjit_args::*field, int heads,
                           bool is_q) {
  const Spec& spec = config_.spec;
  if (heads == 0 || !is_fp8(spec, is_q)) return;
  qkjit_tensor view{nullptr, QKJIT_FP32, 0, {}, {}};
  const auto add = [&](std::int64_t count, std::int64_t stride) {
    view.shape[view.rank] = count, view.strides[view.rank] = stride;
    ++view.rank;
  };
  if (spec.out_scale == OutScale::given) {
    const bool of_sequences = config_.scales == ScaleForm::sequences && config_.batches > 0;
    if (of_sequences) add(config_.batches, heads + 3);
    add(config_.scales == ScaleForm::one ? 1 : heads, 1);
    return place_dense(name, field, view, sizeof(float));
  }
  const std::int64_t tokens = is_q ? config_.tokens : config_.tokens_of_k(), row = heads + 1;
  if (config_.batches > 0) add(config_.batches, tokens * row + (config_.gap_of_batches ? 5 : 0));
  if (scales_tokens(spec)) {
    view = {nullptr, QKJIT_FP32, 0, {}, {}};
    if (config_.batches > 0) add(config_.batches, tokens + (config_.gap_of_batches ? 5 : 0));
    add(tokens, 1);
    return place_dense(name, field, view, sizeof(float));
  }
  add(tokens, row);
  add(heads, 1);
  place_dense(name, field, view, sizeof(float));
}

qkjit_tensor Problem::head_view(Strides strides, int heads, bool is_q) const {
  const auto dtype = static_cast<qkjit_dtype>(config_.spec.dtype);
  const std::int64_t tokens = is_q ? config_.tokens : config_.tokens_of_k();
  const RowStrides s = row_strides(strides, config_, heads, is_q);
  const std::int64_t batch = s.batch + (config_.gap_of_batches ? kGap : 0);
  if (config_.batches == 0) {
    return {nullptr, dtype, 3, {tokens, heads, config_.spec.head_dim, 0}, {s.token, s.head, 1, 0}};
  }
  return {nullptr,
          dtype,
          4,
          {config_.batches, tokens, heads, config_.spec.head_dim},
          {batch, s.token, s.head, 1}};
}

/// Nothing for a tensor without heads.
void Problem::place_heads(const char* name, qkjit_tensor qkjit_args::*field,
                          const qkjit_tensor& view) {
  if (view.shape[view.rank - 2] == 0) return;
  const std::size_t size = element_size(view.dtype);
  const std::size_t shift = static_cast<std::size_t>(config_.misalignment) * size;
  const std::size_t bytes = static_cast<std::size_t>(span_of(view)) * size;
  const std::size_t block = add_block(name, kMargin + shift + bytes + kMargin);
  arguments_.push_back({name, field, block, kMargin + shift, view});
}

// The third part, where a model has V, stays canaries.
void Problem::place_packed() {
  const qkjit_tensor q = head_view(Strides::packed, config_.heads_q, true);
  const qkjit_tensor k = head_view(Strides::packed, config_.heads_k, false);
  const std::size_t size = element_size(q.dtype);
  const std::int64_t k_first = std::int64_t{config_.heads_q} * config_.spec.head_dim;
  const std::int64_t v_span = std::int64_t{config_.heads_k} * config_.spec.head_dim;
  const std::size_t begin = kMargin + static_cast<std::size_t>(config_.misalignment) * size;
  const std::int64_t span = k_first + v_span + (config_.heads_k > 0 ? span_of(k) : 0);
  const std::size_t block = add_block(
      "qkv",
      begin +
          static_cast<std::size_t>(config_.heads_q > 0 ? std::max(span, span_of(q)) : span) * size +
          kMargin);
  if (config_.heads_q > 0) arguments_.push_back({"q", &qkjit_args::q, block, begin, q});
  const std::size_t k_begin = begin + static_cast<std::size_t>(k_first) * size;
  if (config_.heads_k > 0) arguments_.push_back({"k", &qkjit_args::k, block, k_begin, k});
}

// No canaries: a byte beyond what is only read is ASan's to find.
void Problem::place_dense(const char* name, qkjit_tensor qkjit_args::*field, qkjit_tensor view,
                          std::size_t size) {
  const std::size_t shift = static_cast<std::size_t>(config_.misalignment) * size;
  const std::size_t block = add_block(name, shift + static_cast<std::size_t>(span_of(view)) * size);
  arguments_.push_back({name, field, block, shift, view});
}

void Problem::place_norm(Norm norm, int heads, std::array<const char*, 2> names,
                         qkjit_tensor qkjit_args::*weight, qkjit_tensor qkjit_args::*bias) {
  const Spec& spec = config_.spec;
  const auto dtype = static_cast<qkjit_dtype>(dtype_of_weights(spec));
  const qkjit_tensor view = qkjit_tensor_1d(nullptr, dtype, weight_length(spec, heads));
  if (has_weight(spec, norm)) place_dense(names[0], weight, view, element_size(dtype));
  if (has_bias(spec, norm)) place_dense(names[1], bias, view, element_size(dtype));
}

void Problem::place_table() {
  const Spec& spec = config_.spec;
  table_rows_ = config_.position_offset + std::max(config_.tokens, config_.tokens_of_k());
  const std::int64_t part =
      spec.table_width == TableWidth::half ? spec.rope_dim / 2 : spec.rope_dim;
  const auto place = [&](const char* name, qkjit_tensor qkjit_args::*field, std::int64_t width) {
    const auto dtype = static_cast<qkjit_dtype>(spec.table);
    const std::int64_t stride = width + config_.table_gap;
    if (!has_head_tables(spec)) {
      return place_dense(name, field,
                         {nullptr, dtype, 2, {table_rows_, width, 0, 0}, {stride, 1, 0, 0}},
                         element_size(dtype));
    }
    const std::int64_t heads = std::max(config_.heads_q, config_.heads_k);
    const bool head_major = config_.head_major_table;
    place_dense(
        name, field,
        {nullptr,
         dtype,
         3,
         {table_rows_, heads, width, 0},
         {head_major ? stride : heads * stride, head_major ? table_rows_ * stride : stride, 1, 0}},
        element_size(dtype));
  };
  if (config_.joint_table) {
    place("cos_sin_cache", &qkjit_args::cos_sin_cache, 2 * part);
  } else {
    place("cos", &qkjit_args::cos, part);
    place("sin", &qkjit_args::sin, part);
  }
}

void Problem::place_segments() {
  const std::int64_t count = segments_of(config_.tokens_in_all());
  const auto place = [&](const char* name, qkjit_tensor qkjit_args::*field, std::int64_t length) {
    place_dense(name, field, qkjit_tensor_1d(nullptr, QKJIT_INT32, length), 4);
  };
  place("positions", &qkjit_args::positions, count + 1);
  place("segment_offsets", &qkjit_args::segment_offsets, count);
}

void Problem::place_positions(const char* name, qkjit_tensor qkjit_args::*field,
                              std::int64_t tokens) {
  const auto type = config_.spec.positions == Positions::int64 ? QKJIT_INT64 : QKJIT_INT32;
  qkjit_tensor view{nullptr, type, 0, {}, {}};
  const auto add = [&](std::int64_t count, std::int64_t stride) {
    view.shape[view.rank] = count, view.strides[view.rank] = stride;
    ++view.rank;
  };
  const bool of_each = config_.batches > 0 && config_.batch_positions;
  const std::int64_t sequence = tokens + (config_.gap_of_batches ? 3 : 0);
  const std::int64_t axis = of_each ? config_.batches * sequence : tokens;
  if (has_sections(config_.spec)) add(3, axis + config_.table_gap);
  if (of_each) add(config_.batches, sequence);
  add(tokens, 1);
  place_dense(name, field, view, element_size(type));
}

std::byte* Problem::begin_of(const Argument& argument) {
  return blocks_[argument.block].bytes.data() + argument.offset;
}

void Problem::fill() {
  const Spec& spec = config_.spec;
  std::uint64_t number = 0;
  for (const Argument& a : arguments_) {
    if (a.field == &qkjit_args::slot_mapping) {
      fill_slots(a);
      continue;
    }
    const bool is_found = is_scale(a) && spec.out_scale != OutScale::given;
    if (a.field == &qkjit_args::q_out || a.field == &qkjit_args::k_out ||
        a.field == &qkjit_args::v_out || a.field == &qkjit_args::k_cache ||
        a.field == &qkjit_args::v_cache || is_found) {
      continue;
    }
    Random random(config_.seed * 16 + number++);
    std::byte* const begin = begin_of(a);
    if (a.field == &qkjit_args::v) {
      fill_values(a);
    } else if (is_head_tensor(a)) {
      visit_rows(a.view, [&](std::int64_t, std::int64_t, std::int64_t at) {
        fill_row(config_.data, spec.dtype, random,
                 begin + static_cast<std::size_t>(at) * element_size(a.view.dtype), spec.head_dim);
      });
    } else if (a.field == &qkjit_args::position_error) {
      continue;  // canaries are -1
    } else if (a.view.dtype == QKJIT_INT32 && spec.positions == Positions::segments) {
      fill_segments(a);
    } else if (a.field == &qkjit_args::positions || a.field == &qkjit_args::k_positions) {
      const bool of_k = a.field == &qkjit_args::k_positions;
      Random positions(config_.seed * 16 + (of_k ? 13 : 14));
      fill_positions(a, positions);
    } else if (is_scale(a)) {
      fill_weights(config_.data, DType::fp32, random, begin, static_cast<int>(span_of(a.view)));
    } else if (!is_table(a)) {
      fill_weights(config_.data, dtype_of_weights(spec), random, begin,
                   static_cast<int>(a.view.shape[0]));
    }
  }
  if (spec.rope_dim > 0 && spec.angles == Angles::table) fill_table();
}

/// Any slots, each once, and every fourth token has none.
void Problem::fill_slots(const Argument& a) {
  const auto cache = *std::ranges::find(arguments_, &qkjit_args::k_cache, &Argument::field);
  std::vector<std::int64_t> slots(
      static_cast<std::size_t>(cache.view.shape[0] * cache.view.shape[1]));
  std::iota(slots.begin(), slots.end(), std::int64_t{0});
  Random random(config_.seed * 16 + 11);
  std::ranges::shuffle(slots, random);
  const std::size_t size = element_size(a.view.dtype);
  for (std::size_t i = 0; i < static_cast<std::size_t>(a.view.shape[0]); ++i) {
    const std::int64_t slot = i % 4 == 2 ? -1 - static_cast<std::int64_t>(i) : slots[i];
    std::memcpy(begin_of(a) + i * size, &slot, size);
  }
}

/// Any bits, NaNs of any payload too: whatever V is, it is copied.
void Problem::fill_values(const Argument& a) {
  Random random(config_.seed * 16 + 12);
  const std::size_t size = element_size(a.view.dtype);
  const std::size_t bytes = static_cast<std::size_t>(config_.spec.head_dim) * size;
  visit_rows(a.view, [&](std::int64_t, std::int64_t, std::int64_t at) {
    std::byte* const row = begin_of(a) + static_cast<std::size_t>(at) * size;
    for (std::size_t i = 0; i < bytes; ++i) row[i] = static_cast<std::byte>(random());
  });
}

/// Segments of all lengths, none among them, with places of their own in the table.
void Problem::fill_segments(const Argument& a) {
  const std::int64_t tokens = config_.tokens_in_all(), count = segments_of(tokens);
  const auto begin = [&](std::int64_t i) {
    return i == count ? tokens : i == 1 ? 0 : tokens * i * i / (count * count);
  };
  for (std::int64_t i = 0; i < a.view.shape[0]; ++i) {
    std::int64_t value = begin(i);
    if (a.field == &qkjit_args::segment_offsets) {
      const std::int64_t spare = table_rows_ - (begin(i + 1) - begin(i));
      value = (i % 2 == 0 ? spare : 0) - config_.position_offset;
    }
    put_int32(begin_of(a), i, value);
  }
}

void Problem::fill_positions(const Argument& a, Random& random) {
  const std::size_t size = element_size(a.view.dtype);
  const int three = has_sections(config_.spec) ? 1 : 0;
  const bool of_each = a.view.rank == three + 2;
  const std::int64_t tokens = a.view.shape[a.view.rank - 1];
  for (std::int64_t axis = 0; axis < (three ? 3 : 1); ++axis) {
    for (std::int64_t batch = 0; batch < (of_each ? a.view.shape[three] : 1); ++batch) {
      const std::int64_t first =
          (three ? axis * a.view.strides[0] : 0) + (of_each ? batch * a.view.strides[three] : 0);
      for (std::int64_t token = 0; token < tokens; ++token) {
        const bool computed = config_.spec.angles == Angles::computed;
        const std::int64_t value = computed ? any_position(config_.spec.positions, random)
                                            : position(token + axis + batch, table_rows_, random);
        const std::int64_t stored = value - config_.position_offset;
        std::memcpy(begin_of(a) + static_cast<std::size_t>(first + token) * size, &stored, size);
      }
    }
  }
}

void Problem::fill_table() {
  const Spec& spec = config_.spec;
  const auto find = [&](qkjit_tensor qkjit_args::*field) {
    return *std::ranges::find(arguments_, field, &Argument::field);
  };
  const bool joint = config_.joint_table;
  const Argument cosines = find(joint ? &qkjit_args::cos_sin_cache : &qkjit_args::cos);
  const Argument sines = joint ? cosines : find(&qkjit_args::sin);
  const std::int64_t first_sine = joint ? cosines.view.shape[cosines.view.rank - 1] / 2 : 0;
  const bool full = spec.table_width == TableWidth::full;
  const int step = full && spec.layout == Layout::interleaved ? 2 : 1;
  Random random(config_.seed * 16 + 15);
  const std::int64_t heads = has_head_tables(spec) ? cosines.view.shape[1] : 1;
  for (std::int64_t i = 0; i < table_rows_ * heads; ++i) {
    const std::int64_t row = i / heads, head = i % heads;
    const int angles = TableForm::of(spec).angles();
    for (int angle = 0; angle < angles; ++angle) {
      const AngleBits bits = random_angle(config_.data, spec.table, random);
      const std::int64_t at = row * cosines.view.strides[0] +
                              (heads > 1 ? head * cosines.view.strides[1] : 0) +
                              std::int64_t{angle} * step;
      put(spec.table, begin_of(cosines), at, bits.cosine);
      put(spec.table, begin_of(sines), at + first_sine, bits.sine);
    }
  }
}

bool is_head_tensor(const Argument& a) {
  return a.field == &qkjit_args::q || a.field == &qkjit_args::k || a.field == &qkjit_args::q_out ||
         a.field == &qkjit_args::k_out || a.field == &qkjit_args::v ||
         a.field == &qkjit_args::v_out || a.field == &qkjit_args::k_cache ||
         a.field == &qkjit_args::v_cache;
}

bool is_scale(const Argument& a) {
  return a.field == &qkjit_args::q_scale || a.field == &qkjit_args::k_scale ||
         a.field == &qkjit_args::v_scale;
}

bool Problem::has(qkjit_tensor qkjit_args::*field) const {
  return std::ranges::find(arguments_, field, &Argument::field) != arguments_.end();
}

std::vector<Argument> Problem::outputs() const {
  std::vector<Argument> outputs;
  for (const Argument& a : arguments_) {
    const bool q_in_place = a.field == &qkjit_args::q && !has(&qkjit_args::q_out);
    const bool k_in_place =
        a.field == &qkjit_args::k && !has(&qkjit_args::k_out) && !has(&qkjit_args::k_cache);
    const bool is_input =
        a.field == &qkjit_args::q || a.field == &qkjit_args::k || a.field == &qkjit_args::v;
    const bool is_output = is_head_tensor(a) && !is_input;
    const bool is_found = is_scale(a) && config_.spec.out_scale != OutScale::given;
    if (q_in_place || k_in_place || is_output || is_found) outputs.push_back(a);
  }
  return outputs;
}

qkjit_args Problem::args() {
  std::vector<void*> bases;
  for (Block& block : blocks_) bases.push_back(block.bytes.data());
  return std::as_const(*this).args(bases);
}

qkjit_args Problem::args(std::span<void* const> bases) const {
  qkjit_args args = QKJIT_ARGS_INIT;
  args.spec = to_c(config_.spec);
  for (const Argument& a : arguments_) {
    args.*a.field = a.view;
    (args.*a.field).data = static_cast<std::byte*>(bases[a.block]) + a.offset;
  }
  args.position_offset = config_.position_offset;
  args.eps = config_.eps;
  if (config_.spec.angles == Angles::computed) args.frequencies = config_.frequencies;
  if (config_.spec.positions == Positions::grid) args.grid = config_.grid();
  return args;
}

}  // namespace qkjit::test
