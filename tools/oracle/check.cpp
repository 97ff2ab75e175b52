#include "tools/oracle/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "tools/oracle/computed.hpp"
#include "tools/oracle/criterion.hpp"
#include "tools/oracle/fp8.hpp"
#include "tools/oracle/heads.hpp"
#include "tools/oracle/number.hpp"
#include "tools/oracle/oracle.hpp"

namespace qkjit::oracle {
namespace {

using Doubles = std::vector<double>;

Spec to_spec(const qkjit_spec& spec) {
  return {spec.head_dim,
          spec.rope_dim,
          static_cast<Layout>(spec.layout),
          static_cast<DType>(spec.dtype),
          static_cast<Rounding>(spec.rounding),
          static_cast<Positions>(spec.positions),
          static_cast<Norm>(spec.q_norm),
          static_cast<Norm>(spec.k_norm),
          static_cast<Weight>(spec.weight),
          static_cast<Bias>(spec.bias),
          static_cast<WeightDType>(spec.weight_dtype),
          static_cast<NormOrder>(spec.norm_order),
          static_cast<DType>(spec.table),
          static_cast<TableWidth>(spec.table_width),
          static_cast<RopePlacement>(spec.placement),
          {spec.sections[0], spec.sections[1], spec.sections[2]},
          static_cast<SectionOrder>(spec.section_order),
          static_cast<NormScope>(spec.norm_scope),
          static_cast<Angles>(spec.angles),
          static_cast<Weights>(spec.weights),
          static_cast<Batch>(spec.batch),
          static_cast<Values>(spec.v),
          static_cast<TableHeads>(spec.table_heads),
          static_cast<Bounds>(spec.bounds),
          static_cast<Out>(spec.q_out),
          static_cast<Out>(spec.k_out),
          static_cast<OutScale>(spec.out_scale),
          static_cast<Cache>(spec.cache),
          static_cast<Slots>(spec.slots)};
}

void load_all(DType dtype, const void* array, std::int64_t first, std::span<double> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    to[i] = load(dtype, array, first + static_cast<std::int64_t>(i));
  }
}

/// The position axis of every angle: the slices of Qwen3-VL's apply_interleaved_mrope, or sections
/// one after another.
std::vector<std::int64_t> axes_of_angles(const Spec& spec) {
  std::vector<std::int64_t> axes(static_cast<std::size_t>(spec.rope_dim / 2), 0);
  std::int64_t end = spec.sections[0];
  for (std::int64_t axis = 1; axis < 3; ++axis) {
    const std::int64_t length = spec.sections[axis], begin = end;
    const bool in_turns = spec.section_order == SectionOrder::interleaved;
    const std::int64_t step = in_turns ? 3 : 1;
    for (std::int64_t i = 0; i < length; ++i) {
      axes[static_cast<std::size_t>((in_turns ? axis : begin) + i * step)] = axis;
    }
    end += length;
  }
  return axes;
}

/// What a call is made of: sequences, each with as many tokens as the longer of q and k.
struct Sizes {
  bool is_batched;
  std::int64_t batches, tokens, elements;

