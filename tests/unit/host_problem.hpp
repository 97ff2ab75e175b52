// A small problem in host memory and what the formula makes of it in double, by nothing but the C
// interface.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "qkjit/qkjit.h"
#include "tests/catch.hpp"

struct DestroyRuntime {
  void operator()(qkjit_runtime* runtime) const { qkjit_runtime_destroy(runtime); }
};
using RuntimePointer = std::unique_ptr<qkjit_runtime, DestroyRuntime>;

/// A runtime that touches no cache of the user's.
inline RuntimePointer make_runtime(qkjit_runtime_options options = QKJIT_RUNTIME_OPTIONS_INIT) {
  if (!options.cache_dir) options.cache_dir = "/nowhere/qkjit";
  qkjit_runtime* runtime = nullptr;
  const qkjit_status status = qkjit_runtime_create(&options, &runtime);
  INFO(qkjit_last_error());
  REQUIRE(status == QKJIT_OK);
  return RuntimePointer(runtime);
}

class HostProblem {
 public:
  using Bytes = std::vector<unsigned char>;

  HostProblem(const std::string& spec_text, std::int64_t token_count) : tokens(token_count) {
    REQUIRE(qkjit_spec_parse(spec_text.c_str(), &spec) == QKJIT_OK);
    for (Bytes* bytes : {&q, &k, &q_weight, &k_weight}) {
      const std::int64_t rows = bytes == &q ? tokens * kHeadsQ : bytes == &k ? tokens * kHeadsK : 1;
      for (std::int64_t i = 0; i < rows * spec.head_dim; ++i) append_element(*bytes);
    }
    q_out.resize(q.size()), k_out.resize(k.size());
    for (std::int64_t row = 0; row < rows(); ++row) {
      for (int i = 0; i < spec.rope_dim; ++i) {
        const double angle = static_cast<double>(row) + i % (spec.rope_dim / 2) * 0.3;
        table.push_back(
            static_cast<float>(i < spec.rope_dim / 2 ? std::cos(angle) : std::sin(angle)));
      }
    }
    for (std::int64_t token = 0; token < tokens; ++token) {
      positions64.push_back(token * 7 % tokens);
      positions32.push_back(static_cast<std::int32_t>(positions64.back()));
    }
  }

  /// Out of place.
  qkjit_args args() {
    qkjit_args args = QKJIT_ARGS_INIT;
    args.spec = spec;
    args.q = qkjit_tensor_3d(q.data(), spec.dtype, tokens, kHeadsQ, spec.head_dim);
    args.k = qkjit_tensor_3d(k.data(), spec.dtype, tokens, kHeadsK, spec.head_dim);
    args.q_out = args.q, args.k_out = args.k;
    args.q_out.data = q_out.data(), args.k_out.data = k_out.data();
    args.q_weight = qkjit_tensor_1d(q_weight.data(), spec.dtype, spec.head_dim);
    args.k_weight = qkjit_tensor_1d(k_weight.data(), spec.dtype, spec.head_dim);
    if (spec.rope_dim > 0) {
      args.cos_sin_cache = qkjit_tensor_2d(table.data(), QKJIT_FP32, rows(), spec.rope_dim);
      if (spec.positions == QKJIT_POSITIONS_INT64) {
        args.positions = qkjit_tensor_1d(positions64.data(), QKJIT_INT64, tokens);
      } else if (spec.positions == QKJIT_POSITIONS_INT32) {
        args.positions = qkjit_tensor_1d(positions32.data(), QKJIT_INT32, tokens);
      }
    }
    args.position_offset = kOffset;
    return args;
  }

  /// The largest error of q_out and k_out over their pair's magnitude, in unit roundoffs of the
  /// dtype.
  double worst_error() const {
    return std::max(worst_error(q, q_weight, q_out, kHeadsQ),
                    worst_error(k, k_weight, k_out, kHeadsK));
  }

