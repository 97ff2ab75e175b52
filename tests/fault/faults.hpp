// System calls that fail when a test says so.
#pragma once

#include <string_view>

namespace qkjit::test {

/// Calls of the C library made from this program, which defines them itself (faults.cpp).
inline constexpr std::string_view kFileCalls[] = {"open", "read",   "write", "fsync", "fstat",
                                                  "link", "rename", "close", "mkdir", "fchmod"};

/// While it lives, the `nth` (from 1) call named `call` on this thread fails with `error`, and with
/// `lasting` all that follow too. An error of 0: the call does half of what it should (write), or
/// nothing at all, and says that it did (fcntl). One at a time.
class Fault {
 public:
  Fault(std::string_view call, int error, int nth = 1, bool lasting = false);
  Fault(const Fault&) = delete;
  Fault& operator=(const Fault&) = delete;
  ~Fault();

  /// Whether it has come about.
  static bool happened();
};

}  // namespace qkjit::test
