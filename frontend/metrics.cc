// The metrics, as Keras 3 computes them.
#include "etch/metrics.h"

#include "compiler/ir/cat.h"
#include "frontend/sample_weights.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch::metrics {
namespace {

using detail::fail_in_op;
using detail::Scope;
using detail::tensor_in;

std::string type_text(const Tensor& x) { return to_string(Type{x.dtype(), x.shape()}); }

/// Error unless both are of one dtype and shape with an axis or more.
void check_alike(const Operand& y, const Operand& p, const char* metric) {
  const Tensor& a = tensor_in(y, metric);
  const Tensor& b = tensor_in(p, metric);
  if (a.dtype() == b.dtype() && a.shape() == b.shape() && a.rank() > 0) return;
  fail_in_op(p.where(), cat(metric, ": y is ", type_text(a), " and the prediction ", type_text(b),
                            "; they must be of one dtype and shape, with 1 axis or more"));
}

void update(const Mean& mean, const Tensor& values, const Tensor& weight, Location where) {
  mean.update_state(Operand(values, where), weight);
}

}  // namespace

void Sum::update_state(const Operand& values, const Tensor& weight) const {
  const Scope scope("sum", values.where());
  const Tensor wide = cast(values, DType::f32);
  const Tensor weighted = weight.defined() ? wide * detail::weight_beside(wide, weight, "sum", values.where()) : wide;
  total.assign_add(Operand(sum(weighted), values.where()));
}

void Sum::reset_state() const { total.assign(0); }

void Mean::update_state(const Operand& values, const Tensor& weight) const {
  const Scope scope("mean", values.where());
  const Tensor wide = cast(values, DType::f32);
  if (!weight.defined()) {
    total.assign_add(Operand(sum(wide), values.where()));
    count.assign_add(Operand(static_cast<double>(wide.size()), values.where()));
    return;
  }
  const Tensor weights = broadcast_to(detail::weight_beside(wide, weight, "mean", values.where()), wide.shape());
  total.assign_add(Operand(sum(wide * weights), values.where()));
  count.assign_add(Operand(sum(weights), values.where()));
}

Tensor Mean::result(Location where) const {
  return divide_no_nan(Operand(total.value(where), where), Operand(count.value(where), where));
}

void Mean::reset_state() const {
  total.assign(0);
  count.assign(0);
}

void Accuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("accuracy", p.where());
  check_alike(y, p, "accuracy");
  update(matches, cast(equal(y, p), DType::f32), weight, p.where());
}

void BinaryAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("binary_accuracy", p.where());
  check_alike(y, p, "binary_accuracy");
  const Tensor says = cast(greater(p, threshold), y.tensor()->dtype());
  update(matches, mean(cast(equal(y, says), DType::f32), -1), weight, p.where());
}

void CategoricalAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("categorical_accuracy", p.where());
  check_alike(y, p, "categorical_accuracy");
  update(matches, argmax(y, -1) == argmax(p, -1), weight, p.where());
}

void SparseCategoricalAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("sparse_categorical_accuracy", p.where());
  update(matches, detail::labels_of(y, p, "sparse_categorical_accuracy") == argmax(p, -1), weight, p.where());
}

void SparseTopKCategoricalAccuracy::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("sparse_top_k_categorical_accuracy", p.where());
  const Tensor labels = detail::labels_of(y, p, "sparse_top_k_categorical_accuracy");
  update(matches, any(expand_dims(labels, -1) == top_k(p, k).indices, -1), weight, p.where());
}

void MeanSquaredError::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("mean_squared_error", p.where());
  check_alike(y, p, "mean_squared_error");
  update(errors, mean(squared_difference(p, y), -1), weight, p.where());
}

void MeanAbsoluteError::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("mean_absolute_error", p.where());
  check_alike(y, p, "mean_absolute_error");
  update(errors, mean(abs(sub(p, y)), -1), weight, p.where());
}

void RootMeanSquaredError::update_state(const Operand& y, const Operand& p, const Tensor& weight) const {
  const Scope scope("root_mean_squared_error", p.where());
  check_alike(y, p, "root_mean_squared_error");
  update(errors, squared_difference(p, y), weight, p.where());
}

Tensor RootMeanSquaredError::result(Location where) const { return sqrt(Operand(errors.result(where), where)); }

}  // namespace etch::metrics