  explicit Sizes(const qkjit_args& args) {
    const Heads q(args.q), k(args.k);
    const Heads& any = args.q.data ? q : k;
    is_batched = any.first == 1;
    batches = any.batches();
    tokens = std::max(q.tokens(), k.tokens());
    const Heads v(args.v);
    elements = batches *
               (q.tokens() * q.heads() + k.tokens() * k.heads() + v.tokens() * v.heads()) *
               args.spec.head_dim;
  }
};

/// A token of a sequence, and the positions that it goes by.
struct Token {
  const qkjit_tensor& positions;
  std::int64_t batch, token;
};

std::int64_t table_row(const qkjit_args& args, const Spec& spec, const Token& at,
                       std::int64_t axis) {
  const qkjit_tensor& t = at.positions;
  if (spec.positions == Positions::grid) {
    const auto& [frames, height, width] = args.grid.extents;
    const std::int64_t coordinates[] = {at.token / (height * width), at.token / width % height,
                                        at.token % width};
    return args.position_offset + args.grid.first[axis] + coordinates[axis];
  }
  if (spec.positions == Positions::segments) {
    const auto* begins = static_cast<const std::int32_t*>(t.data);
    std::int64_t segment = 0;
    while (begins[segment + 1] <= at.token) ++segment;
    return args.position_offset + at.token - begins[segment] +
           static_cast<const std::int32_t*>(args.segment_offsets.data)[segment];
  }
  if (!t.data) return args.position_offset + at.token;
  const int own = has_sections(spec) ? 1 : 0;  // dimensions before those of batch and token
  const bool is_shared = t.rank == own + 1;
  const std::int64_t index =
      (own == 1 ? axis * t.strides[0] : 0) + (is_shared ? 0 : at.batch * t.strides[own]) + at.token;
  return args.position_offset + (t.dtype == QKJIT_INT64
                                     ? static_cast<const std::int64_t*>(t.data)[index]
                                     : static_cast<const std::int32_t*>(t.data)[index]);
}

/// A token's cosines and sines, those of the first elements of pairs before those of the second. A
/// full row holds angle i at i and at i + rope_dim/2 (neox), or at 2i and 2i + 1; one by elements
/// holds those of the second elements behind those of the first. `head` is of those that have
/// tables of their own.
void load_angles(const qkjit_args& args, const Spec& spec, std::span<const std::int64_t> axes,
                 const Token& at, std::int64_t head, std::span<double> cosines,
                 std::span<double> sines) {
  const bool joint = args.cos_sin_cache.data != nullptr;
  const bool full = spec.table_width == TableWidth::full;
  const bool elements = spec.table_width == TableWidth::elements;
  const qkjit_tensor& cos = joint ? args.cos_sin_cache : args.cos;
  const qkjit_tensor& sin = joint ? args.cos_sin_cache : args.sin;
  const std::int64_t first_sine = joint ? spec.rope_dim / (full || elements ? 1 : 2) : 0;
  for (std::size_t i = 0; i < cosines.size(); ++i) {
    const std::size_t angle = elements ? i : i % axes.size();
    const bool twice = full && spec.layout == Layout::interleaved;
    const auto index = static_cast<std::int64_t>(twice ? 2 * angle : angle);
    const std::int64_t row = table_row(args, spec, at, axes[i % axes.size()]);
    const std::int64_t of_cos = cos.rank == 3 ? head * cos.strides[1] : 0;
    const std::int64_t of_sin = sin.rank == 3 ? head * sin.strides[1] : 0;
    cosines[i] = load(spec.table, cos.data, of_cos + row * cos.strides[0] + index);
    sines[i] = load(spec.table, sin.data, of_sin + row * sin.strides[0] + first_sine + index);
  }
}

/// The same where they are computed.
void compute_angles(const qkjit_args& args, const Spec& spec, std::span<const std::int64_t> axes,
                    std::span<const long double> frequencies, const Token& at,
                    std::span<double> cosines, std::span<double> sines) {
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto [cosine, sine] =
        turned(args.frequencies, frequencies[i], table_row(args, spec, at, axes[i]));
    cosines[i] = cosines[i + axes.size()] = cosine;
    sines[i] = sines[i + axes.size()] = sine;
  }
}

/// The norm of q or of k, with its vectors; empty where the call gives none.
struct HeadNorm {
  Norm norm;
  Doubles weight, bias;

  HeadNorm(Norm kind, const qkjit_tensor& weights, const qkjit_tensor& biases)
      : norm(kind), weight(load_vector(weights)), bias(load_vector(biases)) {}

  static Doubles load_vector(const qkjit_tensor& tensor) {
    if (!tensor.data) return {};
    Doubles values(static_cast<std::size_t>(tensor.shape[0]));
    load_all(static_cast<DType>(tensor.dtype), tensor.data, 0, values);
    return values;
  }
};

/// Checks tokens one by one; each thread has its own.
class Checker {
 public:
  explicit Checker(const qkjit_args& args)
      : args_(args),
        spec_(to_spec(args.spec)),
        sizes_(args),
        q_norm_(spec_.q_norm, args.q_weight, args.q_bias),
        k_norm_(spec_.k_norm, args.k_weight, args.k_bias),
        axes_(axes_of_angles(spec_)),
        cosines_(2 * axes_.size()),
        sines_(2 * axes_.size()) {
    if (spec_.angles == Angles::table) return;
    for (int angle = 0; angle < spec_.rope_dim / 2; ++angle) {
      frequencies_.push_back(frequency(args.frequencies, spec_.rope_dim, angle));
    }
  }

