// Type inference: the one place that knows which nodes are legal.
#include <algorithm>

#include "compiler/ir/attr_text.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/graph.h"

namespace etch {
namespace {

constexpr int kAnyArity = -1;

int arity_of(Op op) {
  if (op < Op::cast) return info(op).arity;
  switch (op) {
    case Op::input:
    case Op::constant:
    case Op::iota: return 0;
    case Op::dot:
    case Op::pad: return 2;
    case Op::concat: return kAnyArity;
    default: return 1;
  }
}

bool type_says_what_it_does(Op op) {
  switch (op) {
    case Op::cast:
    case Op::bitcast:
    case Op::input:
    case Op::constant:
    case Op::iota:
    case Op::reshape:
    case Op::broadcast:
    case Op::slice: return true;
    default: return false;
  }
}

/// A tensor's extents bound every number an attribute can sensibly hold; sums of two such numbers do not overflow.
bool in_bounds(int64_t value) { return -kMaxBytes <= value && value <= kMaxBytes; }

/// The inference of one node; each function is the rule of one op.
class Inference {
 public:
  Inference(Op op, std::span<const Type> operands, const Attr& attr, const Type* wanted)
      : op_(op), operands_(operands), attr_(attr), wanted_(wanted) {}

  absl::StatusOr<Type> run() const {
    if (absl::Status status = check_form(); !status.ok()) return status;
    absl::StatusOr<Type> type = result();
    if (!type.ok()) return type;
    if (absl::Status status = check_representable(*type); !status.ok()) return status;
    if (wanted_ && *type != *wanted_) return error("the result is ", to_string(*type), ", not ", to_string(*wanted_));
    return type;
  }

 private:
  /// Says what is wrong after `op(operand types) attributes -> wanted type: `.
  template <class... Parts>
  absl::Status error(const Parts&... parts) const {
    std::string text = cat(name(op_), "(");
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (i > 0) text += ", ";
      text += to_string(operands_[i]);
    }
    text += ')';
    if (attr_.index() == default_attr(op_).index()) text += attr_text(attr_, wanted_ ? wanted_->dtype : DType::i64);
    if (wanted_ && type_says_what_it_does(op_)) text += " -> " + to_string(*wanted_);
    return absl::InvalidArgumentError(text + ": " + cat(parts...));
  }

  /// What holds for every op: the attribute's kind, the number of operands and a sound wanted type.
  absl::Status check_form() const {
    if (attr_.index() != default_attr(op_).index()) return error("the attribute belongs to another op");
    const int arity = arity_of(op_);
    const int given = static_cast<int>(operands_.size());
    if (arity == kAnyArity && given == 0) return error("needs at least 1 operand");
    if (arity != kAnyArity && arity != given) {
      return error("takes ", arity, arity == 1 ? " operand" : " operands", ", not ", given);
    }
    if (wanted_) return check_representable(*wanted_);
    if (type_says_what_it_does(op_)) return error("needs a result type");
    return absl::OkStatus();
  }

  absl::Status check_representable(const Type& type) const {
    if (is_representable(type.shape, size_of(type.dtype))) return absl::OkStatus();
    const bool negative = std::any_of(type.shape.begin(), type.shape.end(), [](int64_t extent) { return extent < 0; });
    return error("the result ", to_string(type),
                 negative ? " has a negative extent" : " is too large; a tensor holds at most 2^46 bytes");
  }

  absl::StatusOr<Type> result() const {
    if (op_ < Op::cast) return table_op();
    switch (op_) {
      case Op::cast: return Type{wanted_->dtype, operands_[0].shape};
      case Op::bitcast: return bitcast();
      case Op::input: return input(std::get<InputAttr>(attr_).index);
      case Op::constant: return constant(std::get<ConstantAttr>(attr_).bits);
      case Op::iota: return iota(std::get<AxisAttr>(attr_).axis);
      case Op::reduce: return reduce(std::get<ReduceAttr>(attr_));
      case Op::dot: return dot(operands_[0].shape, operands_[1].shape);
      case Op::reshape: return reshape();
      case Op::transpose: return transpose(std::get<TransposeAttr>(attr_).perm);
      case Op::broadcast: return broadcast(operands_[0].shape);
      case Op::slice: return slice(std::get<SliceAttr>(attr_));
      case Op::pad: return pad(std::get<PadAttr>(attr_));
      default: return concat(std::get<AxisAttr>(attr_).axis);
    }
  }

