// cast: rounding, truncation and wrapping, one element at a time.
#include "compiler/ir/ops/cast.h"

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Cast::infer(const Inference& in) const { return Type{in.given().dtype, in.operands[0].shape}; }

Literal Cast::evaluate(Literals operands, const Type& type) const {
  const Literal& operand = *operands[0];
  Literal result = make_literal(type);
  dispatch(operand.type.dtype, [&]<class From>() {
    dispatch(type.dtype, [&]<class To>() {
      for (int64_t i = 0, n = type.size(); i < n; ++i) store(result, i, oracle::cast<To>(load<From>(operand, i)));
    });
  });
  return result;
}

Ex Cast::gradient(const Backward& at, int) const { return etch::cast(at.cotangents[0], at.operands[0].dtype()); }

}  // namespace etch::op
