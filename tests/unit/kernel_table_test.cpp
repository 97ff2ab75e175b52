// The table of kernels. Entries here have none: tests/driver has kernels.
#include "kernel_table.hpp"

#include <set>
#include <thread>
#include <vector>

#include "kernels/generic_params.cuh"
#include "tests/catch.hpp"

using namespace qkjit;

namespace {

TableEntry entry_of(const std::string& message) {
  return {{}, {Reason::compile_failed, {Code::compile_failed, message}}};
}

KernelTable::Key key_of(unsigned device) {
  return KernelTable::fused_key({}, static_cast<int>(device));
}

}  // namespace

TEST_CASE("the table keeps what was inserted first", "[kernel_table]") {
  KernelTable table;
  CHECK(table.find(key_of(5)) == nullptr);
  const TableEntry* first = table.insert(key_of(5), entry_of("first"));
  CHECK(first->why_none.error.message == "first");
  CHECK(table.insert(key_of(5), entry_of("second")) == first);
  CHECK(table.find(key_of(5)) == first);
  CHECK(table.find(key_of(4)) == nullptr);
  CHECK(table.find(key_of(6)) == nullptr);
}

TEST_CASE("entries stay where they are as the table grows", "[kernel_table]") {
  KernelTable table;
  std::vector<const TableEntry*> entries(101);
  for (unsigned key = 1; key <= 100; ++key) {  // in an order that is neither up nor down
    entries[key * 37 % 101] =
        table.insert(key_of(key * 37 % 101), entry_of(std::to_string(key * 37 % 101)));
  }
  for (unsigned key = 1; key <= 100; ++key) {
    CHECK(table.find(key_of(key)) == entries[key]);
    CHECK(entries[key]->why_none.error.message == std::to_string(key));
  }
  CHECK(table.find(key_of(0)) == nullptr);
  CHECK(table.find(key_of(101)) == nullptr);
}

TEST_CASE("pairs that share their first spec, and it alone, are told apart", "[kernel_table]") {
  KernelTable table;
  const Spec first{.head_dim = 128, .rope_dim = 128};
  const auto key = [&](int second) {
    return second == 0 ? KernelTable::fused_key(first, 0)
                       : KernelTable::fused_key(first, 0, Spec{.head_dim = second});
  };
  for (int second = 0; second < 40; ++second) {
    table.insert(key(second), entry_of(std::to_string(second)));
  }
  for (int second = 0; second < 40; ++second) {
    CHECK(table.find(key(second))->why_none.error.message == std::to_string(second));
  }
  CHECK(table.find(key(40)) == nullptr);
  const TableEntry* const old = table.find(key(7));
  const TableEntry* const next = table.replace(key(7), entry_of("next"));
  CHECK(table.find(key(7)) == next);
  CHECK((old->why_none.error.message == "7" && next->why_none.error.message == "next"));
}

TEST_CASE("keys differ for all specs, devices and generic kernels", "[kernel_table]") {
  std::set<KernelTable::Key> keys;
  std::size_t count = 0;
  const auto add = [&](KernelTable::Key key) { keys.insert(key), ++count; };
  for (const int device : {0, 1, 15, 16, 65535}) {
    for (const DType dtype : {DType::bf16, DType::fp16, DType::fp32}) {
      for (const int slots : kGenericSlots)
        for (const Forms forms : {Forms::common, Forms::all, Forms::by_token, Forms::computed,
                                  Forms::by_token_computed})
          add(KernelTable::generic_key({dtype, slots, forms}, device));
      for (const int head_dim : {1, 8, 16, 128, 256, 512, 1024})
        for (const int rope_dim : {0, 2, 16, 512, 1024})
          for (const Layout layout : {Layout::interleaved, Layout::neox})
            for (int rounding = 0; rounding < 5; ++rounding)
              for (int positions = 0; positions < 3; ++positions)
                for (const Norm norm : {Norm::rms, Norm::none})
                  add(KernelTable::fused_key(
                      {head_dim, rope_dim, layout, dtype, static_cast<Rounding>(rounding),
                       static_cast<Positions>(positions), norm, norm},
                      device));
    }
  }
  CHECK(keys.size() == count);
}

TEST_CASE("readers see whole entries while writers insert", "[kernel_table][threads]") {
  constexpr unsigned kKeys = 300;
  KernelTable table;
  std::atomic<unsigned> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (int reader = 0; reader < 3; ++reader) {
      threads.emplace_back([&] {
        // Keys are inserted in ascending order, so a key that is seen proves those before it.
        for (unsigned key = kKeys; key-- > 0;) {
          const TableEntry* entry = nullptr;
          while (!(entry = table.find(key_of(key))) && key + 1 == kKeys) std::this_thread::yield();
          if (!entry || entry->why_none.error.message != std::to_string(key)) ++wrong;
        }
      });
    }
    for (int writer = 0; writer < 2; ++writer) {
      threads.emplace_back([&] {
        for (unsigned key = 0; key < kKeys; ++key) {
          if (table.insert(key_of(key), entry_of(std::to_string(key))) != table.find(key_of(key)))
            ++wrong;
        }
      });
    }
  }
  CHECK(wrong == 0);
}
