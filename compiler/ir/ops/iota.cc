// iota: counts along an axis.
#include "compiler/ir/ops/iota.h"

#include "compiler/ir/inference.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Iota::infer(const Inference& in) const {
  if (!is_numeric(in.given().dtype)) return in.error("counts in ", list_dtypes(is_numeric), ", not bool");
  if (absl::Status status = in.check_axis(axis, in.given().shape.rank()); !status.ok()) return status;
  return in.given();
}

Literal Iota::evaluate(Literals, const Type& type) const {
  Dims strides = Dims::filled(type.shape.rank(), 0);
  strides[static_cast<int>(axis)] = 1;
  Walk walk(type.shape, strides);
  Literal result = make_literal(type);
  dispatch(type.dtype, [&]<class T>() {
    for (int64_t i = 0, n = type.size(); i < n; ++i, walk.next()) store(result, i, oracle::cast<T>(walk.offset()));
  });
  return result;
}

}  // namespace etch::op
