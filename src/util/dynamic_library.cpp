#include "util/dynamic_library.hpp"

#include <dlfcn.h>
#include <link.h>

namespace qkjit {

Result<DynamicLibrary> DynamicLibrary::open(std::span<const std::string> candidates) {
  std::string causes;
  // Never unmapped: NVIDIA's libraries leave allocations, threads and exit handlers behind.
  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  for (const std::string& candidate : candidates) {
    if (void* handle = dlopen(candidate.c_str(), kFlags)) {
      std::string path = candidate;
      link_map* map = nullptr;
      if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name[0] != '\0') path = map->l_name;
      return DynamicLibrary(std::shared_ptr<void>(handle, dlclose), std::move(path));
    }
    causes += fmt::format("{}{}", causes.empty() ? "" : "; ", dlerror());
  }
  return fail(Code::not_ready, "no library could be opened: {}", causes);
}

void* DynamicLibrary::symbol(const char* name) const { return dlsym(handle_.get(), name); }

}  // namespace qkjit
