#include "tests/support/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "kernels/dtype.cuh"

namespace qkjit::test {
namespace {

/// Scales are rows of one element.
qkjit_tensor row_view(const Argument& a) {
  qkjit_tensor view = a.view;
  if (is_scale(a)) view.shape[view.rank] = view.strides[view.rank] = 1, ++view.rank;
  return view;
}

/// Calls `visit(token, head, begin)` for every row of q, k, an output or scales, with the row's
/// first byte in its block.
template <class Visit>
void for_each_row(const Argument& a, Visit visit) {
  const std::size_t size = element_size(a.view.dtype);
  visit_rows(row_view(a), [&](std::int64_t token, std::int64_t head, std::int64_t at) {
    visit(token, head, a.offset + static_cast<std::size_t>(at) * size);
  });
}

std::size_t row_bytes(const Argument& a) {
  const qkjit_tensor view = row_view(a);
  return static_cast<std::size_t>(view.shape[view.rank - 1]) * element_size(view.dtype);
}

std::string value_at(const Block& block, std::size_t at, qkjit_dtype dtype) {
  unsigned bits = 0;
  std::memcpy(&bits, block.bytes.data() + at, element_size(dtype));
  const float value = dtype == QKJIT_BF16   ? bf16_to_float(bits)
                      : dtype == QKJIT_FP16 ? fp16_to_float(bits)
                                            : std::bit_cast<float>(bits);
  return fmt::format("{:#x} ({})", bits, value);
}

/// The element of q, k or an output that holds byte `at` of block `number`.
struct Place {
  std::string text;
  std::size_t element_begin;
  qkjit_dtype dtype;
};

std::optional<Place> find_place(const Problem& problem, std::size_t number, std::size_t at) {
  std::optional<Place> found;
  for (const Argument& a : problem.arguments()) {
    if (a.block != number || !is_head_tensor(a)) continue;
    for_each_row(a, [&](std::int64_t token, std::int64_t head, std::size_t begin) {
      if (at < begin || at >= begin + row_bytes(a)) return;
      const std::size_t size = element_size(a.view.dtype), element = (at - begin) / size;
      found = {fmt::format("{}[token {}, head {}, element {}]", a.name, token, head, element),
               begin + element * size, a.view.dtype};
    });
  }
  return found;
}

std::string describe(const Problem& expected, const Problem& actual, std::size_t number,
                     std::size_t at) {
  const Block &e = expected.blocks()[number], &a = actual.blocks()[number];
  if (const auto place = find_place(expected, number, at)) {
    return fmt::format("{} is {}, expected {}", place->text,
                       value_at(a, place->element_begin, place->dtype),
                       value_at(e, place->element_begin, place->dtype));
  }
  return fmt::format("byte {} of block {}, outside of all rows, is {:#04x}, expected {:#04x}", at,
                     e.name, std::to_integer<unsigned>(a.bytes[at]),
                     std::to_integer<unsigned>(e.bytes[at]));
}

}  // namespace

std::string first_difference(const std::string& what, const Problem& expected,
                             const Problem& actual) {
  for (std::size_t i = 0; i < expected.blocks().size(); ++i) {
    const auto &e = expected.blocks()[i].bytes, &a = actual.blocks()[i].bytes;
    if (std::memcmp(e.data(), a.data(), e.size()) == 0) continue;
    const auto at = static_cast<std::size_t>(std::ranges::mismatch(e, a).in1 - e.begin());
    return fmt::format("{}: {}\n  {}", what, describe(expected, actual, i, at),
                       to_text(expected.config()));
  }
  return {};
}

std::string first_stray_write(const Problem& before, const Problem& after) {
  Problem allowed = before;
  for (const Argument& a : before.outputs()) {
    for_each_row(a, [&](std::int64_t, std::int64_t, std::size_t begin) {
      std::memcpy(allowed.blocks()[a.block].bytes.data() + begin,
                  after.blocks()[a.block].bytes.data() + begin, row_bytes(a));
    });
  }
  return first_difference("stray write", allowed, after);
}

std::vector<std::byte> gather_outputs(const Problem& problem) {
  std::vector<std::byte> gathered;
  for (const Argument& a : problem.outputs()) {
    for_each_row(a, [&](std::int64_t, std::int64_t, std::size_t begin) {
      const std::byte* row = problem.blocks()[a.block].bytes.data() + begin;
      gathered.insert(gathered.end(), row, row + row_bytes(a));
    });
  }
  return gathered;
}

}  // namespace qkjit::test
