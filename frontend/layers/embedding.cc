// Embedding: a variable and gather.
#include "etch/layers/embedding.h"

#include "frontend/layers/parts.h"

namespace etch::layers {

Tensor Embedding::operator()(const Operand& indices) const {
  const detail::Scope scope("embedding", indices.where());
  const Location where = indices.where();
  const Tensor& tensor = detail::tensor_in(indices, "embedding");
  if (!is_integer(tensor.dtype())) {
    const Type type{tensor.dtype(), tensor.shape()};
    detail::fail_in_op(where, cat("embedding: takes integers, not ", to_string(type), "; cast first"));
  }
  if (input_dim <= 0 || output_dim <= 0) {
    detail::fail_in_op(where, cat("embedding: input_dim is ", input_dim, " and output_dim ", output_dim,
                                  ", but a table has 1 or more of both"));
  }
  if (!is_floating(dtype)) {
    detail::fail_in_op(where, cat("embedding: a table is of ", list_dtypes(etch::is_floating), ", not ", name(dtype)));
  }
  const Shape shape{input_dim, output_dim};
  if (!embeddings.built()) embeddings.build([&] { return embeddings_initializer(shape, dtype); }, where);
  return gather(Operand(Tensor(embeddings), where), indices);
}

Tensor Embedding::compute_mask(const Operand& indices, const Tensor&) const {
  return mask_zero ? detail::tensor_in(indices, "embedding") != 0 : Tensor();
}

}  // namespace etch::layers
