// Matching and making what a pattern says.
#include "compiler/passes/pattern.h"

#include <bit>
#include <cmath>

namespace etch {
namespace {

using Term = Pattern::Term;

std::optional<uint64_t> constant_bits(const ExMaker& graph, Value value) { return splat_bits(graph.node(value).op); }

bool is_number(const ExMaker& graph, Value value) {
  const std::optional<uint64_t> bits = constant_bits(graph, value);
  if (!bits) return false;
  return dispatch(graph.type(value).dtype, [&]<class T>() { return from_bits<T>(*bits) == from_bits<T>(*bits); });
}

/// A floating constant as it is; 0 for all else.
double as_double(const ExMaker& graph, Value value) {
  const std::optional<uint64_t> bits = constant_bits(graph, value);
  const DType dtype = graph.type(value).dtype;
  if (!bits || !is_floating(dtype)) return 0;
  return dispatch(dtype, [&]<class T>() { return static_cast<double>(from_bits<T>(*bits)); });
}

bool is_positive_power_of_two(uint64_t bits, DType dtype) {
  const bool is_negative = is_signed_integer(dtype) && (bits >> (8 * size_of(dtype) - 1)) != 0;
  return std::has_single_bit(bits) && !is_negative;
}

bool is_power_of_two(const ExMaker& graph, Value value) {
  const std::optional<uint64_t> bits = constant_bits(graph, value);
  const DType dtype = graph.type(value).dtype;
  if (bits && is_integer(dtype)) return is_positive_power_of_two(*bits, dtype);
  int exponent = 0;  // the value is 2^(exponent - 1)
  if (std::fabs(std::frexp(as_double(graph, value), &exponent)) != 0.5) return false;
  return std::abs(exponent - 1) <= info(dtype).max_exponent - 2;
}

bool is_whole(const ExMaker& graph, Value value) {
  const Node& node = graph.node(value);
  switch (node.op) {
    case Op::floor:
    case Op::ceil:
    case Op::trunc:
    case Op::round: return true;
    default: return node.op == kConversion && !is_floating(graph.type(node.operands[0]).dtype);
  }
}

/// Matches terms in prefix order.
class Matcher {
 public:
  Matcher(const ExMaker& graph, const Term* term) : graph_(graph), term_(term) {}

  bool match_op(Op op, std::span<const Value> operands) {
    if (term_->op != op) return false;
    ++term_;
    for (Value operand : operands) {
      if (!match_value(operand)) return false;
    }
    return true;
  }

  const Bindings& bindings() const { return bindings_; }

 private:
  bool match_value(Value value) {
    switch (term_->is) {
      case Term::Is::op: {
        const Node& node = graph_.node(value);
        return match_op(node.op, node.operands);
      }
      case Term::Is::variable: return bind(*term_++, value);
      case Term::Is::number: return is_constant(term_++->number, value);
      case Term::Is::truth: return is_constant(term_++->number, value) && graph_.type(value).dtype == DType::boolean;
    }
    return false;
  }

  bool bind(const Term& term, Value value) {
    Value& bound = bindings_[term.variable];
    if (bound.id >= 0) return bound == value;
    bound = value;
    return is_kind(term.kind, graph_, value);
  }

  bool is_constant(double number, Value value) const {
    const std::optional<uint64_t> bits = constant_bits(graph_, value);
    return bits && *bits == bits_of(number, graph_.type(value).dtype);
  }

  const ExMaker& graph_;
  const Term* term_;
  Bindings bindings_;
};

/// Makes terms in prefix order.
class Maker {
 public:
  Maker(ExMaker& maker, const Bindings& bindings, const Term* term)
      : maker_(maker), bindings_(bindings), term_(term) {}

  ExOperand operand() {
    const Term& term = *term_++;
    switch (term.is) {
      case Term::Is::op: return op(term.op);
      case Term::Is::variable: return Ex(maker_, bindings_[term.variable]);
      case Term::Is::truth: return term.number != 0;
      case Term::Is::number: break;
    }
    return term.number;
  }

 private:
  Ex op(Op op) {
    absl::InlinedVector<ExOperand, 3> operands;
    for (int i = 0; i < info(op).arity; ++i) operands.push_back(operand());
    return Ex::make(op, operands);
  }

  ExMaker& maker_;
  const Bindings& bindings_;
  const Term* term_;
};

}  // namespace

bool is_kind(Kind kind, const ExMaker& graph, Value value) {
  switch (kind) {
    case Kind::any: return true;
    case Kind::integer: return is_integer(graph.type(value).dtype);
    case Kind::unsigned_integer: return is_unsigned_integer(graph.type(value).dtype);
    case Kind::floating: return is_floating(graph.type(value).dtype);
    case Kind::with_sign:
      return is_floating(graph.type(value).dtype) || is_signed_integer(graph.type(value).dtype);
    case Kind::mask: return graph.type(value).dtype == DType::boolean;
    case Kind::whole: return is_whole(graph, value);
    case Kind::varying: return place(graph.node(value).op) != Place::splat;
    case Kind::number: return is_number(graph, value);
    case Kind::not_zero:
      return is_number(graph, value) && (!is_floating(graph.type(value).dtype) || as_double(graph, value) != 0);
    case Kind::power_of_two: return is_power_of_two(graph, value);
  }
  return false;
}

std::optional<Bindings> match(const Pattern& pattern, const ExMaker& graph, Op op, std::span<const Value> operands) {
  Matcher matcher(graph, &pattern.root());
  if (!matcher.match_op(op, operands)) return std::nullopt;
  return matcher.bindings();
}

Ex instantiate(const Pattern& pattern, ExMaker& maker, const Bindings& bindings, const Type& type) {
  const Term& root = pattern.root();
  const bool is_constant = root.is == Term::Is::number || root.is == Term::Is::truth;
  if (is_constant) return constant(maker, bits_of(root.number, type.dtype), type);
  const Ex result = Maker(maker, bindings, &root).operand().ex();
  return result.shape() == type.shape ? result : broadcast(result, type.shape);
}

}  // namespace etch
