// What all ops do, asked of the one that it is.
#include "compiler/ir/any_op.h"

#include <algorithm>

namespace etch {
namespace {

Type computed_type(const Type& type) { return {info(type.dtype).compute, type.shape}; }

Literal cast(const Literal& operand, const Type& type) {
  const Literal* const operands[] = {&operand};
  return std::move(evaluate(kConversion, operands, {&type, 1})[0]);
}

/// What the op gives in the dtypes that storage-only operands and results compute in, rounded to their own.
std::vector<Literal> evaluate_wide(const AnyOp& op, Literals operands, std::span<const Type> results) {
  std::vector<Literal> wide;
  for (const Literal* operand : operands) wide.push_back(cast(*operand, computed_type(operand->type)));
  std::vector<const Literal*> pointers;
  for (const Literal& operand : wide) pointers.push_back(&operand);
  std::vector<Type> types;
  for (const Type& type : results) types.push_back(computed_type(type));
  std::vector<Literal> values = evaluate(op, pointers, types);
  for (size_t i = 0; i < values.size(); ++i) values[i] = cast(values[i], results[i]);
  return values;
}

bool is_computed_in(const Literal* operand) { return computes_itself(operand->type.dtype); }

}  // namespace

AnyOp::Fields AnyOp::default_fields(Op op) {
  switch (op) {
#define ETCH_OP(name, ...) case Op::name:
#include "compiler/ir/ops.def"
    break;
#define ETCH_STRUCTURAL_OP(name, Struct) \
  case Op::name: return AnyOp(op::Struct{}).fields_;
#include "compiler/ir/ops.def"
  }
  return Row{op};
}

AnyOp canonical(AnyOp op, std::span<const Type> results) {
  return op.visit([&]<class T>(const T& fields) -> AnyOp {
    if constexpr (requires(T copy) { copy.make_canonical(results[0]); }) {
      T copy = fields;
      copy.make_canonical(results[0]);
      if (!(copy == fields)) return copy;
    }
    return op;
  });
}

std::vector<Literal> evaluate(const AnyOp& op, Literals operands, std::span<const Type> results) {
  if (computes_wide(op) && !std::all_of(operands.begin(), operands.end(), is_computed_in)) {
    return evaluate_wide(op, operands, results);
  }
  return op.visit([&](const auto& fields) -> std::vector<Literal> {
    if constexpr (requires { fields.evaluate(operands, results); }) {
      return fields.evaluate(operands, results);
    } else {
      std::vector<Literal> values;
      values.push_back(fields.evaluate(operands, results[0]));
      return values;
    }
  });
}

}  // namespace etch
