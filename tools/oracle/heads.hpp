// Where the rows of a tensor lie.
#pragma once

#include <cstdint>

#include "qkjit/qkjit.h"

namespace qkjit::oracle {

/// q, k or an output, by its dimensions; none has no tokens.
struct Heads {
  const qkjit_tensor& t;
  int first;  ///< dimension of the tokens

  explicit Heads(const qkjit_tensor& tensor) : t(tensor), first(tensor.rank == 4 ? 1 : 0) {}
  std::int64_t batches() const { return first == 1 ? t.shape[0] : 1; }
  std::int64_t tokens() const { return t.data ? t.shape[first] : 0; }
  std::int64_t heads() const { return t.data ? t.shape[first + 1] : 0; }
  std::int64_t row(std::int64_t batch, std::int64_t token, std::int64_t head) const {
    return (first == 1 ? batch * t.strides[0] : 0) + token * t.strides[first] +
           head * t.strides[first + 1];
  }
};

}  // namespace qkjit::oracle
