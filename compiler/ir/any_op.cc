// What all ops do, asked of the one that it is.
#include "compiler/ir/any_op.h"

namespace etch {

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
