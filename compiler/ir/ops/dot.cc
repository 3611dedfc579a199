// dot: products summed in long double or 64 bits.
#include "compiler/ir/ops/dot.h"

#include <utility>

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Dot::infer(const Inference& in) const {
  const Shape& a = in.operands[0].shape;
  const Shape& b = in.operands[1].shape;
  if (absl::Status status = in.check_same_dtype(in.operands); !status.ok()) return status;
  if (!is_numeric(in.operands[0].dtype)) return in.error("takes ", list_dtypes(is_numeric), ", not bool; cast first");
  if (a.rank() < 2 || b.rank() < 2) return in.error("operands need rank 2 or more; reshape a vector to [1,n] or [n,1]");
  if (a.rank() != b.rank()) {
    return in.error("operands have ranks ", a.rank(), " and ", b.rank(),
                    ", which must be equal; broadcast the batch axes");
  }
  const int m = a.rank() - 2;
  for (int i = 0; i < m; ++i) {
    if (a[i] == b[i]) continue;
    return in.error("batch axis ", i, " is ", a[i], " against ", b[i],
                    "; batch extents must be equal, so broadcast first");
  }
  if (a[m + 1] != b[m]) {
    return in.error("inner extents are ", a[m + 1], " and ", b[m],
                    "; columns of the first must equal rows of the second");
  }
  Shape shape = a;
  shape[m + 1] = b[m + 1];
  return Type{in.operands[0].dtype, shape};
}

Literal Dot::evaluate(Literals operands, const Type& type) const {
  const Literal& a = *operands[0];
  const Literal& b = *operands[1];
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
  dispatch_computed(type.dtype, [&]<class T>() {
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

Ex Dot::gradient(const Backward& at, int operand) const {
  const Ex& g = at.cotangents[0];
  Dims swap;
  for (int i = 0; i < g.shape().rank(); ++i) swap.push_back(i);
  std::swap(swap[swap.rank() - 2], swap[swap.rank() - 1]);
  if (operand == 0) return etch::dot(g, transpose(at.operands[1], swap));
  return etch::dot(transpose(at.operands[0], swap), g);
}

}  // namespace etch::op
