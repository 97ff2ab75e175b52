// The canonical text of a Spec: on the command line, in keys, logs and tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/spec.cuh"
#include "util/error.hpp"

namespace qkjit {

/// "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16", then the other fields that are not
/// the default. Where q and k have different norms, q_norm and k_norm take norm's place.
std::string to_text(const Spec& spec);

/// Reads what to_text() writes, fields in any order; the first four are required. Strict: an
/// unknown field, a bad value, a repeated field or two that say the same is an error that names
/// it. Checks no shape (see support.hpp).
Result<Spec> parse_spec(std::string_view text);

/// The spec that names the same kernel: without rotation, what describes it and the norm's place
/// mean nothing; with a whole head rotated, it is no matter from which end; without a norm there is
/// nothing to round before the rotation; a weight_dtype that no tensor has, or that is the dtype,
/// is `same`; and without FP8 there are no scales, without a cache no slots.
Spec normalized(Spec spec);

/// For documents: a field of the canonical text, the values of an enumeration (of others none), and
/// the value that is left out ("" for a required field).
struct SpecField {
  std::string_view name;
  std::vector<std::string_view> values;
  std::string default_value;
};
std::vector<SpecField> spec_fields();

}  // namespace qkjit
