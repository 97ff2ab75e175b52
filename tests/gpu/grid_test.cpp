// The grid: every head_dim that the fused kernel takes with rope_dims of interest, in all layouts,
// dtypes, roundings and position kinds. Fused, generic and CPU path must agree in every byte.
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include "spec/text.hpp"
#include "tests/gpu/gpu.hpp"
#include "tests/simt/position_forms.hpp"
#include "tests/support/norm_specs.hpp"

using namespace qkjit;
using namespace qkjit::test;

namespace {

std::set<int> rope_dims(int head_dim) {
  std::set<int> dims = {0, head_dim, head_dim - 2, head_dim / 4 * 2};
  for (const int rope_dim : {2, 6, 40, 48, 72, 96}) {
    if (rope_dim <= head_dim) dims.insert(rope_dim);
  }
  return dims;
}

/// Every shape in all dtypes; the other fields take turns, so that all combinations of them occur.
std::vector<Spec> grid() {
  std::vector<Spec> specs;
  std::size_t shape = 0;
  for (int head_dim = 8; head_dim <= 512; head_dim += 8) {
    for (const int rope_dim : rope_dims(head_dim)) {
      for (std::size_t dtype = 0; dtype < 3; ++dtype) {
        const std::size_t turn = shape + 7 * dtype;
        specs.push_back({head_dim, rope_dim, static_cast<Layout>(turn % 2),
                         static_cast<DType>(dtype), static_cast<Rounding>(turn / 2 % 5),
                         static_cast<Positions>(turn / 10 % 3)});
      }
      ++shape;
    }
  }
  return specs;
}

/// QKJIT_GRID_STEP=n takes every n-th spec, for where time is short.
std::size_t grid_step() {
  const char* step = std::getenv("QKJIT_GRID_STEP");
  return step ? static_cast<std::size_t>(std::max(1, std::atoi(step))) : 1;
}

std::vector<Spec> every(std::size_t step, const std::vector<Spec>& specs) {
  std::vector<Spec> taken;
  for (std::size_t i = 0; i < specs.size(); i += step) taken.push_back(specs[i]);
  return taken;
}

/// Fills the runtime's cache on all cores; gives the messages of failures.
std::vector<std::string> precompile(qkjit_runtime* runtime, const std::vector<Spec>& specs,
                                    const std::string& target) {
  std::vector<std::string> failures;
  std::mutex mutex;
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i; (i = next++) < specs.size();) {
      const qkjit_spec spec = to_c(specs[i]);
      if (qkjit_prepare(runtime, &spec, target.c_str()) == QKJIT_OK) continue;
      const std::lock_guard lock(mutex);
      failures.push_back(to_text(specs[i]) + ": " + qkjit_last_error());
    }
  };
  std::vector<std::jthread> workers;
  for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i) workers.emplace_back(work);
  workers.clear();
  return failures;
}

ProblemConfig config_of(const Spec& spec, std::size_t number) {
  constexpr int kHeads[][2] = {{3, 2}, {1, 1}, {8, 1}, {16, 16}};
  const int* heads = kHeads[number / 3 % 4];
  return {.spec = spec,
          .tokens = static_cast<std::int64_t>(1 + number % 67),
          .heads_q = heads[0],
          .heads_k = heads[1],
          .strides = static_cast<Strides>(number % 4),
          .in_place = number / 4 % 2 == 0,
          .data = number % 3 == 0 ? Data::special : Data::normal,
          .position_offset = static_cast<std::int64_t>(number % 5),
          .eps = number % 7 == 0 ? 0 : 1e-6f,
          .seed = number};
}

/// Compiles the specs' fused kernels side by side, then runs two problems of each on every path.
void check_specs(const Gpu& gpu, const std::vector<Spec>& specs) {
  for (const std::string& failure : precompile(gpu.runtime(), specs, gpu.target())) {
    FAIL_CHECK(failure);
  }
  std::size_t number = 0;
  for (const Spec& spec : specs) {
    const qkjit_spec prepared = to_c(spec);
    CHECK(qkjit_prepare(gpu.runtime(), &prepared, nullptr) == QKJIT_OK);
    for (int i = 0; i < 2; ++i) check_every_path(gpu, config_of(spec, number++));
  }
}

}  // namespace