  /// Token `number` of all sequences one after another.
  void check_token(std::int64_t number) {
    const std::int64_t batch = number / sizes_.tokens, token = number % sizes_.tokens;
    const bool has_own = args_.k_positions.data != nullptr;
    const bool fp8 = spec_.k_out == Out::fp8_e4m3, paged = spec_.cache == Cache::paged;
    check_heads(
        'q', args_.q,
        {args_.q_out, args_.q_scale, spec_.q_out == Out::fp8_e4m3, false, Heads(args_.q).heads()},
        q_norm_, {args_.positions, batch, token});
    check_heads(
        'k', args_.k,
        {paged ? args_.k_cache : args_.k_out, args_.k_scale, fp8, paged, Heads(args_.k).heads()},
        k_norm_, {has_own ? args_.k_positions : args_.positions, batch, token});
    check_copied(
        {paged ? args_.v_cache : args_.v_out, args_.v_scale, fp8, paged, Heads(args_.v).heads()},
        batch, token);
  }

  /// Rows of V must have the bits that they had, or be what FP8 makes of them.
  void check_copied(const Output& output, std::int64_t batch, std::int64_t token) {
    const Heads in(args_.v);
    if (token >= in.tokens()) return;
    const std::int64_t size = spec_.dtype == DType::fp32 ? 4 : 2;
    for (std::int64_t head = 0; head < in.heads(); ++head) {
      const std::int64_t first = in.row(batch, token, head);
      CheckResult::Worst at{.tensor = 'v', .batch = batch, .token = token, .head = head};
      const auto row = row_of(args_, output, batch, token, head);
      if (!row) continue;
      if (output.is_fp8) {
        values_.clear();
        x_.clear();
        load_row(args_.v, first);
        for (const double x : x_) values_.push_back(exact_value(x));
        check_fp8_row(at, *row, output);
        continue;
      }
      const char* const from = static_cast<const char*>(args_.v.data) + first * size;
      const char* const to = static_cast<const char*>(output.out.data) + *row * size;
      for (std::int64_t i = 0; i < spec_.head_dim; ++i) {
        const bool is_same =
            std::memcmp(from + i * size, to + i * size, static_cast<std::size_t>(size)) == 0;
        ++result_.checked;
        ++(is_same ? result_.exact : result_.wrong);
      }
    }
  }

  const CheckResult& result() const { return result_; }

 private:
  /// As many heads at a time as share a variance.
  void check_heads(char tensor, const qkjit_tensor& in, const Output& output, const HeadNorm& norm,
                   const Token& token) {
    const Heads from(in);
    if (token.token >= from.tokens()) return;
    find_angles(token, from.heads());
    CheckResult::Worst at{
        .tensor = tensor, .batch = sizes_.is_batched ? token.batch : -1, .token = token.token};
    const std::int64_t heads = from.heads();
    const std::int64_t together = spec_.norm_scope == NormScope::token ? heads : 1;
    for (std::int64_t first = 0; first < heads; first += together) {
      x_.clear();
      for (at.head = first; at.head < first + together; ++at.head) {
        load_row(in, from.row(token.batch, token.token, at.head));
      }
      elements_.resize(x_.size());
      compute_row(spec_, args_.eps,
                  {norm.norm, x_, part(norm.weight, first), part(norm.bias, first),
                   angles_from(cosines_, first), angles_from(sines_, first)},
                  elements_);
      std::span<const Element> computed = elements_;
      for (at.head = first; at.head < first + together; ++at.head) {
        const auto row = row_of(args_, output, token.batch, token.token, at.head);
        if (row) check_row(at, *row, output, computed.first(head_dim()));
        computed = computed.subspan(head_dim());
      }
    }
  }

  bool has_head_tables() const { return spec_.table_heads == TableHeads::per_head; }
  std::size_t rope_dim() const { return 2 * axes_.size(); }

