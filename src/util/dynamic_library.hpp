// A library opened at run time, and typed access to its functions.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "util/error.hpp"

namespace qkjit {

/// Shared ownership of a dlopen handle. Immutable, so safe to use from any thread.
class DynamicLibrary {
 public:
  /// Opens the first of `candidates` (paths or sonames) that loads. The error lists what each said.
  static Result<DynamicLibrary> open(std::span<const std::string> candidates);

  /// The file that was loaded, as the dynamic linker names it.
  const std::string& path() const { return path_; }

  /// Sets `function` to the named symbol; false and null if there is none.
  template <class Function>
  bool find(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(symbol(name));
    return function != nullptr;
  }

 private:
  DynamicLibrary(std::shared_ptr<void> handle, std::string path)
      : handle_(std::move(handle)), path_(std::move(path)) {}
  void* symbol(const char* name) const;

  std::shared_ptr<void> handle_;
  std::string path_;
};

}  // namespace qkjit
