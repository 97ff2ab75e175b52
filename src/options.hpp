// The settings of a runtime: the caller's options over the environment over the defaults.
#pragma once

#include "qkjit/qkjit.h"
#include "runtime.hpp"

namespace qkjit {

/// The only place that reads environment variables for a runtime: QKJIT_CACHE, QKJIT_CACHE_DIR,
/// QKJIT_CACHE_PATH, QKJIT_CACHE_PUBLIC_KEY, QKJIT_CACHE_MAX_SIZE, QKJIT_NVRTC, QKJIT_COMPILE,
/// QKJIT_LOG, and XDG_CACHE_HOME and HOME for the default directory. Code::invalid_argument names a
/// value that is none.
Result<RuntimeOptions> resolve_options(const qkjit_runtime_options& options);

/// The writable cache directory of these settings; empty if there is no home to put one in.
std::string default_cache_directory();

/// "4096", "512M", "unlimited": bytes.
Result<std::uint64_t> parse_size(std::string_view text);

/// The limit of the writable cache of these settings: `option` unless it is 0.
Result<std::uint64_t> cache_max_bytes(std::uint64_t option);

/// Who has to have signed the read-only directories of these settings: `option` unless it is null
/// or empty; nothing: nobody.
Result<std::optional<PublicKey>> cache_public_key(const char* option);

}  // namespace qkjit