  absl::StatusOr<Type> table_op() const {
    absl::StatusOr<DType> dtype = table_dtype();
    if (!dtype.ok()) return dtype.status();
    Shape shape = operands_[0].shape;
    for (const Type& operand : operands_.subspan(1)) {
      if (operand.shape == shape) continue;
      absl::StatusOr<Shape> both = broadcast_shapes(shape, operand.shape);
      if (!both.ok()) return error(std::string(both.status().message()));
      shape = *both;
    }
    return Type{*dtype, shape};
  }

  absl::StatusOr<DType> table_dtype() const {
    const TypeRule rule = info(op_).rule;
    const bool selects = rule == TypeRule::select;
    if (selects && operands_[0].dtype != DType::boolean) {
      return error("the condition has dtype ", name(operands_[0].dtype), ", not bool; compare it, as in x != 0");
    }
    const std::span<const Type> values = operands_.subspan(selects ? 1 : 0);
    if (absl::Status status = check_same_dtype(values); !status.ok()) return status;
    const DType dtype = values[0].dtype;
    if (!takes(rule, dtype)) {
      return error("takes ", list_dtypes(rule), ", not ", name(dtype), "; cast first",
                   op_ == Op::div ? ", or use floor_div or trunc_div" : "");
    }
    switch (rule) {
      case TypeRule::equality:
      case TypeRule::ordering:
      case TypeRule::predicate: return DType::boolean;
      case TypeRule::floating:
      case TypeRule::numeric:
      case TypeRule::integer:
      case TypeRule::logical:
      case TypeRule::select: break;
    }
    return dtype;
  }

  absl::Status check_same_dtype(std::span<const Type> types) const {
    for (const Type& type : types.subspan(1)) {
      if (type.dtype == types[0].dtype) continue;
      return error("operands have dtypes ", name(types[0].dtype), " and ", name(type.dtype),
                   ", which are never promoted; cast one of them");
    }
    return absl::OkStatus();
  }

  absl::Status check_kept_dtype() const {
    if (wanted_->dtype == operands_[0].dtype) return absl::OkStatus();
    return error("keeps the dtype ", name(operands_[0].dtype), "; use cast for another");
  }

  absl::Status check_axis(int64_t axis, int rank) const {
    if (0 <= axis && axis < rank) return absl::OkStatus();
    return error("axis ", axis, " is out of range for rank ", rank);
  }

  absl::Status check_entries(std::string_view what, const Dims& entries, int rank) const {
    if (entries.rank() == rank) return absl::OkStatus();
    return error(what, " has ", entries.rank(), " entries, but the operand has rank ", rank);
  }

  absl::StatusOr<Type> bitcast() const {
    const DType from = operands_[0].dtype;
    const DType to = wanted_->dtype;
    if (from == DType::boolean || to == DType::boolean) return error("bool has no bits to read; use cast");
    if (size_of(from) != size_of(to)) {
      return error("elements have ", size_of(from), " and ", size_of(to), " bytes, which must be equal; use cast");
    }
    return Type{to, operands_[0].shape};
  }

  absl::StatusOr<Type> input(int64_t index) const {
    if (index < 0) return error("the index is negative");
    return *wanted_;
  }

  absl::StatusOr<Type> constant(uint64_t bits) const {
    const DType dtype = wanted_->dtype;
    const bool fits = dtype == DType::boolean ? bits <= 1 : size_of(dtype) == 8 || bits >> (8 * size_of(dtype)) == 0;
    if (!fits) return error("the bits are not those of a ", name(dtype));
    return *wanted_;
  }

  absl::StatusOr<Type> iota(int64_t axis) const {
    if (!is_numeric(wanted_->dtype)) return error("counts in ", list_dtypes(is_numeric), ", not bool");
    if (absl::Status status = check_axis(axis, wanted_->shape.rank()); !status.ok()) return status;
    return *wanted_;
  }

