// The C interface over the C++ runtime: conversions, the thread's last error, and no exceptions
// out.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>

#include "options.hpp"
#include "qkjit/qkjit.h"
#include "runtime.hpp"
#include "spec/text.hpp"

// The enums cross the boundary by value.
static_assert(static_cast<int>(qkjit::Code::internal) == QKJIT_INTERNAL);
static_assert(static_cast<int>(qkjit::DType::fp32) == QKJIT_FP32);
static_assert(static_cast<int>(qkjit::Layout::neox) == QKJIT_NEOX);
static_assert(static_cast<int>(qkjit::Rounding::late_weight_eager) ==
              QKJIT_ROUNDING_LATE_WEIGHT_EAGER);
static_assert(static_cast<int>(qkjit::Positions::segments) == QKJIT_POSITIONS_SEGMENTS);
static_assert(static_cast<int>(qkjit::Norm::layer) == QKJIT_NORM_LAYER);
static_assert(static_cast<int>(qkjit::Weight::none) == QKJIT_WEIGHT_NONE);
static_assert(static_cast<int>(qkjit::Bias::yes) == QKJIT_BIAS_YES);
static_assert(static_cast<int>(qkjit::WeightDType::fp32) == QKJIT_WEIGHT_DTYPE_FP32);
static_assert(static_cast<int>(qkjit::NormOrder::after) == QKJIT_NORM_ORDER_AFTER);
static_assert(static_cast<int>(qkjit::TableWidth::elements) == QKJIT_TABLE_ELEMENTS);
static_assert(static_cast<int>(qkjit::RopePlacement::tail) == QKJIT_PLACEMENT_TAIL);
static_assert(static_cast<int>(qkjit::SectionOrder::interleaved) == QKJIT_SECTIONS_INTERLEAVED);
static_assert(static_cast<int>(qkjit::Batch::strided) == QKJIT_BATCH_STRIDED);
static_assert(static_cast<int>(qkjit::Values::copy) == QKJIT_V_COPY);
static_assert(static_cast<int>(qkjit::TableHeads::per_head) == QKJIT_TABLE_HEADS_PER_HEAD);
static_assert(static_cast<int>(qkjit::Bounds::checked) == QKJIT_BOUNDS_CHECKED);
static_assert(static_cast<int>(qkjit::Path::cpu) == QKJIT_PATH_CPU);
static_assert(static_cast<int>(qkjit::Reason::compile_pending) == QKJIT_REASON_COMPILE_PENDING);
static_assert(qkjit::kReasonCount == QKJIT_REASON_COUNT);

struct qkjit_runtime {
  qkjit::Runtime runtime;
};

