#include "jit/toolchain.hpp"

#include "util/build_id.hpp"

namespace qkjit {

std::string toolchain_of(const std::string& library_file) {
  const std::string id = build_id(library_file);
  return id.empty() ? id : "nvrtc-" + id.substr(0, 16);
}

std::string toolchain_of(const std::string& library_file, const std::string& version) {
  const std::string exact = toolchain_of(library_file);
  return exact.empty() ? "nvrtc-" + version : exact;
}

}  // namespace qkjit