  absl::StatusOr<Type> reduce(const ReduceAttr& attr) const {
    const Type& operand = operands_[0];
    const bool logical = attr.kind == ReduceKind::any || attr.kind == ReduceKind::all;
    const bool finds_index = attr.kind == ReduceKind::argmax || attr.kind == ReduceKind::argmin;
    if (logical == is_numeric(operand.dtype)) {
      return error(name(attr.kind), " takes ", logical ? "bool" : list_dtypes(is_numeric), ", not ",
                   name(operand.dtype), logical ? "; compare first, as in x != 0" : "; cast first");
    }
    if (attr.axes.empty()) return error("there is no axis to reduce");
    if (finds_index && attr.axes.rank() != 1) {
      return error(name(attr.kind), " takes one axis; reshape to join axes");
    }
    Shape shape = operand.shape;
    for (int i = attr.axes.rank() - 1; i >= 0; --i) {
      const int64_t axis = attr.axes[i];
      if (absl::Status status = check_axis(axis, operand.shape.rank()); !status.ok()) return status;
      if (i > 0 && attr.axes[i - 1] >= axis) return error("axes must be ascending and distinct");
      if (finds_index && operand.shape[axis] == 0) {
        return error("axis ", axis, " has extent 0, so there is no element to find");
      }
      shape.erase(static_cast<int>(axis));
    }
    return Type{finds_index ? DType::i64 : operand.dtype, shape};
  }

  absl::StatusOr<Type> dot(const Shape& a, const Shape& b) const {
    if (absl::Status status = check_same_dtype(operands_); !status.ok()) return status;
    if (!is_numeric(operands_[0].dtype)) return error("takes ", list_dtypes(is_numeric), ", not bool; cast first");
    if (a.rank() < 2 || b.rank() < 2) return error("operands need rank 2 or more; reshape a vector to [1,n] or [n,1]");
    if (a.rank() != b.rank()) {
      return error("operands have ranks ", a.rank(), " and ", b.rank(),
                   ", which must be equal; broadcast the batch axes");
    }
    const int m = a.rank() - 2;
    for (int i = 0; i < m; ++i) {
      if (a[i] == b[i]) continue;
      return error("batch axis ", i, " is ", a[i], " against ", b[i],
                   "; batch extents must be equal, so broadcast first");
    }
    if (a[m + 1] != b[m]) {
      return error("inner extents are ", a[m + 1], " and ", b[m],
                   "; columns of the first must equal rows of the second");
    }
    Shape shape = a;
    shape[m + 1] = b[m + 1];
    return Type{operands_[0].dtype, shape};
  }

  absl::StatusOr<Type> reshape() const {
    if (absl::Status status = check_kept_dtype(); !status.ok()) return status;
    if (operands_[0].size() != wanted_->size()) {
      return error(operands_[0].size(), " elements cannot become ", wanted_->size());
    }
    return *wanted_;
  }

  absl::StatusOr<Type> transpose(const Dims& perm) const {
    const Shape& from = operands_[0].shape;
    if (absl::Status status = check_entries("perm", perm, from.rank()); !status.ok()) return status;
    Shape shape = from;
    for (int i = 0; i < perm.rank(); ++i) {
      if (!perm.contains(i)) return error("perm must name each axis of 0..", perm.rank() - 1, " once");
    }
    for (int i = 0; i < perm.rank(); ++i) shape[i] = from[static_cast<int>(perm[i])];
    return Type{operands_[0].dtype, shape};
  }

  absl::StatusOr<Type> broadcast(const Shape& from) const {
    if (absl::Status status = check_kept_dtype(); !status.ok()) return status;
    const Shape& to = wanted_->shape;
    const int lead = to.rank() - from.rank();
    if (lead < 0) return error("the result needs rank ", from.rank(), " or more");
    for (int i = 0; i < from.rank(); ++i) {
      if (from[i] == to[lead + i] || from[i] == 1) continue;
      return error("axis ", lead + i, " of the result is ", to[lead + i], " against ", from[i],
                   "; only extents of 1 repeat");
    }
    return *wanted_;
  }

