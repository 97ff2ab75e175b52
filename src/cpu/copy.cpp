#include "cpu/copy.hpp"

#include <cstring>

#include "kernels/rows.cuh"
#include "kernels/sequence.cuh"

namespace qkjit {

void copy_on_cpu(const Spec& spec, const ValueRows& v, unsigned sequences) {
  const int size = size_of(spec.dtype);
  for (unsigned sequence = 0; sequence < sequences; ++sequence) {
    const Rows rows = rows_of_sequence(v.rows, v.of, size, sequence);
    for (unsigned token = 0; token < v.of.tokens; ++token) {
      for (unsigned head = 0; head < rows.heads; ++head) {
        const RowView row{rows, token, head};
        // Both may be the same row.
        std::memmove(static_cast<char*>(rows.out) + row.out_offset() * size,
                     static_cast<const char*>(rows.in) + row.in_offset() * size,
                     static_cast<std::size_t>(spec.head_dim * size));
      }
    }
  }
}

}  // namespace qkjit
