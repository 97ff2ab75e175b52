#include "tests/support/values.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/dtype.cuh"

namespace qkjit::test {
namespace {

/// The bit fields of a dtype.
struct Fields {
  unsigned exponent_bits, mantissa_bits;

  unsigned top_exponent() const { return (1u << exponent_bits) - 1; }
  unsigned mantissa_mask() const { return (1u << mantissa_bits) - 1; }
  unsigned make(unsigned sign, unsigned exponent, unsigned mantissa) const {
    return sign << (exponent_bits + mantissa_bits) | exponent << mantissa_bits |
           (mantissa & mantissa_mask());
  }
};

constexpr Fields fields_of(DType dtype) {
  switch (dtype) {
    case DType::bf16:
      return {8, 7};
    case DType::fp16:
      return {5, 10};
    case DType::fp32:
      break;
  }
  return {8, 23};
}

enum class Kind { zero, subnormal, huge, infinity, nan, any_finite };
constexpr unsigned kKinds = 6;

unsigned special_bits(Kind kind, DType dtype, Random& random) {
  const Fields f = fields_of(dtype);
  const std::uint64_t bits = random();
  const unsigned sign = bits & 1, mantissa = static_cast<unsigned>(bits >> 1);
  const unsigned exponent = static_cast<unsigned>(bits >> 33) % f.top_exponent();
  switch (kind) {
    case Kind::zero:
      return f.make(sign, 0, 0);
    case Kind::subnormal:
      return f.make(sign, 0, mantissa);
    case Kind::huge:
      return f.make(sign, f.top_exponent() - 1, mantissa);
    case Kind::infinity:
      return f.make(sign, f.top_exponent(), 0);
    case Kind::nan:
      return f.make(sign, f.top_exponent(), mantissa | 1);
    case Kind::any_finite:
      break;
  }
  return f.make(sign, exponent, mantissa);
}

unsigned encode(DType dtype, float x) {
  switch (dtype) {
    case DType::bf16:
      return float_to_bf16(x);
    case DType::fp16:
      return float_to_fp16(x);
    case DType::fp32:
      break;
  }
  return std::bit_cast<unsigned>(x);
}

/// Uniform in [-1, 1).
float uniform(std::uint64_t bits16) { return static_cast<float>(bits16 & 0xffff) * 0x1p-15f - 1; }

/// Nearly normal with variance 1: the sum of four uniform values. The standard's distributions
/// differ between libraries; this one does not.
float normal(Random& random) {
  const std::uint64_t bits = random();
  return (uniform(bits) + uniform(bits >> 16) + uniform(bits >> 32) + uniform(bits >> 48)) *
         0.8660254f;
}

bool one_in_16(Data data, Random& random) { return data == Data::special && random() % 16 == 0; }

unsigned any_special(DType dtype, Random& random) {
  return special_bits(static_cast<Kind>(random() % kKinds), dtype, random);
}

}  // namespace

void fill_row(Data data, DType dtype, Random& random, std::byte* to, int count) {
  const float scale = std::ldexp(1.0f, static_cast<int>(random() % 9) - 4);
  const auto row_kind = random() % 10;
  for (int i = 0; i < count; ++i) put(dtype, to, i, encode(dtype, scale * normal(random)));
  if (data == Data::normal) return;
  const auto every = [&](Kind kind) {
    for (int i = 0; i < count; ++i) put(dtype, to, i, special_bits(kind, dtype, random));
  };
  const auto one = [&](Kind kind) {
    const int at = static_cast<int>(random() % static_cast<unsigned>(count));
    put(dtype, to, at, special_bits(kind, dtype, random));
  };
  switch (row_kind) {
    case 0:
      return every(Kind::zero);
    case 1:
      return every(Kind::subnormal);
    case 2:
      return every(Kind::huge);
    case 3:
      return every(Kind::any_finite);
    case 4:
      return one(Kind::infinity);
    case 5:
      return one(Kind::nan);
    case 6:
      return one(Kind::zero);
    case 7:
      return one(Kind::huge);
    default:
      return;
  }
}

void fill_weights(Data data, DType dtype, Random& random, std::byte* to, int count) {
  for (int i = 0; i < count; ++i) {
    const float weight = 1 + 0.25f * normal(random);
    put(dtype, to, i, one_in_16(data, random) ? any_special(dtype, random) : encode(dtype, weight));
  }
}

AngleBits random_angle(Data data, DType dtype, Random& random) {
  const float angle = 3.14159265f * uniform(random());
  AngleBits bits = {encode(dtype, std::cos(angle)), encode(dtype, std::sin(angle))};
  if (one_in_16(data, random)) bits.cosine = any_special(dtype, random);
  if (one_in_16(data, random)) bits.sine = any_special(dtype, random);
  return bits;
}

void put(DType dtype, std::byte* to, std::int64_t index, unsigned bits) {
  const std::size_t size = dtype == DType::fp32 ? 4 : 2;  // the low bytes come first
  std::memcpy(to + static_cast<std::size_t>(index) * size, &bits, size);
}

}  // namespace qkjit::test
