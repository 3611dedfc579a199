// Random graphs for fuzzing.
#include "tools/random_graph.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <vector>

namespace etch {
namespace {

constexpr int64_t kMaxElements = 4000;
constexpr int64_t kFewElements = 16;

class Generator {
 public:
  Generator(const RandomGraphOptions& options, std::mt19937_64& random) : options_(options), random_(random) {}

  Graph run() {
    int inputs = 1 + pick(3);
    // Now and then all axes that there may be: refined by reshapes they make domains of more axes than a tensor has.
    deep_ = pick(8) == 0;
    Shape shape = random_shape();
    for (int i = 0; i < inputs; ++i) {
      // Most inputs share a shape, or broadcast to it, so that ops of several operands find partners.
      Shape own = shape;
      if (pick(3) == 0 && own.rank() > 0) own[pick(own.rank())] = 1;
      if (pick(8) == 0) own = random_shape();
      pool_.push_back(*builder_.input({random_dtype(), own}));
    }
    grow();
    std::vector<Value> outputs{pool_.back()};
    for (int64_t extra = pick(6) == 0 ? 3 + pick(5) : pick(3); extra > 0; --extra) outputs.push_back(random_value());
    return std::move(builder_).finish(outputs);
  }

 private:
  void grow() {
    for (int made = 0, tries = 0; made < options_.ops && tries < 40 * options_.ops; ++tries) {
      std::optional<Value> value = random_node();
      if (!value) continue;
      pool_.push_back(*value);
      ++made;
    }
  }

  int64_t most_elements() const { return options_.small_values ? kFewElements : kMaxElements; }

  int64_t pick(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }

  DType random_dtype() {
    constexpr DType kLikely[] = {DType::f32, DType::f32, DType::f32, DType::f64, DType::i32, DType::boolean};
    return pick(3) > 0 ? kLikely[pick(std::size(kLikely))] : static_cast<DType>(pick(kNumDTypes));
  }

  Shape random_shape() {
    constexpr int64_t kExtents[] = {1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 64, 65, 130, 200};
    constexpr int64_t kSmallExtents[] = {2, 4, 4, 4, 6};
    Shape shape;
    for (int rank = deep_ ? 5 + pick(4) : pick(5); rank > 0; --rank) {
      int64_t extent = pick(40) == 0 ? 0
                       : deep_       ? kSmallExtents[pick(std::size(kSmallExtents))]
                                     : kExtents[pick(std::size(kExtents))];
      if (shape.product() * extent > most_elements()) extent = 1;
      shape.push_back(extent);
    }
    return shape;
  }

  Value random_value() {
    // Late values are likelier, so that chains grow deep.
    int64_t size = static_cast<int64_t>(pool_.size());
    return pool_[size - 1 - std::min(pick(size), pick(size))];
  }

  std::optional<Value> accept(absl::StatusOr<Value> value) {
    if (!value.ok() || builder_.type(*value).size() > most_elements()) return std::nullopt;
    return *value;
  }

  std::optional<Value> random_node() {
    Value x = random_value();
    const Type type = builder_.type(x);
    if (options_.region_depth > 0 && pick(5) == 0) return pick(2) ? random_cond(x) : random_while();
    if (options_.region_depth > 0 && !options_.small_values && pick(20) == 0) return random_host_call(x);
    const int64_t choice = deep_ && pick(3) == 0 ? 11 : pick(25);
    const bool works_on_memory = choice == 1 || choice == 12 || (choice >= 15 && choice <= 18);
    if (options_.small_values && is_region_ && works_on_memory) return random_elementwise(x);
    switch (choice) {
      case 0:
      case 13: return random_reduce(x, type);
      case 1: return random_dot(x, type);
      case 2: return random_reshape(x, type);
      case 3: return random_transpose(x, type);
      case 4: return random_slice(x, type);
      case 5: return pick(3) == 0 ? random_sum_of_pads(x, type) : random_pad(x, type);
      case 6: return random_concat(x, type);
      case 7: return random_broadcast(x, type);
      case 8: return random_source(type);
      case 9: return accept(builder_.emit(op::Cast{}, {&x, 1}, Type{random_dtype(), type.shape}));
      case 10: return random_bitcast(x, type);
      case 11: return random_shuffle(x, type);
      case 12: return random_top_k(x, type);
      case 14: return pick(2) == 0 ? random_stencil(x, type) : random_window(x, type);
      case 15: return random_gather(x, type);
      case 16: return random_scatter_add(x, type);
      case 17: return random_cumsum(x, type);
      case 18: return random_update_slice(x, type);
      default: return random_elementwise(x);
    }
  }