  double element(const Bytes& bytes, std::size_t i) const {
    if (spec.dtype == QKJIT_FP32) {
      float x = 0;
      std::memcpy(&x, &bytes[4 * i], 4);
      return x;
    }
    const unsigned bits = bytes[2 * i] | static_cast<unsigned>(bytes[2 * i + 1]) << 8;
    const int mantissa_bits = spec.dtype == QKJIT_BF16 ? 7 : 10;
    const int bias = spec.dtype == QKJIT_BF16 ? 127 : 15;
    const unsigned one = 1u << mantissa_bits;
    const int exponent = static_cast<int>((bits & 0x7fff) >> mantissa_bits);  // no subnormals here
    const double x = std::ldexp(one + bits % one, exponent - bias - mantissa_bits);
    return bits >> 15 ? -x : x;
  }

  static constexpr std::int64_t kHeadsQ = 3, kHeadsK = 2, kOffset = 2;

  qkjit_spec spec = QKJIT_SPEC_INIT;
  std::int64_t tokens;
  Bytes q, k, q_out, k_out, q_weight, k_weight;
  std::vector<float> table;
  std::vector<std::int64_t> positions64;
  std::vector<std::int32_t> positions32;

 private:
  std::int64_t rows() const { return tokens + kOffset; }

  /// A normal number between 2^-4 and 2^4 of any sign and mantissa.
  void append_element(Bytes& bytes) {
    const unsigned random = random_(), exponent = random >> 16 & 7, sign = random >> 31;
    const unsigned long long mantissa = random_();
    unsigned bits = 0;
    if (spec.dtype == QKJIT_BF16) bits = sign << 15 | (exponent + 123) << 7 | (mantissa & 0x7f);
    if (spec.dtype == QKJIT_FP16) bits = sign << 15 | (exponent + 11) << 10 | (mantissa & 0x3ff);
    if (spec.dtype == QKJIT_FP32)
      bits = sign << 31 | (exponent + 123) << 23 | (mantissa & 0x7fffff);
    for (int i = 0; i < (spec.dtype == QKJIT_FP32 ? 4 : 2); ++i) {
      bytes.push_back(static_cast<unsigned char>(bits >> 8 * i));
    }
  }

  double worst_error(const Bytes& in, const Bytes& weight, const Bytes& out,
                     std::int64_t heads) const {
    const double roundoff = spec.dtype == QKJIT_BF16   ? 0x1p-8
                            : spec.dtype == QKJIT_FP16 ? 0x1p-11
                                                       : 0x1p-24;
    const int dim = spec.head_dim, half = spec.rope_dim / 2;
    const bool neox = spec.layout == QKJIT_NEOX;
    double worst = 0;
    for (std::int64_t row = 0; row < tokens * heads; ++row) {
      const auto first = static_cast<std::size_t>(row * dim);
      double squares = 0;
      for (int i = 0; i < dim; ++i) squares += std::pow(element(in, first + i), 2);
      const double r = 1 / std::sqrt(squares / dim + 1e-6f);
      const auto y = [&](int i) { return element(in, first + i) * r * element(weight, i); };
      const auto compare = [&](int i, double expected, double magnitude) {
        const double got = element(out, first + i);
        worst = std::max(worst, std::abs(got - expected) / magnitude / roundoff);
      };
      const std::int64_t token = row / heads;
      const std::int64_t position =
          (spec.positions == QKJIT_POSITIONS_IMPLICIT ? token : positions64[token]) + kOffset;
      for (int i = 0; i < half; ++i) {
        const int a = neox ? i : 2 * i, b = neox ? i + half : 2 * i + 1;
        const double c = table[position * spec.rope_dim + i];
        const double s = table[position * spec.rope_dim + half + i];
        const double magnitude = std::hypot(y(a), y(b));
        compare(a, y(a) * c - y(b) * s, magnitude);
        compare(b, y(b) * c + y(a) * s, magnitude);
      }
      for (int i = spec.rope_dim; i < dim; ++i) compare(i, y(i), std::abs(y(i)));
    }
    return worst;
  }

  std::mt19937 random_{1};
};