TEST_CASE("gpu: the grid contains what it claims") {
  std::set<int> head_dims;
  std::set<std::tuple<Layout, DType, Rounding, Positions>> combinations;
  for (const Spec& spec : grid()) {
    head_dims.insert(spec.head_dim);
    combinations.emplace(spec.layout, spec.dtype, spec.rounding, spec.positions);
  }
  CHECK(head_dims.size() == 64);
  CHECK(combinations.size() == 2 * 3 * 5 * 3);
}

TEST_CASE("gpu: fused, generic and CPU path agree in every byte over the grid") {
  const Gpu gpu;
  check_specs(gpu, every(grid_step(), grid()));
}

TEST_CASE("gpu: fused, generic and CPU path agree in every byte in every norm") {
  const Gpu gpu;
  std::vector<Spec> specs;
  for (const SpecRow& row : kNormSpecs) specs.push_back(row.spec());
  check_specs(gpu, specs);
}

TEST_CASE("gpu: norms across any number of heads, on every path") {
  const Gpu gpu;
  std::size_t number = 0;
  for (const Layout layout : {Layout::interleaved, Layout::neox}) {
    for (const DType dtype : {DType::bf16, DType::fp32}) {
      for (const NormOrder order : {NormOrder::before, NormOrder::after}) {
        const Spec spec{.head_dim = 128,
                        .rope_dim = 128,
                        .layout = layout,
                        .dtype = dtype,
                        .rounding = static_cast<Rounding>(number % 7),
                        .norm_order = order,
                        .norm_scope = NormScope::token};
        for (const auto& [heads_q, heads_k] : {std::pair{12, 12}, {40, 40}, {48, 8}, {96, 300}}) {
          ProblemConfig config = config_of(spec, number++);
          config.heads_q = heads_q, config.heads_k = heads_k;
          check_every_path(gpu, config);
        }
        ProblemConfig many = config_of(spec, number++);  // tokens, of which each warp has some
        many.tokens = 4099, many.heads_q = 3, many.heads_k = 2;
        check_every_path(gpu, many);
      }
    }
  }
}

namespace {

/// Tables, placements and positions as models have them, in shapes of every pairing.
std::vector<Spec> rope_forms() {
  std::vector<Spec> specs;
  const auto add = [&](Spec spec) {
    for (const Layout layout : {Layout::interleaved, Layout::neox}) {
      for (const DType table : {DType::bf16, DType::fp16, DType::fp32}) {
        spec.layout = layout, spec.table = table;
        spec.dtype = static_cast<DType>(specs.size() / 2 % 3);
        spec.rounding = static_cast<Rounding>(specs.size() % 5);
        specs.push_back(spec);
      }
    }
  };
  constexpr RopePlacement kTail = RopePlacement::tail;
  for (const TableWidth width : {TableWidth::half, TableWidth::full}) {
    add({.head_dim = 128, .rope_dim = 128, .table_width = width});
    add({.head_dim = 128, .rope_dim = 64, .table_width = width, .placement = kTail});
    add({.head_dim = 512, .rope_dim = 64, .table_width = width, .placement = kTail});
    add({.head_dim = 72, .rope_dim = 40, .table_width = width, .placement = kTail});
    add({.head_dim = 128,
         .rope_dim = 128,
         .positions = Positions::int32,
         .table_width = width,
         .sections = {24, 20, 20},
         .section_order = SectionOrder::interleaved});
    add({.head_dim = 128, .rope_dim = 128, .table_width = width, .sections = {16, 24, 24}});
    add({.head_dim = 80, .rope_dim = 80, .table_width = width, .sections = {15, 13, 12}});
  }
  return specs;
}

}  // namespace

