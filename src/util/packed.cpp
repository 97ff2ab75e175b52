#include "util/packed.hpp"

#include <zstd.h>

namespace qkjit {

std::string pack(std::string_view text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(),
                              ZSTD_CLEVEL_DEFAULT));  // of a buffer so large it cannot fail
  packed.shrink_to_fit();
  return packed;
}

Result<std::string> unpack(std::string_view packed, std::size_t limit) {
  const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
  if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR || size > limit) {
    return fail(Code::cache_io, "{} bytes are no zstd frame of at most {} bytes", packed.size(),
                limit);
  }
  std::string text(size, '\0');
  const std::size_t done = ZSTD_decompress(text.data(), text.size(), packed.data(), packed.size());
  if (ZSTD_isError(done) || done != size) {
    return fail(Code::cache_io, "a zstd frame is damaged: {}", ZSTD_getErrorName(done));
  }
  return text;
}

}  // namespace qkjit
