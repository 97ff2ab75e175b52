// IEEE arithmetic as the numerics need it, whatever the host application has set.
#pragma once

#include <cfenv>

namespace qkjit {

/// The default floating-point environment (round to nearest, subnormals kept, nothing traps) for
/// its scope; then the thread's own again.
class FloatEnvironment {
 public:
  FloatEnvironment() {
    std::fegetenv(&saved_);
    std::fesetenv(FE_DFL_ENV);
  }
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;
  ~FloatEnvironment() { std::fesetenv(&saved_); }

 private:
  std::fenv_t saved_;
};

}  // namespace qkjit