  /// The same bits in another dtype of as many.
  std::optional<Value> random_bitcast(Value x, const Type& type) {
    std::vector<DType> fitting;
    for (int i = 0; i < kNumDTypes; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (dtype != type.dtype && dtype != DType::boolean && size_of(dtype) == size_of(type.dtype)) {
        fitting.push_back(dtype);
      }
    }
    if (fitting.empty() || type.dtype == DType::boolean) return std::nullopt;
    // Which NaN comes out of an op is not promised, so its bits are no value to compare.
    if (is_floating(type.dtype) && bound_of(x) == kUnknown) return std::nullopt;
    return accept(builder_.emit(op::Bitcast{}, {&x, 1}, Type{fitting[pick(fitting.size())], type.shape}));
  }

  std::optional<Value> random_elementwise(Value x) {
    Op op = static_cast<Op>(pick(kNumTableOps));
    if (options_.exact_only && info(op).accuracy == Accuracy::approximate) return std::nullopt;
    std::vector<Value> operands{x};
    while (static_cast<int>(operands.size()) < info(op).arity) operands.push_back(random_value());
    if (info(op).rule == TypeRule::select) std::swap(operands[0], operands[pick(3)]);
    for (Value& operand : operands) {  // few values are words
      const Type wide{DType::u64, builder_.type(operand).shape};
      if (info(op).rule == TypeRule::word64) operand = *builder_.emit(op::Cast{}, {&operand, 1}, wide);
    }
    return accept(builder_.emit(op, operands));
  }

  std::optional<Value> random_reduce(Value x, const Type& type) {
    if (!is_region_ && !options_.small_values && pick(8) == 0) {
      // More columns than a panel has, and more rows than are written out.
      std::optional<Value> wide = accept(builder_.input({type.dtype, {17 + pick(3), 65 + pick(130)}}));
      return wide ? reduce_along(*wide, builder_.type(*wide), {0}) : std::nullopt;
    }
    if (type.shape.empty()) return std::nullopt;
    Dims axes;
    for (int axis = 0; axis < type.shape.rank(); ++axis) {
      if (pick(2) == 0) axes.push_back(axis);
    }
    if (axes.empty()) axes.push_back(pick(type.shape.rank()));
    return reduce_along(x, type, axes);
  }

  std::optional<Value> reduce_along(Value x, const Type type, Dims axes) {
    const auto kind = static_cast<ReduceKind>(pick(8));
    if (kind >= ReduceKind::argmax) axes = {axes[0]};
    int64_t n = 1;
    for (int64_t axis : axes) n *= type.shape[axis];
    const double bound = kind == ReduceKind::sum    ? bound_of(x) * static_cast<double>(n)
                         : kind == ReduceKind::prod ? std::pow(std::max(1.0, bound_of(x)), static_cast<double>(n))
                                                    : 0;
    if (options_.exact_only && is_floating(type.dtype) && bound > exact_limit(info(type.dtype).compute)) {
      return std::nullopt;
    }
    return accept(builder_.emit(op::Reduce{kind, axes}, {&x, 1}));
  }

  /// Both results may be used.
  std::optional<Value> random_top_k(Value x, const Type& type) {
    if (type.shape.empty()) return std::nullopt;
    const absl::StatusOr<Results> made = builder_.emit_all(op::TopK{pick(type.shape.back() + 1)}, {&x, 1}, {});
    if (!made.ok()) return std::nullopt;
    if (pick(2) == 0) return (*made)[1];
    if (pick(2) == 0) pool_.push_back((*made)[1]);
    return (*made)[0];
  }

