// libqkjit, the C++20 interface: a header-only layer over qkjit.h, so any compiler and any standard
// library may use the same shared library.
//
//   auto runtime = qkjit::Runtime::create().value();
//   auto spec = qkjit::parse_spec("head_dim=128,rope_dim=128,layout=neox,dtype=bf16").value();
//   if (auto done = runtime.prepare(spec); !done) return log(done.message());  // compile and load,
//   once
//
//   qkjit::Args args(spec);
//   args.q = qkjit::tensor(q, QKJIT_BF16, {tokens, 32, 128});       // device memory of the caller
//   args.k = qkjit::tensor(k, QKJIT_BF16, {tokens, 8, 128});
//   args.q_weight = qkjit::tensor(q_weight, QKJIT_BF16, {128});
//   args.k_weight = qkjit::tensor(k_weight, QKJIT_BF16, {128});
//   args.cos_sin_cache = qkjit::tensor(cos_sin_cache, QKJIT_FP32, {rows, 128});
//   args.positions = qkjit::tensor(positions, QKJIT_INT64, {tokens});
//   if (auto done = runtime.launch(args, stream); !done) return log(done.message());  //
//   asynchronous
//
// A tensor with other strides, such as q and k of one packed projection [tokens, 48 * 128]:
//
//   args.q = qkjit::tensor(qkv, QKJIT_BF16, {tokens, 32, 128}, {48 * 128, 128, 1});
//
// A batch of sequences, head-major in memory as PyTorch's [B, H, S, D], with positions for all of
// them; the spec has batch=strided:
//
//   args.q = qkjit::tensor(q, QKJIT_BF16, {B, S, 32, 128}, {32 * S * 128, 128, S * 128, 1});
//   args.positions = qkjit::tensor(positions, QKJIT_INT64, {S});
//
// A table as Hugging Face makes it, cosines and sines apart, in bf16, for a spec with
// table=bf16,table_width=full:
//
//   args.cos = qkjit::tensor(cos, QKJIT_BF16, {rows, 128});
//   args.sin = qkjit::tensor(sin, QKJIT_BF16, {rows, 128});
//
// No table at all, for a spec with angles=computed; here YaRN by 4 (see qkjit_frequencies):
//
//   args.frequencies.base = 1e6;
//   args.frequencies.yarn_factor = 4;
//   args.frequencies.yarn_low = 20, args.frequencies.yarn_high = 46;
//   args.frequencies.attention_factor = 1.1386294361119891;
//
// K in FP8 straight into a paged cache of vLLM's, V beside it, for a spec with
// cache=paged,v=copy,k_out=fp8_e4m3:
//
//   args.v = qkjit::tensor(v, QKJIT_BF16, {tokens, 8, 128});
//   args.k_cache = qkjit::tensor(kv, QKJIT_FP8_E4M3, {blocks, 16, 8, 128});
//   args.v_cache = qkjit::tensor(kv + blocks * 16 * 8 * 128, QKJIT_FP8_E4M3, {blocks, 16, 8, 128});
//   args.slot_mapping = qkjit::tensor(slots, QKJIT_INT64, {tokens});
//   args.k_scale = qkjit::tensor(k_scale, QKJIT_FP32, {1});
//   args.v_scale = qkjit::tensor(v_scale, QKJIT_FP32, {1});
//
// In host memory, on the CPU, with the same bits:
//
//   auto done = runtime.launch(args, qkjit::Stream::host());
//   if (done) puts(qkjit_path_string(done->path));  // "cpu"
//
// A first call that does not wait for the compiler: the generic kernel serves, with the same bits,
// until the other one is there (see qkjit_compile_policy):
//
//   qkjit::RuntimeOptions options;
//   options.compile = QKJIT_COMPILE_BACKGROUND;
//   auto runtime = qkjit::Runtime::create(options).value();
//   auto done = runtime.launch(args, stream);   // generic, QKJIT_REASON_COMPILE_PENDING
//   if (runtime.wait_idle()) done = runtime.launch(args, stream);  // fused
//
// Whether a shape is served, without GPU, compiler or runtime:
//
//   auto support = qkjit::supports(spec);
//   if (support && support->dispatch.path != QKJIT_PATH_FUSED) puts(support->text);
//
// Nothing here throws but value() of a failed Result, and std::bad_alloc.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "qkjit/qkjit.h"