namespace {

thread_local std::string last_error;

/// A year: the clock that is waited on counts in nanoseconds, and shall not overflow.
constexpr std::int64_t kLongestWaitMs = std::int64_t{365} * 24 * 60 * 60 * 1000;

qkjit_status failed(const qkjit::Error& error) {
  last_error = error.message;
  return static_cast<qkjit_status>(error.code);
}

/// Runs the body of an entry point, which gives a Result<void>.
template <class Body>
qkjit_status guarded(Body&& body) noexcept {
  try {
    last_error.clear();
    const qkjit::Result<void> result = body();
    return result ? QKJIT_OK : failed(result.error());
  } catch (const std::exception& error) {
    return failed({qkjit::Code::internal, error.what()});
  } catch (...) {
    return failed({qkjit::Code::internal, "an unknown exception was thrown"});
  }
}

qkjit::Result<void> need(const void* pointer, const char* name) {
  if (pointer) return {};
  return qkjit::fail(qkjit::Code::invalid_argument, "{} is NULL: pass a pointer", name);
}

template <class Struct>
qkjit::Result<void> need_struct(const Struct* pointer, const char* name) {
  if (auto given = need(pointer, name); !given) return given;
  if (pointer->struct_size == sizeof(Struct)) return {};
  return qkjit::fail(
      qkjit::Code::invalid_argument,
      "{}->struct_size is {}, this library has {}: start from the _INIT macro and link the "
      "library of the same header",
      name, pointer->struct_size, sizeof(Struct));
}

qkjit_dispatch to_c(const qkjit::Dispatch& dispatch) {
  return {static_cast<qkjit_path>(dispatch.path), static_cast<qkjit_reason>(dispatch.reason)};
}

void copy_text(const std::string& text, char* to, std::size_t capacity) {
  const std::size_t length = std::min(text.size(), capacity - 1);
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

/// Names of the closed enums are string literals, so their data ends in a NUL.
template <class E>
const char* literal(int value, int count) {
  return value >= 0 && value < count ? name_of(static_cast<E>(value)).data() : "unknown";
}

}  // namespace

extern "C" {

const char* qkjit_status_string(qkjit_status status) {
  static constexpr const char* kNames[] = {"ok",         "unsupported",    "invalid_argument",
                                           "not_ready",  "compile_failed", "cache_io",
                                           "cuda_error", "internal"};
  const auto index = static_cast<std::size_t>(status);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

const char* qkjit_last_error(void) { return last_error.c_str(); }

const char* qkjit_version(void) { return QKJIT_VERSION_TEXT; }

const char* qkjit_path_string(qkjit_path path) { return literal<qkjit::Path>(path, 4); }

const char* qkjit_reason_string(qkjit_reason reason) {
  return literal<qkjit::Reason>(reason, qkjit::kReasonCount);
}

const char* qkjit_reason_text(qkjit_reason reason) {
  if (reason < 0 || reason >= QKJIT_REASON_COUNT) return "unknown";
  return sentence_of(static_cast<qkjit::Reason>(reason)).data();
}

qkjit_status qkjit_spec_parse(const char* text, qkjit_spec* spec) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(text, "text"); !given) return given;
    if (auto given = need_struct(spec, "spec"); !given) return given;
    const auto parsed = qkjit::parse_spec(text);
    if (!parsed) return tl::unexpected(parsed.error());
    *spec = qkjit::to_c(*parsed);
    return {};
  });
}

qkjit_status qkjit_spec_format(const qkjit_spec* spec, char* text, size_t capacity, size_t* size) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(spec, "spec"); !given) return given;
    const auto converted = qkjit::to_spec(*spec);
    if (!converted) return tl::unexpected(converted.error());
    if (auto known = qkjit::supports(*converted); !known) return tl::unexpected(known.error());
    const std::string canonical = qkjit::to_text(*converted);
    if (size) *size = canonical.size() + 1;
    if (!text || capacity <= canonical.size()) {
      return qkjit::fail(qkjit::Code::invalid_argument, "the text needs {} bytes, {} are given",
                         canonical.size() + 1, text ? capacity : 0);
    }
    copy_text(canonical, text, capacity);
    return {};
  });
}

qkjit_status qkjit_runtime_create(const qkjit_runtime_options* options, qkjit_runtime** runtime) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(runtime, "runtime"); !given) return given;
    *runtime = nullptr;
    const qkjit_runtime_options defaults = QKJIT_RUNTIME_OPTIONS_INIT;
    auto resolved = qkjit::resolve_options(options ? *options : defaults);
    if (!resolved) return tl::unexpected(resolved.error());
    *runtime = new qkjit_runtime{qkjit::Runtime(std::move(*resolved))};
    return {};
  });
}

void qkjit_runtime_destroy(qkjit_runtime* runtime) { delete runtime; }

qkjit_status qkjit_supports(const qkjit_spec* spec, qkjit_support* support) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(spec, "spec"); !given) return given;
    if (auto given = need_struct(support, "support"); !given) return given;
    const auto converted = qkjit::to_spec(*spec);
    if (!converted) return tl::unexpected(converted.error());
    const auto answer = qkjit::supports(*converted);
    support->dispatch = answer ? to_c(answer->dispatch) : qkjit_dispatch{};
    copy_text(answer ? answer->text : answer.error().message, support->text, sizeof(support->text));
    if (!answer) return tl::unexpected(answer.error());
    return {};
  });
}

