// How losses and metrics weigh samples, and how they read labels.
#include "frontend/sample_weights.h"

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch::detail {
namespace {

std::string type_text(const Tensor& x) { return to_string(Type{x.dtype(), x.shape()}); }

}  // namespace

Tensor weight_beside(const Tensor& values, Tensor weight, std::string_view op, Location where) {
  const Shape& shape = values.shape();
  bool fits = weight.rank() <= shape.rank();
  for (int i = 0; fits && i < weight.rank(); ++i) fits = weight.shape()[i] == shape[i] || weight.shape()[i] == 1;
  if (!fits) {
    fail_in_op(where, cat(op, ": sample_weight is ", type_text(weight), ", but what it weighs is ", type_text(values),
                          "; it must have their shape, or that of their first axes"));
  }
  while (weight.rank() < shape.rank()) weight = expand_dims(weight, -1);
  return cast(Operand(weight, where), values.dtype());
}

Tensor labels_of(const Operand& y, const Operand& scores, std::string_view op) {
  Tensor labels = tensor_in(y, op.data());
  const Shape& shape = tensor_in(scores, op.data()).shape();
  if (!is_integer(labels.dtype())) {
    fail_in_op(scores.where(), cat(op, ": labels are integers, not ", type_text(labels),
                                   "; cast them, or use categorical_crossentropy for distributions"));
  }
  if (labels.rank() == shape.rank() && labels.rank() > 0 && labels.shape()[labels.rank() - 1] == 1) {
    labels = squeeze(labels, -1);
  }
  bool fits = labels.rank() + 1 == shape.rank();
  for (int i = 0; fits && i < labels.rank(); ++i) fits = labels.shape()[i] == shape[i];
  if (!fits) {
    fail_in_op(scores.where(), cat(op, ": the labels are ", type_text(labels), " and the prediction ",
                                   type_text(*scores.tensor()), "; labels have the prediction's shape without its last axis"));
  }
  return cast(labels, DType::i64);
}

}  // namespace etch::detail