namespace qkjit {
// The inline namespace keeps this header's names apart from the library's own in a static link.
inline namespace api_0_1 {

/// How a call ended: a closed set of codes, and for a failure what was given, needed and to do.
class [[nodiscard]] Status {
 public:
  Status() = default;
  /// Takes the thread's last error as the message of a failure.
  explicit Status(qkjit_status code)
      : code_(code), message_(code == QKJIT_OK ? "" : qkjit_last_error()) {}

  explicit operator bool() const { return code_ == QKJIT_OK; }
  qkjit_status code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  qkjit_status code_ = QKJIT_OK;
  std::string message_;
};

/// A value, or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT: a value is a result
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: so is a failure

  explicit operator bool() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  const std::string& message() const { return status_.message(); }

  /// Throws std::runtime_error with the message if there is no value.
  T& value() & { return checked(); }
  T&& value() && { return std::move(checked()); }
  T& operator*() { return *value_; }
  T* operator->() { return &*value_; }

 private:
  T& checked() {
    if (!value_) throw std::runtime_error(status_.message());
    return *value_;
  }

  std::optional<T> value_;
  Status status_;
};

/// Where a call runs: a CUDA stream of the caller, or host memory. Borrowed, copied freely. A null
/// CUDA stream is the legacy default stream; to mean it, name it.
class Stream {
 public:
  Stream(qkjit_stream stream)
      : stream_(stream) {}  // NOLINT: takes CUstream and cudaStream_t as they are
  Stream(int) = delete;
  Stream(std::nullptr_t) = delete;
  static Stream legacy_default() { return Stream(static_cast<qkjit_stream>(nullptr)); }
  static Stream host() { return Stream(QKJIT_STREAM_HOST); }

  qkjit_stream get() const { return stream_; }

 private:
  qkjit_stream stream_;
};

/// A view of the caller's memory. Shape and strides count elements; without strides it is
/// contiguous. At most four dimensions; further ones are ignored and the rank check of launch()
/// refuses the tensor.
/// Strides of another count than the shape make a tensor of rank -1, which launch() refuses.
inline qkjit_tensor tensor(void* data, qkjit_dtype dtype, std::initializer_list<std::int64_t> shape,
                           std::initializer_list<std::int64_t> strides = {}) {
  qkjit_tensor view = QKJIT_TENSOR_INIT;
  view.data = data;
  view.dtype = dtype;
  view.rank = static_cast<std::int32_t>(shape.size());
  std::copy_n(shape.begin(), std::min<std::size_t>(shape.size(), 4), view.shape);
  if (strides.size() > 0) {
    if (strides.size() != shape.size()) view.rank = -1;
    std::copy_n(strides.begin(), std::min<std::size_t>(strides.size(), 4), view.strides);
    return view;
  }
  std::int64_t stride = 1;
  for (int i = std::min(view.rank, 4) - 1; i >= 0; --i) {
    view.strides[i] = stride;
    stride *= view.shape[i];
  }
  return view;
}

/// The arguments of a call; see qkjit_args for each field.
struct Args : qkjit_args {
  Args() : qkjit_args(QKJIT_ARGS_INIT) {}
  explicit Args(const qkjit_spec& kernel) : Args() { spec = kernel; }
};

/// Reads a spec's canonical text; see qkjit_spec_parse().
inline Result<qkjit_spec> parse_spec(const std::string& text) {
  qkjit_spec spec = QKJIT_SPEC_INIT;
  if (const qkjit_status code = qkjit_spec_parse(text.c_str(), &spec); code != QKJIT_OK)
    return Status(code);
  return spec;
}

/// A spec's canonical text.
inline Result<std::string> to_string(const qkjit_spec& spec) {
  char text[1024];
  const qkjit_status code = qkjit_spec_format(&spec, text, sizeof(text), nullptr);
  if (code != QKJIT_OK) return Status(code);
  return std::string(text);
}

/// Which path serves a spec, and why it is not the fused one. Needs no GPU.
inline Result<qkjit_support> supports(const qkjit_spec& spec) {
  qkjit_support support = QKJIT_SUPPORT_INIT;
  if (const qkjit_status code = qkjit_supports(&spec, &support); code != QKJIT_OK)
    return Status(code);
  return support;
}

/// Settings of a runtime; see qkjit_runtime_options for each field.
struct RuntimeOptions : qkjit_runtime_options {
  RuntimeOptions() : qkjit_runtime_options(QKJIT_RUNTIME_OPTIONS_INIT) {}
};

/// Owns a runtime. Thread-safe: all methods from any thread at once; moving and destroying are not.
class Runtime {
 public:
  static Result<Runtime> create(const RuntimeOptions& options = {}) {
    qkjit_runtime* handle = nullptr;
    const qkjit_status code = qkjit_runtime_create(&options, &handle);
    if (code != QKJIT_OK) return Status(code);
    return Runtime(handle);
  }

