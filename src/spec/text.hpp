// The canonical text of a Spec: on the command line, in keys, logs and tests.
#pragma once

#include <string>
#include <string_view>

#include "kernels/spec.cuh"
#include "util/error.hpp"

namespace qkjit {

/// "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16", then those of the other fields that
/// are not the default.
std::string to_text(const Spec& spec);

/// Reads what to_text() writes, fields in any order; the first four are required. Strict: an
/// unknown field, a bad value or a repeated field is an error that names it. Checks no shape (see
/// support.hpp).
Result<Spec> parse_spec(std::string_view text);

/// The spec that names the same kernel: without rotation, what describes it means nothing; with a
/// whole head rotated, it is no matter from which end; and without a norm there is nothing to round
/// before the rotation.
Spec normalized(Spec spec);

}  // namespace qkjit
