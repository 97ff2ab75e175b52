// The paths a call can take, and the closed set of reasons for not taking the fused one.
#pragma once

#include <array>
#include <string_view>

#include "util/error.hpp"

namespace qkjit {

/// Same values as qkjit_path.
enum class Path { none, fused, generic, cpu };

/// Same values as qkjit_reason.
enum class Reason {
  none,
  shape,
  alignment,
  host_memory,
  stream_capturing,
  nvrtc_missing,
  compile_failed,
  compile_forbidden,
  requested,
  batch,
  compile_pending,
};

inline constexpr int kReasonCount = 11;

/// What served a call, and why it was not the fused kernel.
struct Dispatch {
  Path path = Path::none;
  Reason reason = Reason::none;

  friend bool operator==(const Dispatch&, const Dispatch&) = default;
};

/// Why there is no fused kernel: the reason that a fallback states, and the whole story. Without a
/// reason it is an error that may pass, and no cause to fall back.
struct NoKernel {
  Reason reason = Reason::none;
  Error error{Code::ok, {}};
};

/// Whether the same call may find a kernel later on.
constexpr bool may_pass(Reason reason) {
  return reason == Reason::none || reason == Reason::stream_capturing ||
         reason == Reason::compile_pending;
}

struct ReasonText {
  std::string_view name;
  std::string_view sentence;
};

inline constexpr std::array<std::string_view, 4> kPathNames = {"none", "fused", "generic", "cpu"};

inline constexpr std::array<ReasonText, kReasonCount> kReasonTexts = {{
    {"none", "the kernel compiled for exactly this spec"},
    {"shape",
     "the fused kernel takes head_dim that is a multiple of 8 up to 512, and a rotated part that "
     "begins at one"},
    {"alignment", "a pointer or stride is not a multiple of 16 bytes"},
    {"host_memory", "the tensors are in host memory"},
    {"stream_capturing", "the stream is capturing and the spec was not prepared before"},
    {"nvrtc_missing", "the kernel is not in the cache and libnvrtc cannot be used"},
    {"compile_failed", "NVRTC or the driver refused the kernel"},
    {"compile_forbidden", "the kernel is not in the cache and the policy is never to compile"},
    {"requested", "the caller asked for this path"},
    {"batch",
     "the batches of the call are not tokens of one sequence, as batch=folded has them: prepare "
     "and launch the spec with batch=strided"},
    {"compile_pending", "the kernel is in no cache and is being compiled in the background"},
}};

constexpr std::string_view name_of(Path path) { return kPathNames[static_cast<std::size_t>(path)]; }
constexpr std::string_view name_of(Reason reason) {
  return kReasonTexts[static_cast<std::size_t>(reason)].name;
}
constexpr std::string_view sentence_of(Reason reason) {
  return kReasonTexts[static_cast<std::size_t>(reason)].sentence;
}

}  // namespace qkjit
