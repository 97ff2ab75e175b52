// A whole call against the oracle.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "qkjit/qkjit.h"
#include "util/error.hpp"

namespace qkjit::oracle {

struct CheckOptions {
  std::int64_t token_step = 1;  ///< checks tokens 0, token_step, 2 * token_step, ...
  int threads = 0;              ///< 0: all cores
};

/// The largest odd-stepped sample of about `elements` elements; 1 if the call has no more. Odd,
/// because what goes wrong periodically does so with a period that is a power of two.
std::int64_t token_step_for(const qkjit_args& args, std::uint64_t elements);

struct CheckResult {
  std::uint64_t elements = 0;  ///< of the call
  std::uint64_t checked = 0;   ///< of these: compared; the sum of the next four
  std::uint64_t exact = 0;     ///< see exact_means
  std::uint64_t within = 0;    ///< as near as criterion.cpp allows
  std::uint64_t wrong = 0;
  std::uint64_t unjudged = 0;  ///< beyond fp32's range, see Element::judged

  /// What "exact" stands for: for fp32 it is a bound, see criterion.cpp.
  std::string_view exact_means = "correctly rounded";

  /// The element that is farthest from the oracle.
  struct Worst {
    double error = 0;  ///< in ulps of the dtype at the pair's magnitude
    char tensor = 'q';
    std::int64_t batch = -1;  ///< -1: the call has no batch dimension
    std::int64_t token = 0, head = 0, element = 0;
    double actual = 0, expected = 0;
  } worst;

  bool passed = false;  ///< none is wrong, and nearly all are exact (see most_within)
  std::string text;     ///< the same in one line
};

/// `args` is a call that the library accepted, out of place and in host memory: q and k what went
/// in, q_out and k_out what came out. Code::invalid_argument without inputs of its own.
Result<CheckResult> check_call(const qkjit_args& args, const CheckOptions& options = {});

}  // namespace qkjit::oracle