  /// Some value as indices below an extent.
  std::optional<Value> random_indices(int64_t extent) {
    Value index = random_value();
    const DType dtype = pick(2) ? DType::i32 : DType::i64;
    const Type type{dtype, builder_.type(index).shape};
    if (extent == 0 || type.size() > 200) return std::nullopt;
    if (builder_.type(index).dtype != dtype) index = *builder_.emit(op::Cast{}, {&index, 1}, type);
    const Value operands[] = {index, *builder_.constant(static_cast<uint64_t>(extent), Type{dtype, {}})};
    return accept(builder_.emit(Op::floor_mod, operands));
  }

  std::optional<Value> random_gather(Value x, const Type type) {
    if (type.shape.empty()) return std::nullopt;
    const int64_t axis = pick(type.shape.rank());
    const std::optional<Value> indices = random_indices(type.shape[static_cast<int>(axis)]);
    if (!indices) return std::nullopt;
    const Value operands[] = {x, *indices};
    return accept(builder_.emit(op::Gather{axis}, operands));
  }

  /// Adds x, or elements of it at the same indices, to a scalar or to zeros of another extent.
  std::optional<Value> random_scatter_add(Value x, const Type type) {
    if (type.shape.empty() || type.dtype == DType::boolean) return std::nullopt;
    const int64_t axis = pick(type.shape.rank()), extent = 1 + pick(9);
    const std::optional<Value> indices = random_indices(extent);
    if (!indices) return std::nullopt;
    Shape updates = type.shape;
    updates.erase(static_cast<int>(axis));
    const Shape index_shape = builder_.type(*indices).shape;
    if (updates.rank() + index_shape.rank() > kMaxRank) return std::nullopt;
    for (int i = 0; i < index_shape.rank(); ++i) updates.insert(static_cast<int>(axis) + i, index_shape[i]);
    std::optional<Value> added = x;
    if (updates != type.shape) added = accept(builder_.emit(op::Gather{axis}, std::array{x, repeated_zero(index_shape)}));
    if (!added) return std::nullopt;
    const double bound = bound_of(*added) * static_cast<double>(builder_.type(*added).size() + 1);
    if (options_.exact_only && is_floating(type.dtype) && bound > exact_limit(info(type.dtype).compute)) return std::nullopt;
    std::optional<Value> operand = scalar(type.dtype);
    if (pick(2) == 0) {
      Shape shape = type.shape;
      shape[static_cast<int>(axis)] = extent;
      operand = accept(builder_.emit(op::Broadcast{}, {&*operand, 1}, Type{type.dtype, shape}));
    }
    if (!operand) return std::nullopt;
    return accept(builder_.emit(op::ScatterAdd{axis, extent}, std::array{*operand, *indices, *added}));
  }

  Value repeated_zero(const Shape& shape) { return *builder_.constant(0, Type{DType::i32, shape}); }

  std::optional<Value> random_cumsum(Value x, const Type& type) {
    if (type.shape.empty() || type.dtype == DType::boolean) return std::nullopt;
    const int64_t axis = pick(type.shape.rank());
    const double bound = bound_of(x) * static_cast<double>(type.shape[static_cast<int>(axis)]);
    if (options_.exact_only && is_floating(type.dtype) && bound > exact_limit(info(type.dtype).compute)) return std::nullopt;
    return accept(builder_.emit(op::Cumsum{axis, pick(2) == 0, pick(2) == 0}, {&x, 1}));
  }

  /// A slice of x, put into x at an index that may be anything.
  std::optional<Value> random_update_slice(Value x, const Type& type) {
    if (type.shape.empty()) return std::nullopt;
    const int64_t axis = pick(type.shape.rank());
    Shape shape = type.shape;
    int64_t& count = shape[static_cast<int>(axis)];
    Dims start, step;
    for (int i = 0; i < type.shape.rank(); ++i) {
      start.push_back(0);
      step.push_back(1);
    }
    count = pick(count + 1);
    const auto update = accept(builder_.emit(op::Slice{start, step}, {&x, 1}, Type{type.dtype, shape}));
    if (!update) return std::nullopt;
    const DType dtype = pick(2) == 0 ? DType::i32 : DType::i64;
    const auto index_value = static_cast<int32_t>(pick(12)) - 2;
    const uint64_t bits = dtype == DType::i32 ? to_bits(index_value) : to_bits(int64_t{index_value});
    const Value index = *builder_.constant(bits, Type{dtype, {}});
    return accept(builder_.emit(op::UpdateSlice{axis}, std::array{x, *update, index}));
  }

