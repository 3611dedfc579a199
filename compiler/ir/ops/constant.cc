// constant: one value everywhere.
#include "compiler/ir/ops/constant.h"

#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Constant::infer(const Inference& in) const {
  const DType dtype = in.given().dtype;
  const bool fits = dtype == DType::boolean ? value <= 1 : size_of(dtype) == 8 || value >> (8 * size_of(dtype)) == 0;
  if (!fits) return in.error("the bits are not those of a ", name(dtype));
  return in.given();
}

Literal Constant::evaluate(Literals, const Type& type) const {
  Literal element{{type.dtype, {}}, std::vector<std::byte>(sizeof value)};
  std::memcpy(element.bytes.data(), &value, sizeof value);
  return gather(element, type, Walk(type.shape, Dims::filled(type.shape.rank(), 0)));
}

}  // namespace etch::op

namespace etch {

AnyOp splat_op(uint64_t bits) { return op::Constant{bits}; }

}  // namespace etch
