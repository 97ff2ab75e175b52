#include "tuning/builtin.hpp"

#include <algorithm>

#include "spec/variant.hpp"
#include "tuning/default_variant.hpp"

namespace qkjit {
Choices builtin_choices(const Spec& spec, std::string_view target) {
  Variant variant = default_variant(spec);
  if (compute_capability(target) < kFirstWithBulk) return {{0, variant}};
  variant.pdl = true;
  return {{0, variant}};
}

}  // namespace qkjit