qkjit_status qkjit_prepare(qkjit_runtime* runtime, const qkjit_spec* spec, const char* target) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(runtime, "runtime"); !given) return given;
    if (auto given = need(spec, "spec"); !given) return given;
    const auto converted = qkjit::to_spec(*spec);
    if (!converted) return tl::unexpected(converted.error());
    return target ? runtime->runtime.prepare_for(*converted, target)
                  : runtime->runtime.prepare(*converted);
  });
}

qkjit_status qkjit_launch(qkjit_runtime* runtime, const qkjit_args* args, qkjit_stream stream,
                          qkjit_dispatch* dispatch) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(runtime, "runtime"); !given) return given;
    if (auto given = need(args, "args"); !given) return given;
    const auto done = stream == QKJIT_STREAM_HOST ? runtime->runtime.launch_on_host(*args)
                                                  : runtime->runtime.launch(*args, stream);
    if (!done) return tl::unexpected(done.error());
    if (dispatch) *dispatch = to_c(*done);
    return {};
  });
}

qkjit_status qkjit_prepare_dual(qkjit_runtime* runtime, const qkjit_spec* first,
                                const qkjit_spec* second, const char* target) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(runtime, "runtime"); !given) return given;
    if (auto given = need(first, "first"); !given) return given;
    if (auto given = need(second, "second"); !given) return given;
    const auto a = qkjit::to_spec(*first), b = qkjit::to_spec(*second);
    if (!a) return tl::unexpected(a.error());
    if (!b) return tl::unexpected(b.error());
    return target ? runtime->runtime.prepare_dual_for(*a, *b, target)
                  : runtime->runtime.prepare_dual(*a, *b);
  });
}

qkjit_status qkjit_launch_dual(qkjit_runtime* runtime, const qkjit_args* first,
                               const qkjit_args* second, qkjit_stream stream,
                               qkjit_dispatch* dispatch) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(runtime, "runtime"); !given) return given;
    if (auto given = need(first, "first"); !given) return given;
    if (auto given = need(second, "second"); !given) return given;
    const auto done = stream == QKJIT_STREAM_HOST
                          ? runtime->runtime.launch_dual_on_host(*first, *second)
                          : runtime->runtime.launch_dual(*first, *second, stream);
    if (!done) return tl::unexpected(done.error());
    if (dispatch) *dispatch = to_c(*done);
    return {};
  });
}

qkjit_status qkjit_wait_idle(qkjit_runtime* runtime, int64_t timeout_ms) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(runtime, "runtime"); !given) return given;
    const std::chrono::milliseconds limit(std::min(timeout_ms, kLongestWaitMs));
    return runtime->runtime.wait_idle(timeout_ms < 0 ? std::nullopt : std::optional(limit));
  });
}

qkjit_status qkjit_get_stats(const qkjit_runtime* runtime, qkjit_stats* stats) {
  return guarded([&]() -> qkjit::Result<void> {
    if (auto given = need(runtime, "runtime"); !given) return given;
    if (auto given = need_struct(stats, "stats"); !given) return given;
    const qkjit::Stats counted = runtime->runtime.stats();
    stats->fused = counted.paths[QKJIT_PATH_FUSED];
    stats->generic = counted.paths[QKJIT_PATH_GENERIC];
    stats->cpu = counted.paths[QKJIT_PATH_CPU];
    std::copy(counted.reasons.begin(), counted.reasons.end(), stats->reasons);
    stats->compiled = counted.compiled;
    stats->cache_hits = counted.cache_hits;
    stats->cache_rejected = counted.cache_rejected;
    stats->failed = counted.failed;
    stats->requests = counted.requests;
    stats->memory_hits = counted.memory_hits;
    stats->writable_hits = counted.writable_hits;
    stats->read_only_hits = counted.read_only_hits;
    stats->further_hits = counted.further_hits;
    stats->misses = counted.misses;
    stats->lock_waits = counted.lock_waits;
    stats->background_pending = counted.background_pending;
    stats->background_done = counted.background_done;
    stats->cache_read_ms = counted.cache_read_ms;
    stats->compile_ms = counted.compile_ms;
    stats->front_end_ms = counted.front_end_ms;
    stats->load_ms = counted.load_ms;
    return {};
  });
}

}  // extern "C"