TEST_CASE("gpu: every form of table, placement and positions") {
  const Gpu gpu;
  std::vector<Spec> specs = rope_forms();
  specs.push_back({.head_dim = 128,
                   .rope_dim = 128,
                   .layout = Layout::neox,
                   .table = DType::bf16,
                   .table_width = TableWidth::elements});
  for (const std::string& failure : precompile(gpu.runtime(), specs, gpu.target())) {
    FAIL_CHECK(failure);
  }
  std::size_t number = 0;
  for (const Spec& spec : specs) check_every_path(gpu, config_of(spec, number++));
  const Spec across{.head_dim = 100, .rope_dim = 64, .placement = RopePlacement::tail};
  check_every_path(gpu, config_of(across, number), {QKJIT_PATH_GENERIC, QKJIT_REASON_SHAPE});
}

TEST_CASE("gpu: computed angles in every form") {
  const Gpu gpu;
  std::set<std::string> texts;
  std::vector<Spec> specs;
  for (Spec spec : rope_forms()) {
    spec.table = DType::fp32, spec.table_width = TableWidth::half;
    spec.angles = Angles::computed;
    if (texts.insert(to_text(spec)).second) specs.push_back(spec);
  }
  for (const Layout layout : {Layout::interleaved, Layout::neox}) {
    for (const Positions positions : {Positions::int32, Positions::implicit}) {
      specs.push_back({.head_dim = 256,
                       .rope_dim = 126,
                       .layout = layout,
                       .positions = positions,
                       .angles = Angles::computed});
    }
  }
  for (const std::string& failure : precompile(gpu.runtime(), specs, gpu.target())) {
    FAIL_CHECK(failure);
  }
  constexpr qkjit_frequencies kFrequencies[] = {
      {1e4, 1, 1, 0, 0, 1}, {5e5, 4, 1, 0, 0, 1}, {1e6, 1, 4, 2.5, 9, 1.1386294361119891}};
  std::size_t number = 0;
  for (const Spec& spec : specs) {
    ProblemConfig config = config_of(spec, number++);
    config.frequencies = kFrequencies[number % 3];
    check_every_path(gpu, config);
  }
  const Spec across{.head_dim = 1000,
                    .rope_dim = 902,
                    .placement = RopePlacement::tail,
                    .angles = Angles::computed};
  check_every_path(gpu, config_of(across, number), {QKJIT_PATH_GENERIC, QKJIT_REASON_SHAPE});
}

TEST_CASE("gpu: tables of heads' own, grids, segments and checked positions") {
  const Gpu gpu;
  std::vector<Spec> specs;
  for (int n = 0; n < simt::kPositionForms; ++n) specs.push_back(simt::position_spec(n));
  check_specs(gpu, specs);
  std::size_t number = 0;
  for (const DType table : {DType::bf16, DType::fp16, DType::fp32}) {
    for (const NormOrder order : {NormOrder::before, NormOrder::after}) {
      const Spec spec{.head_dim = 128,
                      .rope_dim = 128,
                      .layout = Layout::neox,
                      .positions = number % 2 == 0 ? Positions::implicit : Positions::int64,
                      .norm_order = order,
                      .table = table,
                      .norm_scope = NormScope::token,
                      .table_heads = TableHeads::per_head};
      for (const auto& [heads_q, heads_k] : {std::pair{32, 32}, {5, 3}, {96, 150}}) {
        ProblemConfig config = config_of(spec, number++);
        config.heads_q = heads_q, config.heads_k = heads_k;
        config.head_major_table = number % 4 != 0;
        check_every_path(gpu, config);
      }
    }
  }
}

TEST_CASE("gpu: shapes that only the generic kernel takes") {
  const Gpu gpu;
  std::size_t number = 0;
  for (const int head_dim :
       {1, 2, 3, 7, 9, 20, 33, 65, 100, 127, 129, 250, 513, 520, 1000, 1023, 1024}) {
    for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
      const Spec spec{head_dim,
                      head_dim / 2 * 2,
                      static_cast<Layout>(number % 2),
                      dtype,
                      static_cast<Rounding>(number % 5),
                      static_cast<Positions>(number % 3)};
      check_every_path(gpu, config_of(spec, number++), {QKJIT_PATH_GENERIC, QKJIT_REASON_SHAPE});
    }
  }
}
