// The oracle's loops: every op of the graph, one element at a time.
#include "compiler/ir/interpreter.h"

#include <algorithm>
#include <new>

#include "compiler/ir/cat.h"
#include "compiler/ir/oracle.h"

namespace etch {
namespace {

/// Runs through the offsets of an affine access in the row-major order of a shape.
class Walk {
 public:
  Walk(const Shape& shape, const Dims& strides, int64_t offset = 0)
      : shape_(shape), strides_(strides), index_(Dims::filled(shape.rank(), 0)), offset_(offset) {}

  int64_t offset() const { return offset_; }

  void next() {
    for (int axis = shape_.rank() - 1; axis >= 0; --axis) {
      offset_ += strides_[axis];
      if (++index_[axis] < shape_[axis]) return;
      offset_ -= strides_[axis] * shape_[axis];
      index_[axis] = 0;
    }
  }

 private:
  Shape shape_;
  Dims strides_;
  Dims index_;
  int64_t offset_;
};

/// The strides that read `from` as if it were broadcast to `to`.
Dims broadcast_strides(const Shape& from, const Shape& to) {
  const Dims strides = row_major_strides(from);
  const int lead = to.rank() - from.rank();
  Dims result = Dims::filled(to.rank(), 0);
  for (int i = 0; i < from.rank(); ++i) {
    if (from[i] != 1) result[lead + i] = strides[i];
  }
  return result;
}

Literal make_literal(const Type& type) {
  return {type, std::vector<std::byte>(static_cast<size_t>(type.bytes()))};
}

template <class T>
T load(const Literal& from, int64_t i) {
  if constexpr (std::is_same_v<T, bool>) {
    return from.bytes[i] != std::byte{0};
  } else {
    T value;
    std::memcpy(&value, from.bytes.data() + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return value;
  }
}

template <class T>
void store(Literal& to, int64_t i, T value) {
  std::memcpy(to.bytes.data() + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

void copy_element(const Literal& from, int64_t source, Literal& to, int64_t target) {
  const int64_t size = size_of(to.type.dtype);
  std::memcpy(to.bytes.data() + target * size, from.bytes.data() + source * size, static_cast<size_t>(size));
}

/// Result element i is the operand's element at the walk's i-th offset.
Literal gather(const Literal& from, const Type& type, Walk walk) {
  Literal result = make_literal(type);
  for (int64_t i = 0, n = type.size(); i < n; ++i, walk.next()) copy_element(from, walk.offset(), result, i);
  return result;
}

/// The operand's element i goes to the walk's i-th offset.
void scatter(const Literal& from, Literal& to, Walk walk) {
  for (int64_t i = 0, n = from.type.size(); i < n; ++i, walk.next()) copy_element(from, i, to, walk.offset());
}

using Operands = std::span<const Literal* const>;

/// The type an op's row is evaluated in.
template <Accuracy kAccuracy, class T>
using Computed = std::conditional_t<kAccuracy == Accuracy::approximate && std::is_floating_point_v<T>, long double, T>;

template <class Condition, class T, class Result, Accuracy kAccuracy, class F>
Literal map_elements(const Type& type, Operands operands, F f) {
  Literal result = make_literal(type);
  const int last = static_cast<int>(operands.size()) - 1;
  const auto walk = [&](int i) { return Walk(type.shape, broadcast_strides(operands[i]->type.shape, type.shape)); };
  // Rows of fewer operands ignore the others, so those may be any.
  Walk a = walk(0);
  Walk b = walk(std::min(1, last));
  Walk c = walk(last);
  const Literal& of_b = *operands[std::min(1, last)];
  const Literal& of_c = *operands[last];
  using C = Computed<kAccuracy, T>;
  using A = std::conditional_t<std::is_same_v<Condition, bool>, bool, C>;
  for (int64_t i = 0, n = type.size(); i < n; ++i, a.next(), b.next(), c.next()) {
    store(result, i,
          static_cast<Result>(f(static_cast<A>(load<Condition>(*operands[0], a.offset())),
                                static_cast<C>(load<T>(of_b, b.offset())), static_cast<C>(load<T>(of_c, c.offset())))));
  }
  return result;
}

constexpr bool gives_bool(TypeRule rule) {
  return rule == TypeRule::equality || rule == TypeRule::ordering || rule == TypeRule::predicate;
}

/// Calls a row's expression for the dtypes that its rule takes; the verifier let no others through.
template <TypeRule kRule, Accuracy kAccuracy, class F>
Literal table_row(const Type& type, Operands operands, F f) {
  return dispatch(operands.back()->type.dtype, [&]<class T>() -> Literal {
    if constexpr (takes(kRule, dtype_of<T>)) {
      using Condition = std::conditional_t<kRule == TypeRule::select, bool, T>;
      using Result = std::conditional_t<gives_bool(kRule), bool, T>;
      return map_elements<Condition, T, Result, kAccuracy>(type, operands, f);
    } else {
      return {};
    }
  });
}

Literal evaluate_table_op(Op op, const Type& type, Operands operands) {
  switch (op) {
#define ETCH_OP(name, arity, rule, accuracy, cost, evaluate, emit)                                        \
  case Op::name:                                                                                          \
    return table_row<TypeRule::rule, Accuracy::accuracy>(                                                 \
        type, operands, []([[maybe_unused]] auto a, [[maybe_unused]] auto b, [[maybe_unused]] auto c) {   \
          return evaluate;                                                                                \
        });
#include "compiler/ir/ops.def"
    default: return {};
  }
}

Literal evaluate_cast(const Literal& operand, const Type& type) {
  Literal result = make_literal(type);
  dispatch(operand.type.dtype, [&]<class From>() {
    dispatch(type.dtype, [&]<class To>() {
      for (int64_t i = 0, n = type.size(); i < n; ++i) store(result, i, oracle::cast<To>(load<From>(operand, i)));
    });
  });
  return result;
}

Literal evaluate_constant(uint64_t bits, const Type& type) {
  Literal value{{type.dtype, {}}, std::vector<std::byte>(sizeof bits)};
  std::memcpy(value.bytes.data(), &bits, sizeof bits);
  return gather(value, type, Walk(type.shape, Dims::filled(type.shape.rank(), 0)));
}

Literal evaluate_iota(int64_t axis, const Type& type) {
  Dims strides = Dims::filled(type.shape.rank(), 0);
  strides[static_cast<int>(axis)] = 1;
  Walk walk(type.shape, strides);
  Literal result = make_literal(type);
  dispatch(type.dtype, [&]<class T>() {
    for (int64_t i = 0, n = type.size(); i < n; ++i, walk.next()) store(result, i, oracle::cast<T>(walk.offset()));
  });
  return result;
}

/// How one reduction takes in a value and what is left in the end.
template <class T>
class Reducer {
 public:
  explicit Reducer(ReduceKind kind) : kind_(kind) {
    using Limits = std::numeric_limits<T>;
    const T lowest = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    const T highest = Limits::has_infinity ? Limits::infinity() : Limits::max();
    if (kind == ReduceKind::max) best_ = lowest;
    if (kind == ReduceKind::min) best_ = highest;
    if (kind == ReduceKind::all) best_ = static_cast<T>(true);
    if (kind == ReduceKind::prod) sum_ = 1;
  }

  void take(T value) {
    switch (kind_) {
      case ReduceKind::sum: sum_ = oracle::add(sum_, static_cast<Sum>(value)); break;
      case ReduceKind::prod: sum_ = oracle::mul(sum_, static_cast<Sum>(value)); break;
      case ReduceKind::max: best_ = oracle::max(best_, value); break;
      case ReduceKind::min: best_ = oracle::min(best_, value); break;
      case ReduceKind::any: best_ = best_ || value; break;
      case ReduceKind::all: best_ = best_ && value; break;
      case ReduceKind::argmax: find(value, value > best_); break;
      case ReduceKind::argmin: find(value, value < best_); break;
    }
    ++count_;
  }

  void finish(Literal& result, int64_t i) const {
    switch (kind_) {
      case ReduceKind::sum:
      case ReduceKind::prod: return store(result, i, static_cast<T>(sum_));
      case ReduceKind::argmax:
      case ReduceKind::argmin: return store(result, i, index_);
      case ReduceKind::max:
      case ReduceKind::min:
        // A zero is +0: which of two zeros was first would depend on the order.
        if constexpr (std::is_floating_point_v<T>) return store(result, i, best_ + T{0});
        [[fallthrough]];
      default: return store(result, i, best_);
    }
  }

 private:
  using Sum = std::conditional_t<std::is_floating_point_v<T>, long double, int64_t>;

  /// The first NaN wins over all numbers, else the first of the best.
  void find(T value, bool better) {
    const bool best_is_nan = best_ != best_;
    if (count_ > 0 && (best_is_nan || (!better && value == value))) return;
    best_ = value;
    index_ = count_;
  }

  ReduceKind kind_;
  T best_{};
  Sum sum_ = 0;
  int64_t index_ = 0;
  int64_t count_ = 0;
};

Literal evaluate_reduce(const ReduceAttr& attr, const Literal& operand, const Type& type) {
  const Dims strides = row_major_strides(operand.type.shape);
  Dims kept_strides;
  Dims reduced_strides;
  Shape reduced;
  for (int axis = 0; axis < strides.rank(); ++axis) {
    const bool is_reduced = attr.axes.contains(axis);
    (is_reduced ? reduced_strides : kept_strides).push_back(strides[axis]);
    if (is_reduced) reduced.push_back(operand.type.shape[axis]);
  }
  Literal result = make_literal(type);
  Walk kept(type.shape, kept_strides);
  dispatch(operand.type.dtype, [&]<class T>() {
    for (int64_t i = 0, n = type.size(), count = reduced.product(); i < n; ++i, kept.next()) {
      Reducer<T> reducer(attr.kind);
      Walk walk(reduced, reduced_strides, kept.offset());
      for (int64_t j = 0; j < count; ++j, walk.next()) reducer.take(load<T>(operand, walk.offset()));
      reducer.finish(result, i);
    }
  });
  return result;
}

Literal evaluate_dot(const Literal& a, const Literal& b, const Type& type) {
  const int n_axis = type.shape.rank() - 1;
  const int64_t n = type.shape[n_axis];
  const int64_t k = a.type.shape[n_axis];
  Dims a_strides = row_major_strides(a.type.shape);
  Dims b_strides = row_major_strides(b.type.shape);
  a_strides[n_axis] = 0;
  b_strides[n_axis - 1] = 0;
  Walk walk_a(type.shape, a_strides);
  Walk walk_b(type.shape, b_strides);
  Literal result = make_literal(type);
  dispatch(type.dtype, [&]<class T>() {
    if constexpr (!std::is_same_v<T, bool>) {
      using Sum = std::conditional_t<std::is_floating_point_v<T>, long double, int64_t>;
      for (int64_t i = 0, size = type.size(); i < size; ++i, walk_a.next(), walk_b.next()) {
        Sum sum = 0;
        for (int64_t j = 0; j < k; ++j) {
          const Sum x = load<T>(a, walk_a.offset() + j);
          const Sum y = load<T>(b, walk_b.offset() + j * n);
          sum = oracle::add(sum, oracle::mul(x, y));
        }
        store(result, i, static_cast<T>(sum));
      }
    }
  });
  return result;
}

Literal evaluate_transpose(const Dims& perm, const Literal& operand, const Type& type) {
  const Dims from = row_major_strides(operand.type.shape);
  Dims strides = from;
  for (int i = 0; i < perm.rank(); ++i) strides[i] = from[static_cast<int>(perm[i])];
  return gather(operand, type, Walk(type.shape, strides));
}

Literal evaluate_slice(const SliceAttr& attr, const Literal& operand, const Type& type) {
  Dims strides = row_major_strides(operand.type.shape);
  int64_t offset = 0;
  for (int i = 0; i < strides.rank(); ++i) {
    offset += attr.start[i] * strides[i];
    strides[i] *= attr.step[i];
  }
  return gather(operand, type, Walk(type.shape, strides, offset));
}

Literal evaluate_pad(const PadAttr& attr, const Literal& operand, const Literal& value, const Type& type) {
  const Dims strides = row_major_strides(type.shape);
  int64_t offset = 0;
  for (int i = 0; i < strides.rank(); ++i) offset += attr.low[i] * strides[i];
  Literal result = gather(value, type, Walk(type.shape, Dims::filled(type.shape.rank(), 0)));
  scatter(operand, result, Walk(operand.type.shape, strides, offset));
  return result;
}

Literal evaluate_concat(int64_t axis, Operands operands, const Type& type) {
  const Dims strides = row_major_strides(type.shape);
  Literal result = make_literal(type);
  int64_t offset = 0;
  for (const Literal* operand : operands) {
    scatter(*operand, result, Walk(operand->type.shape, strides, offset));
    offset += operand->type.shape[static_cast<int>(axis)] * strides[static_cast<int>(axis)];
  }
  return result;
}

Literal evaluate(const Node& node, Operands operands) {
  const Type& type = node.type;
  if (node.op < Op::cast) return evaluate_table_op(node.op, type, operands);
  switch (node.op) {
    case Op::cast: return evaluate_cast(*operands[0], type);
    case Op::bitcast:
    case Op::reshape: return {type, operands[0]->bytes};
    case Op::constant: return evaluate_constant(std::get<ConstantAttr>(node.attr).bits, type);
    case Op::iota: return evaluate_iota(std::get<AxisAttr>(node.attr).axis, type);
    case Op::reduce: return evaluate_reduce(std::get<ReduceAttr>(node.attr), *operands[0], type);
    case Op::dot: return evaluate_dot(*operands[0], *operands[1], type);
    case Op::transpose: return evaluate_transpose(std::get<TransposeAttr>(node.attr).perm, *operands[0], type);
    case Op::broadcast:
      return gather(*operands[0], type, Walk(type.shape, broadcast_strides(operands[0]->type.shape, type.shape)));
    case Op::slice: return evaluate_slice(std::get<SliceAttr>(node.attr), *operands[0], type);
    case Op::pad: return evaluate_pad(std::get<PadAttr>(node.attr), *operands[0], *operands[1], type);
    default: return evaluate_concat(std::get<AxisAttr>(node.attr).axis, operands, type);
  }
}

absl::Status check_inputs(const Graph& graph, std::span<const Literal> inputs) {
  if (inputs.size() != graph.inputs().size()) {
    return absl::InvalidArgumentError(cat("the graph takes ", graph.inputs().size(), " inputs, not ", inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Type& wanted = graph[graph.inputs()[i]].type;
    if (inputs[i].type != wanted) {
      return absl::InvalidArgumentError(
          cat("input ", i, " is ", to_string(wanted), ", not ", to_string(inputs[i].type)));
    }
    if (static_cast<int64_t>(inputs[i].bytes.size()) != wanted.bytes()) {
      return absl::InvalidArgumentError(
          cat("input ", i, " needs ", wanted.bytes(), " bytes, not ", inputs[i].bytes.size()));
    }
  }
  return absl::OkStatus();
}

/// How often each node's value is read by nodes that outputs need and by outputs; 0 for nodes that no output needs.
std::vector<int32_t> count_uses(const Graph& graph) {
  std::vector<int32_t> uses(graph.size());
  for (Value output : graph.outputs()) ++uses[output.node];
  for (int i = graph.size() - 1; i >= 0; --i) {
    if (uses[i] == 0) continue;
    for (Value operand : graph.nodes()[i].operands) ++uses[operand.node];
  }
  return uses;
}

std::vector<Literal> run(const Graph& graph, std::span<const Literal> inputs) {
  std::vector<int32_t> uses = count_uses(graph);
  std::vector<Literal> values(graph.size());
  absl::InlinedVector<const Literal*, 3> operands;
  for (int i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (uses[i] == 0) continue;
    if (node.op == Op::input) {
      values[i] = inputs[std::get<InputAttr>(node.attr).index];
      continue;
    }
    operands.clear();
    for (Value operand : node.operands) operands.push_back(&values[operand.node]);
    values[i] = evaluate(node, operands);
    for (Value operand : node.operands) {
      if (--uses[operand.node] == 0) values[operand.node] = {};
    }
  }
  std::vector<Literal> outputs;
  for (Value output : graph.outputs()) outputs.push_back(values[output.node]);
  return outputs;
}

}  // namespace

absl::StatusOr<std::vector<Literal>> interpret(const Graph& graph, std::span<const Literal> inputs) {
  if (absl::Status status = check_inputs(graph, inputs); !status.ok()) return status;
  try {
    return run(graph, inputs);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("interpret: out of memory");
  }
}

}  // namespace etch