  std::optional<Value> random_dot(Value x, const Type& type) {
    if (type.shape.rank() < 2 || type.dtype == DType::boolean) return std::nullopt;
    if (!is_region_ && pick(5) == 0) return random_long_dot(type.dtype);
    // x times its own transpose always fits; any other partner by luck.
    Dims perm;
    for (int i = 0; i < type.shape.rank(); ++i) perm.push_back(i);
    std::swap(perm[type.shape.rank() - 1], perm[type.shape.rank() - 2]);
    std::optional<Value> other = accept(builder_.emit(op::Transpose{perm}, {&x, 1}));
    if (pick(2) == 0) other = random_value();
    if (!other) return std::nullopt;
    return exact_dot(x, *other);
  }

  std::optional<Value> exact_dot(Value x, Value y) {
    const DType dtype = builder_.type(x).dtype;
    const auto k = static_cast<double>(builder_.type(x).shape.back());
    const bool exact = bound_of(x) * bound_of(y) * k <= exact_limit(info(dtype).compute);
    if (options_.exact_only && is_floating(dtype) && !exact) return std::nullopt;
    Value operands[] = {x, y};
    return accept(builder_.emit(op::Dot{}, operands));
  }

  /// A product of new inputs with more steps of k than one block has.
  std::optional<Value> random_long_dot(DType dtype) {
    const int64_t m = 1 + pick(5), n = 1 + pick(5), k = 257 + pick(400);
    std::optional<Value> a = accept(builder_.input({dtype, {m, k}})), b = accept(builder_.input({dtype, {k, n}}));
    if (!a || !b) return std::nullopt;
    return exact_dot(*a, *b);
  }

  std::optional<Value> random_reshape(Value x, const Type& type) {
    Shape shape;
    int64_t rest = type.size();
    while (rest > 1 && shape.rank() < 5) {
      int64_t factor = 1;
      for (int64_t f : {2, 3, 5, 7, 11, 13}) {
        if (rest % f == 0 && pick(2) == 0) factor *= f;
      }
      shape.push_back(factor);
      rest /= factor;
    }
    shape.push_back(rest);
    return accept(builder_.emit(op::Reshape{}, {&x, 1}, Type{type.dtype, shape}));
  }

  std::optional<Value> random_transpose(Value x, const Type& type) {
    std::vector<int64_t> perm;
    for (int i = 0; i < type.shape.rank(); ++i) perm.push_back(i);
    std::shuffle(perm.begin(), perm.end(), random_);
    return accept(builder_.emit(op::Transpose{Dims(perm)}, {&x, 1}));
  }

  /// The elements in another order, along parts of axes, in the same shape: its index map splits the axes.
  std::optional<Value> random_shuffle(Value x, const Type& type) {
    Shape parts;
    int64_t rest = type.size();
    for (int64_t factor = 2; rest > 1 && parts.rank() < kMaxRank - 1 && factor < 8; ++factor) {
      while (rest % factor == 0 && parts.rank() < kMaxRank - 1) parts.push_back(factor), rest /= factor;
    }
    if (parts.rank() < 2) return std::nullopt;
    parts.push_back(rest);
    std::optional<Value> split = accept(builder_.emit(op::Reshape{}, {&x, 1}, Type{type.dtype, parts}));
    if (!split) return std::nullopt;
    std::optional<Value> mixed = random_transpose(*split, Type{type.dtype, parts});
    if (!mixed) return std::nullopt;
    std::optional<Value> shuffled = accept(builder_.emit(op::Reshape{}, {&*mixed, 1}, type));
    if (!shuffled || type.dtype == DType::boolean) return shuffled;
    Value operands[] = {x, *shuffled};
    return accept(builder_.emit(Op::max, operands));
  }