  /// Compiles, or finds in the cache, and loads on the current device; see qkjit_prepare().
  Status prepare(const qkjit_spec& spec) const {
    return Status(qkjit_prepare(get(), &spec, nullptr));
  }

  /// Fills the cache for a target such as "sm_90"; needs no GPU.
  Status precompile(const qkjit_spec& spec, const std::string& target) const {
    return Status(qkjit_prepare(get(), &spec, target.c_str()));
  }

  /// Normalises and rotates q and k; see qkjit_launch(). The stream is never synchronised.
  Result<qkjit_dispatch> launch(const qkjit_args& args, Stream stream) const {
    qkjit_dispatch dispatch{};
    const qkjit_status code = qkjit_launch(get(), &args, stream.get(), &dispatch);
    if (code != QKJIT_OK) return Status(code);
    return dispatch;
  }

  /// Two streams in one launch; see qkjit_launch_dual().
  Result<qkjit_dispatch> launch_dual(const qkjit_args& first, const qkjit_args& second,
                                     Stream stream) const {
    qkjit_dispatch dispatch{};
    const qkjit_status code = qkjit_launch_dual(get(), &first, &second, stream.get(), &dispatch);
    if (code != QKJIT_OK) return Status(code);
    return dispatch;
  }

  /// Prepares launches of two streams with these specs; see qkjit_prepare_dual().
  Status prepare_dual(const qkjit_spec& first, const qkjit_spec& second) const {
    return Status(qkjit_prepare_dual(get(), &first, &second, nullptr));
  }

  /// Waits until nothing is compiled in the background; see qkjit_wait_idle().
  Status wait_idle(std::chrono::milliseconds limit) const {
    return Status(qkjit_wait_idle(get(), std::max<std::int64_t>(limit.count(), 0)));
  }
  Status wait_idle() const { return Status(qkjit_wait_idle(get(), -1)); }

  qkjit_stats stats() const {
    qkjit_stats stats = QKJIT_STATS_INIT;
    qkjit_get_stats(get(), &stats);
    return stats;
  }

  qkjit_runtime* get() const { return handle_.get(); }

 private:
  struct Destroy {
    void operator()(qkjit_runtime* runtime) const { qkjit_runtime_destroy(runtime); }
  };
  explicit Runtime(qkjit_runtime* handle) : handle_(handle) {}

  std::unique_ptr<qkjit_runtime, Destroy> handle_;
};

}  // namespace api_0_1
}  // namespace qkjit