  /// The angles of all heads alike, or of each one after another.
  void find_angles(const Token& token, std::int64_t heads) {
    if (spec_.angles == Angles::computed) {
      return compute_angles(args_, spec_, axes_, frequencies_, token, cosines_, sines_);
    }
    const std::int64_t tables = has_head_tables() ? heads : 1;
    cosines_.resize(static_cast<std::size_t>(tables) * rope_dim());
    sines_.resize(cosines_.size());
    for (std::int64_t head = 0; head < tables; ++head) {
      const std::size_t begin = static_cast<std::size_t>(head) * rope_dim();
      load_angles(args_, spec_, axes_, token, head, std::span(cosines_).subspan(begin, rope_dim()),
                  std::span(sines_).subspan(begin, rope_dim()));
    }
  }

  std::span<const double> angles_from(const Doubles& angles, std::int64_t head) const {
    const std::size_t begin = has_head_tables() ? static_cast<std::size_t>(head) * rope_dim() : 0;
    return std::span(angles).subspan(begin);
  }

  /// A weight or a bias from a head on, whose own it may be.
  std::span<const double> part(std::span<const double> vector, std::int64_t head) const {
    const bool is_own = spec_.weights == Weights::per_head && !vector.empty();
    return is_own ? vector.subspan(static_cast<std::size_t>(head) * head_dim()) : vector;
  }

  void load_row(const qkjit_tensor& in, std::int64_t first) {
    x_.resize(x_.size() + head_dim());
    load_all(spec_.dtype, in.data, first, std::span(x_).last(head_dim()));
  }

  /// Of `values_`.
  void check_fp8_row(CheckResult::Worst at, std::int64_t first, const Output& output) {
    const double scale = scale_at(output.scale, spec_.out_scale,
                                  std::max<std::int64_t>(at.batch, 0), at.token, at.head);
    const bool fits = spec_.out_scale == OutScale::given || is_scale_of(values_, scale);
    const bool is_shared = spec_.out_scale == OutScale::token;
    const bool right_scale = fits || (is_shared && is_scale_beyond(values_, scale));
    if (at.head == 0) any_fits_ = false;
    any_fits_ |= fits;
    // Of the heads that share a scale, one asked for it.
    if (is_shared && at.head + 1 == output.heads && !any_fits_) ++result_.wrong;
    for (at.element = 0; at.element < spec_.head_dim; ++at.element) {
      const Value& value = values_[static_cast<std::size_t>(at.element)];
      const unsigned bits = static_cast<const std::uint8_t*>(output.out.data)[first + at.element];
      ++result_.checked;
      if (!value.judged) {
        ++result_.unjudged;
        continue;
      }
      const Verdict verdict = right_scale ? judge_fp8(value, scale, bits) : Verdict::wrong;
      add(verdict);
      at.actual = decode_e4m3(bits) * scale, at.expected = value.value;
      at.error = verdict == Verdict::exact ? 0 : off_in_ulps(value, scale, bits);
      if (at.error > result_.worst.error) result_.worst = at;
    }
  }

  void check_row(CheckResult::Worst at, std::int64_t first, const Output& output,
                 std::span<const Element> computed) {
    if (output.is_fp8) {
      values_.clear();
      for (const Element& element : computed) values_.push_back(value_for_fp8(spec_, element));
      return check_fp8_row(at, first, output);
    }
    const qkjit_tensor& out = output.out;
    for (at.element = 0; at.element < spec_.head_dim; ++at.element) {
      const Element& element = computed[static_cast<std::size_t>(at.element)];
      at.actual = load(spec_.dtype, out.data, first + at.element);
      at.expected = element.rounded;
      count(element, at);
    }
  }

  std::size_t head_dim() const { return static_cast<std::size_t>(spec_.head_dim); }

  void count(const Element& element, CheckResult::Worst& at) {
    ++result_.checked;
    if (!element.judged) {
      ++result_.unjudged;
      return;
    }
    add(judge(spec_, element, at.actual));
    at.error = error_in_ulps(spec_.dtype, element, at.actual);
    if (at.error > result_.worst.error) result_.worst = at;
  }

  void add(Verdict verdict) {
    switch (verdict) {
      case Verdict::exact:
        ++result_.exact;
        break;
      case Verdict::within:
        ++result_.within;
        break;
      case Verdict::wrong:
        ++result_.wrong;
        break;
    }
  }