  std::optional<Value> random_window(Value x, const Type& type) {
    op::Window op;
    for (int axis = 0; axis < type.shape.rank() && type.shape.rank() + op.axes.rank() < kMaxRank; ++axis) {
      if (pick(2) == 0) continue;
      op.axes.push_back(axis);
      op.size.push_back(1 + pick(std::min<int64_t>(type.shape[axis] + 1, 5)));
      op.step.push_back(1 + pick(3));
      op.dilation.push_back(1 + pick(2));
    }
    if (op.axes.rank() == 2 && pick(2)) std::swap(op.axes[0], op.axes[1]);
    return accept(builder_.emit(op, {&x, 1}));
  }

  /// What windows of x see that reach beyond its borders, weighed for each element along the last axis: a few padded slices,
  /// folded. Now and then of what fusion would make in place.
  std::optional<Value> random_stencil(Value x, Type type) {
    if (pick(3) == 0) {
      type.dtype = random_dtype();
      const std::optional<Value> made = pick(2) == 0 ? accept(builder_.emit(op::Cast{}, {&x, 1}, type)) : splat(type);
      if (!made) return std::nullopt;
      x = *made;
    }
    const int rank = type.shape.rank();
    if (rank < 2 || type.shape.product() == 0 || type.dtype == DType::boolean) return std::nullopt;
    op::Pad pad;
    op::Slice seen;
    Shape shape = type.shape;
    for (int i = 0; i < rank; ++i) {
      const bool pads = i < rank - 1 || pick(8) == 0;
      pad.low.push_back(pads ? pick(3) : 0), pad.high.push_back(pads ? pick(3) : 0);
      seen.start.push_back(0), seen.step.push_back(1 + (pads && pick(4) == 0));
      shape[i] = (type.shape[i] + seen.step[i] - 1) / seen.step[i];
    }
    const std::optional<Value> border = scalar(type.dtype);
    Value operands[] = {x, border.value_or(x)};
    const std::optional<Value> padded = border ? accept(builder_.emit(pad, operands)) : std::nullopt;
    if (!padded) return std::nullopt;
    std::optional<Value> result;
    for (int64_t left = 3 + pick(5); left > 0; --left) {
      for (int i = 0; i < rank; ++i) seen.start[i] = pick(pad.low[i] + pad.high[i] + 1);
      std::optional<Value> part = accept(builder_.emit(seen, {&*padded, 1}, Type{type.dtype, shape}));
      if (!part) return std::nullopt;
      Value pair[] = {result.value_or(*part), *part};
      if (result) part = accept(builder_.emit(pick(2) == 0 ? Op::max : Op::min, pair));
      result = part && result ? weighed(*part, shape) : part;
      if (!result) return std::nullopt;
    }
    return result;
  }

  /// A value beside a vector along its last axis.
  std::optional<Value> weighed(Value x, const Shape& shape) {
    const DType dtype = builder_.type(x).dtype;
    std::optional<Value> weights = accept(builder_.emit(op::Iota{0}, {}, Type{dtype, {shape.back()}}));
    if (!weights || !is_floating(dtype)) return x;
    Value operands[] = {*weights, x, x};
    return accept(builder_.emit(Op::fma, operands));
  }

  std::optional<Value> random_slice(Value x, const Type& type) {
    op::Slice op;
    Shape shape;
    for (int64_t extent : type.shape) {
      if (extent == 0 || pick(2) == 0) {
        op.start.push_back(0), op.step.push_back(1), shape.push_back(extent);
        continue;
      }
      int64_t start = pick(extent);
      bool backward = pick(2) == 0;
      int64_t step = (1 + pick(3)) * (backward ? -1 : 1);
      int64_t most = backward ? start / -step + 1 : (extent - start + step - 1) / step;
      op.start.push_back(start), op.step.push_back(step), shape.push_back(1 + pick(most));
    }
    return accept(builder_.emit(op, {&x, 1}, Type{type.dtype, shape}));
  }