  absl::StatusOr<Type> slice(const SliceAttr& attr) const {
    if (absl::Status status = check_kept_dtype(); !status.ok()) return status;
    const Shape& from = operands_[0].shape;
    if (absl::Status status = check_entries("start", attr.start, from.rank()); !status.ok()) return status;
    if (absl::Status status = check_entries("step", attr.step, from.rank()); !status.ok()) return status;
    if (absl::Status status = check_entries("the result's shape", wanted_->shape, from.rank()); !status.ok()) {
      return status;
    }
    for (int i = 0; i < from.rank(); ++i) {
      if (absl::Status status = check_slice_axis(attr.start[i], attr.step[i], i); !status.ok()) return status;
    }
    return *wanted_;
  }

  absl::Status check_slice_axis(int64_t start, int64_t step, int axis) const {
    const int64_t extent = wanted_->shape[axis];
    if (step == 0) return error("the step of axis ", axis, " is 0");
    if (extent == 0) return absl::OkStatus();
    const int64_t from = operands_[0].shape[axis];
    int64_t last = 0;
    const bool overflow = __builtin_mul_overflow(step, extent - 1, &last) || __builtin_add_overflow(last, start, &last);
    if (overflow) return error("the indices of axis ", axis, " overflow");
    for (int64_t index : {start, last}) {
      if (index < 0 || index >= from) return error("axis ", axis, " reads index ", index, " of extent ", from);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Type> pad(const PadAttr& attr) const {
    if (absl::Status status = check_same_dtype(operands_); !status.ok()) return status;
    if (!operands_[1].shape.empty()) return error("the padding value needs rank 0");
    Shape shape = operands_[0].shape;
    if (absl::Status status = check_entries("low", attr.low, shape.rank()); !status.ok()) return status;
    if (absl::Status status = check_entries("high", attr.high, shape.rank()); !status.ok()) return status;
    for (int i = 0; i < shape.rank(); ++i) {
      if (attr.low[i] < 0 || attr.high[i] < 0) return error("axis ", i, " has a negative padding; use slice to crop");
      if (!in_bounds(attr.low[i]) || !in_bounds(attr.high[i])) return error("the padding of axis ", i, " is too large");
      shape[i] += attr.low[i] + attr.high[i];
    }
    return Type{operands_[0].dtype, shape};
  }

  absl::StatusOr<Type> concat(int64_t axis) const {
    if (absl::Status status = check_same_dtype(operands_); !status.ok()) return status;
    Shape shape = operands_[0].shape;
    if (shape.empty()) return error("operands need rank 1 or more; reshape scalars to [1]");
    if (absl::Status status = check_axis(axis, shape.rank()); !status.ok()) return status;
    int64_t& joined = shape[static_cast<int>(axis)];
    for (const Type& operand : operands_.subspan(1)) {
      if (operand.shape.rank() != shape.rank()) {
        return error("operands have ranks ", shape.rank(), " and ", operand.shape.rank(), ", which must be equal");
      }
      for (int i = 0; i < shape.rank(); ++i) {
        if (i == axis || operand.shape[i] == shape[i]) continue;
        return error("axis ", i, " is ", shape[i], " against ", operand.shape[i], "; only axis ", axis, " may differ");
      }
      joined += operand.shape[static_cast<int>(axis)];
      if (!in_bounds(joined)) break;
    }
    return Type{operands_[0].dtype, shape};
  }

  const Op op_;
  const std::span<const Type> operands_;
  const Attr& attr_;
  const Type* const wanted_;
};

}  // namespace

absl::StatusOr<Type> infer(Op op, std::span<const Type> operands, const Attr& attr, const Type* wanted) {
  return Inference(op, operands, attr, wanted).run();
}

absl::StatusOr<Shape> broadcast_shapes(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape shape = Dims::filled(rank, 1);
  for (int i = rank - 1; i >= 0; --i) {
    const int axis_a = i - (rank - a.rank());
    const int axis_b = i - (rank - b.rank());
    const int64_t extent_a = axis_a < 0 ? 1 : a[axis_a];
    const int64_t extent_b = axis_b < 0 ? 1 : b[axis_b];
    if (extent_a != extent_b && extent_a != 1 && extent_b != 1) {
      return absl::InvalidArgumentError(cat("shapes ", to_string(a), " and ", to_string(b),
                                            " do not broadcast: axis ", i, " is ", extent_a, " against ", extent_b,
                                            "; extents must be equal or 1"));
    }
    shape[i] = extent_a == 1 ? extent_b : extent_a;
  }
  return shape;
}

}  // namespace etch
