// bitcast: the bytes stay.
#include "compiler/ir/ops/bitcast.h"

#include "compiler/ir/inference.h"

namespace etch::op {

absl::StatusOr<Type> Bitcast::infer(const Inference& in) const {
  const DType from = in.operands[0].dtype;
  const DType to = in.given().dtype;
  if (from == DType::boolean || to == DType::boolean) return in.error("bool has no bits to read; use cast");
  if (size_of(from) != size_of(to)) {
    return in.error("elements have ", size_of(from), " and ", size_of(to), " bytes, which must be equal; use cast");
  }
  return Type{to, in.operands[0].shape};
}

Literal Bitcast::evaluate(Literals operands, const Type& type) const { return {type, operands[0]->bytes}; }

}  // namespace etch::op