  std::optional<Value> random_pad(Value x, const Type& type) {
    std::optional<Value> value = scalar(type.dtype);
    op::Pad op;
    for (int i = 0; i < type.shape.rank(); ++i) op.low.push_back(pick(3)), op.high.push_back(pick(3));
    if (!value) return std::nullopt;
    Value operands[] = {x, *value};
    return accept(builder_.emit(op, operands));
  }

  /// Slices of x between zeros along an axis, added up beside each other; along other axes one element may stand for all.
  std::optional<Value> random_sum_of_pads(Value x, const Type type) {
    if (type.shape.product() == 0 || type.shape.empty() || type.dtype == DType::boolean) return std::nullopt;
    const int axis = static_cast<int>(pick(type.shape.rank()));
    const Dims zeros = Dims::filled(type.shape.rank(), 0), ones = Dims::filled(type.shape.rank(), 1);
    const Value zero = *builder_.constant(0, Type{type.dtype, {}});
    const int64_t extent = type.shape[axis];
    std::optional<Value> sum;
    if (pick(2) == 0) sum = x;
    int64_t begin = 0;
    for (int64_t left = 2 + pick(3); left > 0; --left) {
      if (pick(6) == 0) begin = 0;
      begin += pick(2);
      if (begin >= extent) break;
      Type part = type;
      part.shape[axis] = 1 + pick((extent - begin + 1) / 2);
      for (int i = 0; i < part.shape.rank(); ++i) {
        if (i != axis && pick(6) == 0) part.shape[i] = 1;
      }
      op::Pad pad{zeros, zeros};
      pad.low[axis] = begin;
      pad.high[axis] = extent - begin - part.shape[axis];
      begin += part.shape[axis];
      const std::optional<Value> elements = accept(builder_.emit(op::Slice{zeros, ones}, {&x, 1}, part));
      if (!elements) return std::nullopt;
      const std::optional<Value> padded = accept(builder_.emit(pad, std::array{*elements, zero}));
      if (!padded) return std::nullopt;
      sum = sum ? accept(builder_.emit(Op::add, std::array{*sum, *padded})) : padded;
      if (!sum) return std::nullopt;
    }
    return sum;
  }

  std::optional<Value> random_concat(Value x, const Type& type) {
    if (type.shape.empty()) return std::nullopt;
    int axis = pick(type.shape.rank());
    if (pick(2) == 0) return random_roll(x, type, axis);
    std::vector<Value> operands{x};
    const bool repeats = pick(4) == 0;
    for (int i = 0; i < 8 && operands.size() < 3 + repeats; ++i) {
      Value other = repeats && pick(3) > 0 ? x : random_value();
      Shape a = type.shape, b = builder_.type(other).shape;
      if (builder_.type(other).dtype != type.dtype || b.rank() != a.rank()) continue;
      a[axis] = b[axis] = 0;
      if (a == b) operands.push_back(other);
    }
    return accept(builder_.emit(op::Concat{axis}, operands));
  }

  /// The last elements along an axis before the first ones.
  std::optional<Value> random_roll(Value x, const Type& type, int axis) {
    const int64_t extent = type.shape[axis];
    if (extent < 2) return std::nullopt;
    const int64_t moved = 1 + pick(extent - 1);
    const Dims none = Dims::filled(type.shape.rank(), 0), ones = Dims::filled(type.shape.rank(), 1);
    op::Slice last{none, ones}, first{none, ones};
    last.start[axis] = extent - moved;
    Type before = type, behind = type;
    before.shape[axis] = moved;
    behind.shape[axis] = extent - moved;
    const std::optional<Value> a = accept(builder_.emit(last, {&x, 1}, before)), b = accept(builder_.emit(first, {&x, 1}, behind));
    if (!a || !b) return std::nullopt;
    const Value parts[] = {*a, *b};
    return accept(builder_.emit(op::Concat{axis}, parts));
  }

  std::optional<Value> random_broadcast(Value x, const Type& type) {
    Shape shape = type.shape;
    for (int64_t& extent : shape) {
      if (extent == 1 && pick(2) == 0) extent = 1 + pick(9);
    }
    if (shape.rank() < 5 && pick(2) == 0) shape.insert(0, 1 + pick(4));
    return accept(builder_.emit(op::Broadcast{}, {&x, 1}, Type{type.dtype, shape}));
  }

