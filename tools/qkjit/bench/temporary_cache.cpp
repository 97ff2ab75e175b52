#include "tools/qkjit/bench/temporary_cache.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "options.hpp"

namespace qkjit::bench {

Result<TemporaryCache> TemporaryCache::create() {
  std::error_code error;
  std::string path = std::filesystem::temp_directory_path(error) / "qkjit_bench.XXXXXX";
  if (error || !mkdtemp(path.data())) {
    return fail(Code::cache_io, "no temporary directory {}: {}; set TMPDIR to a writable one", path,
                error ? error.message() : std::strerror(errno));
  }
  return TemporaryCache(path);
}

void TemporaryCache::clear() const {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<std::unique_ptr<Runtime>> TemporaryCache::runtime() const {
  qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT;
  options.cache_dir = path_.c_str();
  options.compile = QKJIT_COMPILE_BLOCK;
  auto resolved = resolve_options(options);
  if (!resolved) return tl::unexpected(resolved.error());
  resolved->jit.read_only.clear();
  return std::make_unique<Runtime>(std::move(*resolved));
}

}  // namespace qkjit::bench
