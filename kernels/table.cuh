// Where a token's angles are in the table of cosines and sines: in which rows, and where in a row.
#pragma once

#include "dtype.cuh"
#include "params.cuh"
#include "positions.cuh"

namespace qkjit {

/// How a table is read. A row has the cosines of rope_dim / 2 angles, or with `by_element` of
/// rope_dim, and apart from them their sines, `step` values from one angle to the next.
struct TableForm {
  DType dtype;
  int rope_dim;
  int step;
  bool by_element;
  int sections[3];
  SectionOrder order;

  static QKJIT_CONSTEXPR TableForm of(const Spec& spec) {
    const bool twice = spec.table_width == TableWidth::full && spec.layout == Layout::interleaved;
    return {spec.table,
            spec.rope_dim,
            twice ? 2 : 1,
            spec.table_width == TableWidth::elements,
            {spec.sections[0], spec.sections[1], spec.sections[2]},
            spec.section_order};
  }

  QKJIT_CONSTEXPR int angles() const { return by_element ? rope_dim : rope_dim / 2; }

  /// The angle that an element of a neox pair turns by.
  QKJIT_CONSTEXPR int angle_of(int element) const {
    return by_element || element < rope_dim / 2 ? element : element - rope_dim / 2;
  }

  QKJIT_CONSTEXPR int axes() const { return sections[0] > 0 ? 3 : 1; }

  /// The position axis of an angle. Interleaved as apply_interleaved_mrope of transformers'
  /// Qwen3-VL: angle i is axis i % 3's while that has angles left, else axis 0's.
  QKJIT_CONSTEXPR int axis_of(int angle) const {
    if (axes() == 1) return 0;
    if (order == SectionOrder::contiguous) {
      return (angle >= sections[0]) + (angle >= sections[0] + sections[1]);
    }
    const int turn = angle % 3;
    return angle < 3 * (turn == 1 ? sections[1] : sections[2]) ? turn : 0;
  }

  /// Whether quads of angles can be loaded at once: halves are whole quads, each of one axis.
  QKJIT_CONSTEXPR bool has_quads() const {
    const bool together = axes() == 1 || (order == SectionOrder::contiguous &&
                                          sections[0] % 4 == 0 && sections[1] % 4 == 0);
    return rope_dim % 8 == 0 && together;
  }

  /// Bytes on which cosines, sines and rows must lie for that: those of an access.
  QKJIT_CONSTEXPR int alignment() const {
    if (!has_quads()) return size_of(dtype);
    const bool octets = rope_dim % 16 == 0;
    return size_of(dtype) * step == 2 && !octets ? 8 : 16;
  }
};

/// The same as a type. What its constants rule out is then no work for the compiler, which would
/// otherwise spend a fifth of its time on loads that it drops at last.
template <TableForm kForm>
struct FixedForm {
  static constexpr DType dtype = kForm.dtype;
  enum : int { rope_dim = kForm.rope_dim, step = kForm.step };

  static QKJIT_CONSTEXPR int angle_of(int element) { return kForm.angle_of(element); }
  static QKJIT_CONSTEXPR int axes() { return kForm.axes(); }
  static QKJIT_CONSTEXPR int axis_of(int angle) { return kForm.axis_of(angle); }
  static QKJIT_CONSTEXPR bool has_quads() { return kForm.has_quads(); }
};

/// The rows of the table that have a token's angles: one for each position axis.
template <class Form>
struct TableRows {
  Form form;
  bool wide;  ///< the table lies as TableForm::alignment() says
  const char* cosines;
  const char* sines;
  int row_bytes;
  int rows[3];

  /// Bytes from the table's begin to the row of an angle.
  QKJIT_DEVICE long long row_of(int angle) const {
    const int axis = form.axis_of(angle);
    const int row = axis == 0 ? rows[0] : axis == 1 ? rows[1] : rows[2];
    return wide_product(row, row_bytes);
  }

  QKJIT_DEVICE float value(const char* row, int index) const {
    const auto bits = [&] { return reinterpret_cast<const unsigned short*>(row)[index]; };
    if (form.dtype == DType::bf16) return bf16_to_float(bits());
    if (form.dtype == DType::fp16) return fp16_to_float(bits());
    return reinterpret_cast<const float*>(row)[index];
  }
  QKJIT_DEVICE float cosine(int angle) const {
    return value(cosines + row_of(angle), angle * form.step);
  }
  QKJIT_DEVICE float sine(int angle) const {
    return value(sines + row_of(angle), angle * form.step);
  }
};

/// A row that the table has: the one asked for, or the nearest, and then the token is reported.
QKJIT_DEVICE int row_within(const Params& p, long long row, unsigned token) {
  if (0 <= row && row < p.table_rows) return static_cast<int>(row);
  keep_lowest(p.position_error, p.first_token + token);
  return row < 0 ? 0 : p.table_rows - 1;
}

/// `kCommon` says that positions are given or implicit and not checked, for kernels that serve no
/// others.
template <bool kCommon = false, class Form>
QKJIT_DEVICE TableRows<Form> find_angles(const Params& p, Positions positions, Bounds bounds,
                                         const Form& form, bool wide, unsigned token) {
  TableRows<Form> table{form,
                        wide,
                        static_cast<const char*>(p.cosines),
                        static_cast<const char*>(p.sines),
                        p.table_row_bytes,
                        {}};
#pragma unroll
  for (int axis = 0; axis < 3; ++axis) {
    if (axis >= form.axes()) continue;
    const long long index = axis == 0 ? token : axis * p.position_axis_stride + token;
    const long long position =
        kCommon ? given_position(p, positions, index) : position_of(p, positions, axis, token);
    const auto row = static_cast<unsigned long long>(p.position_offset) +
                     static_cast<unsigned long long>(position);
    // Tables have less than 2^31 rows, so the low half of a number of one says all.
    table.rows[axis] = !kCommon && bounds == Bounds::checked
                           ? row_within(p, static_cast<long long>(row), token)
                           : static_cast<int>(row);
  }
  return table;
}

/// The same rows of the table of a head's own; tables are `stride` bytes apart.
template <class Form>
QKJIT_DEVICE TableRows<Form> table_of_head(TableRows<Form> table, long long stride, unsigned head) {
  const long long before = head * stride;
  table.cosines += before, table.sines += before;
  return table;
}

}  // namespace qkjit