  std::optional<Value> scalar(DType dtype) { return splat({dtype, {}}); }

  std::optional<Value> splat(const Type& type) {
    uint64_t bits = dispatch(type.dtype, [&]<class T>() { return to_bits(static_cast<T>(pick(5))); });
    return accept(builder_.constant(bits, type));
  }

  std::optional<Value> random_source(const Type& type) {
    if (pick(2) == 0 || type.shape.empty() || type.dtype == DType::boolean) return scalar(type.dtype);
    return accept(builder_.emit(op::Iota{pick(type.shape.rank())}, {}, type));
  }

  // ---- Regions

  /// The generator of a region that takes values of these types, with a few nodes on them.
  Generator region(std::span<const Type> types) {
    RandomGraphOptions options = options_;
    options.ops = 1 + static_cast<int>(pick(5));
    options.region_depth = options_.region_depth - 1;
    options.whole_inputs = false;
    Generator inner(options, random_);
    inner.is_region_ = true;
    for (const Type& type : types) inner.pool_.push_back(*inner.builder_.input(type));
    if (types.empty()) inner.pool_.push_back(*inner.scalar(random_dtype()));
    inner.grow();
    return inner;
  }

  Region finish(std::span<const Value> outputs) { return Region(std::move(builder_).finish(outputs)); }

  Types types_of(std::span<const Value> values) const {
    Types types;
    for (Value value : values) types.push_back(builder_.type(value));
    return types;
  }

  std::vector<Value> random_values(int64_t count) {
    std::vector<Value> values;
    while (count-- > 0) values.push_back(random_value());
    return values;
  }

  /// A value of this type, if there is one a late one, else zeros.
  Value value_of(const Type& type) {
    std::vector<Value> fitting;
    for (Value value : pool_) {
      if (builder_.type(value) == type) fitting.push_back(value);
    }
    if (fitting.empty() || pick(10) == 0) return *builder_.constant(0, type);
    const auto count = static_cast<int64_t>(fitting.size());
    return fitting[count - 1 - std::min(pick(count), pick(count))];
  }

  /// A bool scalar, now and then a constant.
  Value random_predicate() {
    if (pick(6) == 0) return *builder_.constant(pick(2), Type{DType::boolean, {}});
    Value value = random_value();
    if (builder_.type(value).dtype != DType::boolean) {
      const Value operands[] = {value, *scalar(builder_.type(value).dtype)};
      value = *builder_.emit(Op::less, operands);
    }
    Dims axes;
    for (int axis = 0; axis < builder_.type(value).shape.rank(); ++axis) axes.push_back(axis);
    if (axes.empty()) return value;
    return *builder_.emit(op::Reduce{pick(2) ? ReduceKind::any : ReduceKind::all, axes}, {&value, 1});
  }

  std::optional<Value> random_cond(Value x) {
    std::vector<Value> operands{random_predicate(), x};
    for (Value value : random_values(pick(3))) operands.push_back(value);
    const Types passed = types_of(std::span(operands).subspan(1));
    Generator then = region(passed);
    const std::vector<Value> outputs = then.random_values(1 + pick(3));
    const Types types = then.types_of(outputs);
    Generator otherwise = region(passed);
    std::vector<Value> others;
    for (const Type& type : types) others.push_back(otherwise.value_of(type));
    return add_all(op::Cond{then.finish(outputs), otherwise.finish(others)}, operands);
  }

