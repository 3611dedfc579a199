// Products of matrices, their triangles and diagonals.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/dispatch.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail;
using detail::fail_in_op;
using detail::Scope;
using detail::tensor_of;

namespace {

Tensor swap_last_axes(const Tensor& x) {
  Dims perm;
  for (int i = 0; i < x.rank(); ++i) perm.push_back(i);
  std::swap(perm[x.rank() - 1], perm[x.rank() - 2]);
  return transpose(x, perm);
}

/// `x` with these axes before its last two.
Tensor with_batch(const Tensor& x, const Shape& batch) {
  Shape shape = batch;
  shape.push_back(x.shape()[x.rank() - 2]);
  shape.push_back(x.shape()[x.rank() - 1]);
  return broadcast_to(x, shape);
}

Shape batch_of(const Tensor& x) {
  Shape batch = x.shape();
  batch.pop_back();
  batch.pop_back();
  return batch;
}

}  // namespace

Tensor matmul(const Operand& a, const Operand& b, MatmulOptions options) {
  Scope scope("matmul", a.where());
  Tensor left = tensor_of(a, "matmul");
  Tensor right = tensor_of(b, "matmul");
  const std::string types = cat("matmul of ", to_string(Type{left.dtype(), left.shape()}), " and ",
                                to_string(Type{right.dtype(), right.shape()}), ": ");
  if (left.rank() == 0 || right.rank() == 0) {
    fail(Scope::place_of(a.where()), types + "operands need rank 1 or more; use * to scale");
  }
  const bool row = left.rank() == 1;
  const bool column = right.rank() == 1;
  if ((row && options.transpose_a) || (column && options.transpose_b)) {
    fail(Scope::place_of(a.where()), types + "an operand of rank 1 has no axes to transpose");
  }
  if (row) left = expand_dims(left, 0);
  if (column) right = expand_dims(right, 1);
  if (options.transpose_a) left = swap_last_axes(left);
  if (options.transpose_b) right = swap_last_axes(right);
  const int64_t inner = left.shape()[left.rank() - 1];
  if (inner != right.shape()[right.rank() - 2]) {
    fail(Scope::place_of(a.where()),
         cat(types, "inner extents are ", inner, " and ", right.shape()[right.rank() - 2],
             "; columns of the first must equal rows of the second"));
  }
  absl::StatusOr<Shape> batch = broadcast_shapes(batch_of(left), batch_of(right));
  if (!batch.ok()) fail(Scope::place_of(a.where()), types + "batch " + std::string(batch.status().message()));
  Tensor result = detail::apply(op::Dot{}, {with_batch(left, *batch), with_batch(right, *batch)});
  if (row) result = squeeze(result, -2);
  if (column) result = squeeze(result, -1);
  return result;
}

namespace {

/// The matrices of x where `keeps(row + k, column)` holds, else 0.
template <class F>
Tensor triangle(const Operand& x, int64_t k, std::string_view op, F keeps) {
  const Tensor& tensor = tensor_of(x, op);
  if (tensor.rank() < 2) {
    const Type type{tensor.dtype(), tensor.shape()};
    fail_in_op(x.where(), cat(op, ": a matrix has rank 2 or more, not ", to_string(type)));
  }
  const int64_t rows = tensor.shape()[tensor.rank() - 2], columns = tensor.shape()[tensor.rank() - 1];
  k = std::clamp(k, -rows, columns);  // beyond, nothing changes any more
  const Shape matrix{rows, columns};
  const Tensor row = iota(matrix, 0, DType::i64, x.where()) + k, column = iota(matrix, 1, DType::i64, x.where());
  return etch::where(keeps(row, column), tensor, Operand(0, x.where()));
}

}  // namespace

Tensor tril(const Operand& x, Integer k) {
  Scope scope("tril", x.where());
  return triangle(x, k, "tril", [](const Tensor& row, const Tensor& column) { return row >= column; });
}

Tensor triu(const Operand& x, Integer k) {
  Scope scope("triu", x.where());
  return triangle(x, k, "triu", [](const Tensor& row, const Tensor& column) { return row <= column; });
}

namespace {

Tensor diagonal(const Tensor& matrix, int64_t k, Location where) {
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  k = std::clamp(k, -rows, columns);
  const int64_t top = std::max<int64_t>(-k, 0), left = std::max<int64_t>(k, 0);
  const int64_t length = std::min(rows - top, columns - left);
  const Tensor part = slice(Operand(matrix, where), {{top, top + length}, {left, columns}});
  const Tensor row_major = reshape(Operand(part, where), -1);
  return slice(Operand(row_major, where), {Slice::to(length == 0 ? 0 : kOpen).by(columns - left + 1)});
}

Tensor diagonal_matrix(const Tensor& vector, int64_t k, Location where) {
  const int64_t beside = std::clamp(k, -kMaxBytes, kMaxBytes);
  const int64_t n = vector.shape()[0] + std::abs(beside);
  detail::check_type({vector.dtype(), {n, n}}, "diag", where);
  const Tensor row = iota({n, n}, 0, DType::i64, where), column = iota({n, n}, 1, DType::i64, where);
  const bool is_above = beside >= 0;  // then element i stands in row i, else in column i
  const Tensor padded = pad(Operand(vector, where), {{0, n - vector.shape()[0]}});
  return etch::where(row + beside == column, expand_dims(padded, is_above ? 1 : 0), 0);
}

}  // namespace

Tensor diag(const Operand& x, Integer k) {
  Scope scope("diag", x.where());
  const Tensor& tensor = tensor_of(x, "diag");
  const Location where = Scope::place_of(x.where());
  if (tensor.rank() == 1) return diagonal_matrix(tensor, k, where);
  if (tensor.rank() == 2) return diagonal(tensor, k, where);
  fail_in_op(x.where(), cat("diag takes a vector or a matrix, not ", to_string(Type{tensor.dtype(), tensor.shape()})));
}

}  // namespace etch
