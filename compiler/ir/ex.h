// Ex: expressions that make nodes, so that rules, lowerings and derivatives read as mathematics.
#pragma once

#include <concepts>
#include <initializer_list>
#include <span>

#include "compiler/ir/graph.h"
#include "compiler/ir/op_functions.h"

namespace etch {

class Events;

/// Makes the nodes of expressions over one list of nodes.
class ExMaker {
 public:
  virtual ~ExMaker() = default;

  /// The result of an op that has one; `type` is given for the ops whose type says what they do, else null. Throws
  /// InternalError if the node is illegal: an ill-typed expression is a bug of who wrote it.
  virtual Value make(const AnyOp& op, std::span<const Value> operands, const Type* type) = 0;
  /// All results of an op whose types follow from its operands.
  virtual Results make_all(const AnyOp& op, std::span<const Value> operands) = 0;

  /// The node of a value, and its type; the references hold until something is made.
  const Node& node(Value value) const { return nodes_.node(value); }
  const Type& type(Value value) const { return nodes_.type(value); }
  const Nodes& nodes() const { return nodes_; }

  /// The origin of what is made from now on.
  void set_origin(Origin origin) { origin_ = origin; }

 protected:
  explicit ExMaker(const Nodes& nodes, Origin origin = {}) : nodes_(nodes), origin_(origin) {}
  Origin origin() const { return origin_; }

 private:
  const Nodes& nodes_;
  Origin origin_;
};

/// Makes nodes as they are written, equal ones once.
class Emitter final : public ExMaker {
 public:
  explicit Emitter(GraphBuilder& builder, Origin origin = {}) : ExMaker(builder, origin), builder_(builder) {}
  Value make(const AnyOp& op, std::span<const Value> operands, const Type* type) override;
  Results make_all(const AnyOp& op, std::span<const Value> operands) override;

 private:
  GraphBuilder& builder_;
};

/// Records nodes as they are written, equal ones too.
class Recorder final : public ExMaker {
 public:
  explicit Recorder(Events& events, Origin origin = {});
  Value make(const AnyOp& op, std::span<const Value> operands, const Type* type) override;
  Results make_all(const AnyOp& op, std::span<const Value> operands) override;

 private:
  Events& events_;
};

class ExOperand;

/// A value and who makes new ones of it. Its operators and functions (OpFunctions) make a node each, on operands that
/// broadcast as NumPy's do; C++ leaves open which operand of an expression is made first. A number beside an Ex becomes
/// a constant of its dtype. An integer, and any number beside integers or bools, must be exact in that dtype; a floating
/// number beside floats is rounded.
class Ex : public OpFunctions<Ex, ExOperand> {
 public:
  /// No expression: what a rule says that has nothing to say.
  Ex() = default;
  Ex(ExMaker& maker, Value value) : maker_(&maker), value_(value) {}

  /// The result of an elementwise op. Numbers alone have no dtype, but a bool has.
  static Ex make(Op op, std::span<const ExOperand> operands);
  static Ex make(Op op, std::initializer_list<ExOperand> operands);

  bool is_none() const { return value_.id < 0; }
  Value value() const { return value_; }
  ExMaker& maker() const { return *maker_; }

  /// These references hold until something is made.
  const Node& node() const { return maker_->node(value_); }
  const Type& type() const { return maker_->type(value_); }
  const Shape& shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }

  bool made_by(Op op) const { return node().op == op; }
  Ex operand(int i) const { return {*maker_, node().operands[i]}; }

 private:
  ExMaker* maker_ = nullptr;
  Value value_;
};

/// An Ex or a number.
class ExOperand {
 public:
  ExOperand(const Ex& ex) : ex_(ex) {}  // NOLINT: converts
  template <std::integral T>
  ExOperand(T number)  // NOLINT: converts
      : number_(number), kind_(std::same_as<T, bool> ? Kind::truth : Kind::integer) {}
  template <std::floating_point T>
  ExOperand(T number) : number_(number), kind_(Kind::floating) {}  // NOLINT: converts

  bool is_number() const { return ex_.is_none(); }
  bool is_truth() const { return kind_ == Kind::truth; }
  const Ex& ex() const { return ex_; }
  /// The Ex, or the number as a constant of rank 0.
  Ex in(ExMaker& maker, DType dtype) const;

 private:
  enum class Kind : uint8_t { ex, truth, integer, floating };

  Ex ex_;
  long double number_ = 0;  // holds every int64_t and double
  Kind kind_ = Kind::ex;
};

/// The bits of the number in a dtype: rounded if it is floating; else, where the number is whole, wrapped, so that -1
/// is all bits set.
uint64_t bits_of(double number, DType dtype);

/// The number as a constant of rank 0.
Ex number(ExMaker& maker, DType dtype, const ExOperand& value);
/// Every element has these bits.
Ex constant(ExMaker& maker, uint64_t bits, const Type& type);

/// Each element is its index along an axis.
Ex iota(ExMaker& maker, int64_t axis, const Type& type);

Ex cast(const Ex& x, DType dtype);
Ex bitcast(const Ex& x, DType dtype);
Ex reshape(const Ex& x, const Shape& shape);
Ex transpose(const Ex& x, const Dims& perm);
Ex broadcast(const Ex& x, const Shape& shape);
/// Elements start, start + step, ... along each axis, as many as `shape` says.
Ex slice(const Ex& x, const Dims& start, const Dims& step, const Shape& shape);
/// `value`, of rank 0, around the elements of x.
Ex pad(const Ex& x, const Ex& value, const Dims& low, const Dims& high);
Ex concat(std::span<const Ex> parts, int64_t axis);
Ex reduce(const Ex& x, ReduceKind kind, const Dims& axes);
Ex sum(const Ex& x, const Dims& axes);
/// x, summed over the axes along which a tensor of this shape repeats to become one of x's shape.
Ex sum_to(const Ex& x, Shape shape);
Ex dot(const Ex& a, const Ex& b);
/// x at indices along an axis, whose place the axes of the indices take.
Ex gather(const Ex& x, const Ex& indices, int64_t axis);
/// The updates added to x, of rank 0 or of the result's shape, at indices along an axis of this extent.
Ex scatter_add(const Ex& x, const Ex& indices, const Ex& updates, int64_t axis, int64_t extent);
/// x with the update in its place from an index along an axis on.
Ex update_slice(const Ex& x, const Ex& update, const Ex& index, int64_t axis);
/// Zeros along an axis of this extent, with x's elements at start, start + step, ...; start is not negative, step
/// positive, and all of them have a place.
Ex spread(const Ex& x, int axis, int64_t start, int64_t step, int64_t extent);

}  // namespace etch
