// Whose files are believed: what is read from a cache becomes code of this process.
#pragma once

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <filesystem>

#include "util/error.hpp"

namespace qkjit {

/// Whether nobody but this process's user and root can have written what `status` is of.
/// Code::cache_io says who could, and what to do.
Result<void> check_owner(const struct stat& status, const std::filesystem::path& path);

/// Whether the group is the user's alone, as systems that give each user one make it (then the
/// umask is often 002, and what the user makes can be written by the group): the user's first
/// group, of the same name, with no other member. Never root's, which some containers share.
bool is_private_group(const passwd& user, const group& group);

/// Whether nobody but this process's user and root can put anything at `path` (absolute), now or
/// later: that holds of the directory and of each above it, links resolved; above it, others may
/// write where the sticky bit keeps them from replacing what is not theirs. One that does not exist
/// is judged by those above it. Code::cache_io names the place that fails.
Result<void> check_trusted_directory(const std::filesystem::path& path);

/// Whether the process has more rights than whoever started it (setuid, setgid, capabilities): then
/// neither the environment nor that user's files may decide what it runs.
bool has_elevated_rights();

}  // namespace qkjit
