// NVRTC, opened at run time: source text to cubin and PTX. The only folder that knows nvrtc.h.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compile/resources.hpp"
#include "util/embedded_file.hpp"
#include "util/error.hpp"

namespace qkjit {

struct CompileRequest {
  std::string file;  ///< virtual name of the translation unit, absolute
  std::string text;
  std::span<const EmbeddedFile> headers;  ///< all that the text may include
  std::string target;                     ///< "sm_90" for a cubin, "compute_75" for PTX alone
};

struct Compiled {
  std::string cubin;  ///< empty for a compute_ target
  std::string ptx;
  std::string log;
  std::vector<Resources> resources;  ///< of each kernel, as ptxas reports them
  /// Until the text was parsed; the rest of a compile optimises and assembles. None if this NVRTC
  /// does not tell.
  std::optional<std::chrono::nanoseconds> front_end = {};
};

/// The options that decide what is compiled; they belong into a cache key.
std::vector<std::string> compile_options(const std::string& target);

/// Immutable, so safe to use from any thread; compiles run in parallel.
class Nvrtc {
 public:
  /// Opens `library`, or if it is empty the newest soname that is found, then where the toolkit
  /// usually is. Needs NVRTC 12.0 or newer. Code::not_ready if there is none.
  static Result<std::shared_ptr<const Nvrtc>> open(const std::string& library);
  /// The file that open() would load, found without loading anything; empty if that cannot be told.
  static std::string find(const std::string& library);
  virtual ~Nvrtc() = default;

  virtual const std::string& path() const = 0;
  virtual std::string version() const = 0;  ///< "13.0"
  /// "sm_75", ... in ascending order; with sm_90 also its variant sm_90a, and so on.
  virtual std::vector<std::string> targets() const = 0;
  /// Code::compile_failed with the compiler's log, Code::invalid_argument for a target that this
  /// NVRTC lacks, with the list it has.
  virtual Result<Compiled> compile(const CompileRequest& request) const = 0;
};

}  // namespace qkjit
