// What is made with tapes: Jacobians and the numerical check.
#include <algorithm>
#include <cmath>
#include <optional>

#include "compiler/ir/cat.h"
#include "etch/gradient_tape.h"
#include "frontend/tensor_impl.h"

namespace etch {

using detail::fail;
using detail::Handles;
using detail::Source;

namespace {

Shape shape_in(const Source& source, Location where) {
  return source.variable() ? source.variable()->shape(where) : source.tensor().shape(where);
}

DType dtype_in(const Source& source, Location where) {
  return source.variable() ? source.variable()->dtype(where) : source.tensor().dtype(where);
}

/// Shape a, then the extents of b from an axis on.
Shape joined(Shape a, const Shape& b, int first) {
  for (int axis = first; axis < b.rank(); ++axis) a.insert(a.rank(), b[axis]);
  return a;
}

}  // namespace

Tensor GradientTape::jacobian(const Tensor& target, const Source& source, GradientOptions options, Location where) {
  const Shape shape = target.shape(where);
  const int64_t n = shape.product();
  const Tensor indices = range(n);
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < n; ++i) {
    const Tensor one = reshape(cast(equal(indices, i), target.dtype(where)), shape);
    rows.push_back(gradient(target, {source}, one, options, where)[0]);
  }
  const Shape whole = joined(shape, shape_in(source, where), 0);
  if (rows.empty()) return zeros(whole, dtype_in(source, where));
  return reshape(Operand(stack(rows, 0, where), where), whole);
}

Tensor GradientTape::batch_jacobian(const Tensor& target, const Source& source, GradientOptions options,
                                    Location where) {
  const Shape shape = target.shape(where), in = shape_in(source, where);
  if (shape.rank() == 0 || in.rank() == 0 || shape[0] != in[0]) {
    fail(where, cat("batch_jacobian: the target is ", to_string(Type{target.dtype(where), shape}), " and the source ",
                    to_string(Type{dtype_in(source, where), in}), "; their first axes must be as long, one example each"));
  }
  Shape example = shape;
  example[0] = 1;
  const int64_t n = example.product();
  const Tensor indices = range(n);
  std::vector<Tensor> columns;  // per element of an example, in all examples
  for (int64_t i = 0; i < n; ++i) {
    const Tensor one = reshape(cast(equal(indices, i), target.dtype(where)), example);
    columns.push_back(gradient(target, {source}, broadcast_to(one, shape), options, where)[0]);
  }
  const Shape whole = joined(shape, in, 1);
  if (columns.empty()) return zeros(whole, dtype_in(source, where));
  return reshape(Operand(stack(columns, 1, where), where), whole);
}

namespace {

std::vector<double> elements_of(const Tensor& tensor) { return cast(tensor, DType::f64).to_vector<double>(); }

Tensor tensor_like(const Tensor& like, const std::vector<double>& elements) {
  return cast(Tensor::from(elements, like.shape()), like.dtype());
}

/// What element i of a result counts: no two are alike, and none is small.
double weight_of(size_t i) { return 1 + 0.5 * std::sin(static_cast<double>(i) + 1); }

double weighted_sum(const std::vector<Tensor>& results) {
  double sum = 0;
  size_t i = 0;
  for (const Tensor& result : results) {
    if (!is_floating(result.dtype())) continue;
    for (double element : elements_of(result)) sum += element * weight_of(i++);
  }
  return sum;
}

std::vector<Tensor> weights_of(const std::vector<Tensor>& results) {
  std::vector<Tensor> weights;
  size_t next = 0;
  for (const Tensor& result : results) {
    std::vector<double> elements(static_cast<size_t>(result.size()));
    for (double& element : elements) element = weight_of(next++);
    weights.push_back(tensor_like(result, elements));
  }
  return weights;
}

}  // namespace

double detail::check_gradients(Handles arguments, const std::function<std::vector<Tensor>()>& run, CheckOptions options,
                               Location where) {
  std::vector<Tensor> sources;
  for (const Tensor* argument : arguments) sources.push_back(*argument);
  GradientTape tape;
  tape.watch(sources, where);
  std::vector<Tensor> results = run();
  std::erase_if(results, [](const Tensor& result) { return !is_floating(result.dtype()); });
  const std::vector<Tensor> gradients =
      tape.gradient(results, sources, weights_of(results), {.unconnected = Unconnected::zeros}, where);

  double largest = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    Tensor& argument = *arguments[i];
    if (!is_floating(argument.dtype())) continue;
    const Tensor given = argument;
    const std::vector<double> gradient = elements_of(gradients[i]);
    std::vector<double> elements = elements_of(given);
    for (size_t j = 0; j < elements.size(); ++j) {
      const double element = elements[j];
      const auto value_at = [&](double x) {
        elements[j] = x;
        argument = tensor_like(given, elements);
        return weighted_sum(run());
      };
      const double above = value_at(element + options.step), below = value_at(element - options.step);
      const double difference = (above - below) / (2 * options.step);
      elements[j] = element;
      const double error = std::abs(gradient[j] - difference) / std::max(1.0, std::abs(difference));
      if (!(error <= options.tolerance)) {
        fail(where, cat("check_gradients: element ", j, " of tensor ", i + 1, " of ", arguments.size(),
                        " has the gradient ", number_text(gradient[j]), ", but central differences give ",
                        number_text(difference)));
      }
      largest = std::max(largest, error);
    }
    argument = given;
  }
  return largest;
}

}  // namespace etch