  const qkjit_args& args_;
  Spec spec_;
  Sizes sizes_;
  HeadNorm q_norm_, k_norm_;
  std::vector<std::int64_t> axes_;        // of positions, for each angle
  std::vector<long double> frequencies_;  // of computed angles
  Doubles cosines_, sines_;
  Doubles x_;  // of heads that share a variance, as elements_
  std::vector<Element> elements_;
  std::vector<Value> values_;  // of a head that goes to FP8
  bool any_fits_ = false;      // of the token's heads so far, whether one asks for the scale
  CheckResult result_;
};

void add(CheckResult& total, const CheckResult& part) {
  total.checked += part.checked;
  total.exact += part.exact;
  total.within += part.within;
  total.wrong += part.wrong;
  total.unjudged += part.unjudged;
  if (part.worst.error > total.worst.error) total.worst = part.worst;
}

std::string describe(const CheckResult& r) {
  const std::uint64_t judged = r.checked - r.unjudged;
  std::string text = fmt::format("{} of {} elements checked", r.checked, r.elements);
  if (judged > 0) {
    text += fmt::format(", {:.4f} % {}, {} within the criterion, {} wrong",
                        100.0 * static_cast<double>(r.exact) / static_cast<double>(judged),
                        r.exact_means, r.within, r.wrong);
  }
  if (r.unjudged > 0) text += fmt::format(", {} beyond fp32's range", r.unjudged);
  const CheckResult::Worst& w = r.worst;
  if (w.error > 0) {
    text +=
        fmt::format("; farthest is {}[{}{}, {}, {}] = {:.9g} for {:.9g}, {:.2f} ulp of its pair",
                    w.tensor, w.batch < 0 ? "" : fmt::format("{}, ", w.batch), w.token, w.head,
                    w.element, w.actual, w.expected, w.error);
  }
  return text;
}

Result<void> check_has_input(const char* name, const qkjit_tensor& in, const qkjit_tensor& out) {
  if (!in.data || (out.data && out.data != in.data)) return {};
  return fail(Code::invalid_argument,
              "{0} was computed in place, and the oracle needs what it was before: give a copy of "
              "the input as {0} and the result as {0}_out",
              name);
}

}  // namespace

std::int64_t token_step_for(const qkjit_args& args, std::uint64_t elements) {
  const auto per_token = static_cast<std::uint64_t>(
      (Heads(args.q).heads() + Heads(args.k).heads()) * args.spec.head_dim);
  const Sizes sizes(args);
  const auto tokens = static_cast<std::uint64_t>(sizes.batches * sizes.tokens);
  const std::uint64_t wanted = std::max<std::uint64_t>(1, elements / per_token);
  return static_cast<std::int64_t>(tokens / wanted) | 1;
}

Result<CheckResult> check_call(const qkjit_args& args, const CheckOptions& options) {
  const Sizes sizes(args);
  const std::int64_t tokens = sizes.batches * sizes.tokens;
  CheckResult total;
  if (tokens == 0) {
    total.passed = true;
    total.text = "no tokens, nothing to check";
    return total;
  }
  for (const auto& checked :
       {check_has_input("q", args.q, args.q_out),
        check_has_input("k", args.k, args.k_cache.data ? args.k_cache : args.k_out)}) {
    if (!checked) return tl::unexpected(checked.error());
  }
  total.elements = static_cast<std::uint64_t>(sizes.elements);

  const std::int64_t steps = (tokens + options.token_step - 1) / options.token_step;
  const std::int64_t cores =
      options.threads > 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  const std::int64_t count = std::clamp<std::int64_t>(steps, 1, cores);
  std::vector<Checker> checkers(static_cast<std::size_t>(count), Checker(args));
  {
    std::vector<std::jthread> threads;
    for (std::int64_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i, begin = steps * i / count, end = steps * (i + 1) / count] {
        Checker& checker = checkers[static_cast<std::size_t>(i)];
        for (std::int64_t step = begin; step < end; ++step) {
          checker.check_token(step * options.token_step);
        }
      });
    }
  }
  for (const Checker& checker : checkers) add(total, checker.result());
  total.passed = total.wrong == 0 && total.exact > 0 &&
                 total.within <= most_within(total.exact + total.within);
  if (args.spec.dtype == QKJIT_FP32) total.exact_means = "within 2^-22 of the pair's magnitude";
  total.text = describe(total);
  return total;
}

}  // namespace qkjit::oracle
