// A kernel cache that goes with its scope, and runtimes that know no other.
#pragma once

#include <filesystem>
#include <memory>

#include "runtime.hpp"

namespace qkjit::bench {

class TemporaryCache {
 public:
  static Result<TemporaryCache> create();
  TemporaryCache(TemporaryCache&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryCache& operator=(TemporaryCache&&) = delete;
  ~TemporaryCache() { clear(); }

  void clear() const;
  /// A runtime with this cache alone, which may compile.
  Result<std::unique_ptr<Runtime>> runtime() const;

 private:
  explicit TemporaryCache(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
};

}  // namespace qkjit::bench
