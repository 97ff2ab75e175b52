// The argument struct and geometry of the generic kernel, shared with the host.
#pragma once

#include "params.cuh"

namespace qkjit {

struct GenericParams {
  Params common;
  Spec spec;
  float inv_head_dim;  ///< 1 / head_dim, rounded to fp32
};

static_assert(sizeof(GenericParams) == 192,
              "host and device must agree: change both sides and this size");

constexpr int kGenericMaxHeadDim = 1024;
constexpr int kGenericThreads = 128;
constexpr int kGenericRowsPerBlock = kGenericThreads / 32;

}  // namespace qkjit