  /// A loop that counts up to at most four, and may end before.
  std::optional<Value> random_while() {
    const Type count{pick(2) ? DType::i32 : DType::i64, {}};
    std::vector<Value> operands{*builder_.constant(0, count)};
    for (Value value : random_values(pick(3))) operands.push_back(value);
    const Types carried = types_of(operands);
    for (Value value : random_values(pick(3))) operands.push_back(value);
    const Types all = types_of(operands);

    Generator test = region(all);
    const Value limit = *test.builder_.constant(pick(5), count);
    const Value counter{0};
    const Value is_below[] = {counter, limit};
    Value goes_on = *test.builder_.emit(Op::less, is_below);
    if (pick(2) == 0) {
      const Value both[] = {goes_on, test.random_predicate()};
      goes_on = *test.builder_.emit(Op::logical_and, both);
    }
    std::vector<Value> handed{goes_on, counter};
    for (Value value : test.random_values(pick(3))) handed.push_back(value);
    Types taken = test.types_of(std::span(handed).subspan(1));
    taken.insert(taken.end(), all.begin() + carried.size(), all.end());

    Generator body = region(taken);
    const Value addends[] = {counter, *body.builder_.constant(1, count)};
    std::vector<Value> next{*body.builder_.emit(Op::add, addends)};
    for (size_t i = 1; i < carried.size(); ++i) next.push_back(body.value_of(carried[i]));
    return add_all(op::WhileLoop{test.finish(handed), body.finish(next)}, operands);
  }

  /// A condition that holds, of which nothing can be told beforehand.
  std::optional<Value> random_host_call(Value x) {
    const Value predicate = random_predicate();
    const Value either[] = {predicate, *builder_.emit(Op::logical_not, {&predicate, 1})};
    const Value operands[] = {value_of(kTokenType), *builder_.emit(Op::logical_or, either), x};
    return accept(builder_.emit(op::HostCall{Host(find_host_function("require")("{}"))}, operands));
  }

  /// Adds a node whose results all may be used.
  std::optional<Value> add_all(const AnyOp& op, std::span<const Value> operands) {
    const absl::StatusOr<Results> made = builder_.emit_all(op, operands, {});
    if (!made.ok()) return std::nullopt;
    for (Value result : *made) {
      if (result != made->back()) pool_.push_back(result);
    }
    return made->back();
  }

  // ---- Which floats are small whole numbers, so that sums and products of them are exact in any order

  static double exact_limit(DType dtype) { return std::ldexp(1.0, info(dtype).digits); }

  /// At most so large is every element, and whole; infinite if that is not known.
  double bound_of(Value value) {
    while (bounds_.size() < static_cast<size_t>(builder_.num_values())) {
      const Value next{static_cast<int32_t>(bounds_.size())};
      const Type& type = builder_.type(next);
      const double bound = new_bound(builder_.node(next), type);
      bounds_.push_back(bound <= exact_limit(type.dtype) ? bound : kUnknown);
    }
    return bounds_[value.id];
  }

  double new_bound(const Node& node, const Type& type) const {
    auto operand = [&](size_t i) { return bounds_[node.operands[i].id]; };
    double largest = 0;
    for (Value value : node.operands) largest = std::max(largest, bounds_[value.id]);
    if (type.dtype == DType::boolean) return 1;
    if (is_movement(node.op) || place(node.op) == Place::boxes || place(node.op) == Place::indexed) return largest;
    switch (static_cast<Op>(node.op)) {
      case Op::input: return options_.whole_inputs && is_floating(type.dtype) ? 4 : kUnknown;
      case Op::constant: return 4;
      case Op::iota: return type.shape.empty() ? 0 : static_cast<double>(type.size());
      case Op::neg:
      case Op::abs:
      case Op::sign:
      case Op::min:
      case Op::max:
      case Op::copysign:
      case Op::where: return largest;
      case Op::cast:
      case Op::top_k: return is_floating(type.dtype) ? largest : kUnknown;
      case Op::add:
      case Op::sub: return is_floating(type.dtype) ? operand(0) + operand(1) : kUnknown;
      case Op::mul: return is_floating(type.dtype) ? operand(0) * operand(1) : kUnknown;
      case Op::fma: return operand(0) * operand(1) + operand(2);
      default: return kUnknown;
    }
  }

  static constexpr double kUnknown = std::numeric_limits<double>::infinity();

  RandomGraphOptions options_;
  std::mt19937_64& random_;
  GraphBuilder builder_;
  std::vector<Value> pool_;
  std::vector<double> bounds_;  // by value
  bool deep_ = false;
  bool is_region_ = false;  // whose inputs are what they are
};

}  // namespace

Graph random_graph(const RandomGraphOptions& options) {
  std::mt19937_64 random(options.seed);
  return Generator(options, random).run();
}

}  // namespace etch
