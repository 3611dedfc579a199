// Workloads that reduce: along axes, softmax, normalisation, and over what was broadcast before.
#include <etch/losses.h>

#include "benchmarks/rows/case.h"

namespace rows {
namespace {

Tensor normalised(const Tensor& x, const Tensor& gamma, const Tensor& beta) { return layer_norm(x, gamma, beta); }

Tensor argmax_of_all(const Tensor& x) { return argmax(reshape(x, {-1}), 0); }

std::unique_ptr<Case> reduction(const std::string& name, const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  const auto& axis = sizes.at("axis");
  const etch::Axes axes = axis.is_string() ? etch::Axes() : etch::Axes(axis.get<int64_t>());
  if (name == "sum") return traced<1>([axes](Tensor x) { return sum(x, axes); }, in, way);
  if (name == "max") return traced<1>([axes](Tensor x) { return max(x, axes); }, in, way);
  if (name == "mean") return traced<1>([axes](Tensor x) { return mean(x, axes); }, in, way);
  if (name == "variance") return traced<1>([axes](Tensor x) { return variance(x, axes); }, in, way);
  if (axis.is_string()) return traced<1>(argmax_of_all, in, way);
  return traced<1>([a = axis.get<int64_t>()](Tensor x) { return argmax(x, a); }, in, way);
}

/// Squared distances of each row of x from each of y.
Tensor squared_distances(const Tensor& x, const Tensor& y) {
  const Tensor d = expand_dims(x, 1) - expand_dims(y, 0);
  return sum(d * d, {2});
}

Tensor accelerations(Tensor x, Tensor mass) {
  const Tensor d = expand_dims(x, 0) - expand_dims(x, 1);
  const Tensor r2 = sum(d * d, {2}) + 0.01f;
  const Tensor weight = mass / (r2 * sqrt(r2));
  return sum(d * expand_dims(weight, 2), {1});
}

}  // namespace

std::unique_ptr<Case> make_reduction(const std::string& name, const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  for (const char* known : {"sum", "max", "argmax", "mean", "variance"}) {
    if (name == known) return reduction(name, sizes, in, way);
  }
  if (name == "softmax") return traced<1>([](Tensor x) { return softmax(x); }, in, way);
  if (name == "log_softmax_nll") {
    return traced<2>(
        [](Tensor x, Tensor labels) {
          return etch::losses::sparse_categorical_crossentropy(labels, x, {.from_logits = true});
        },
        in, way);
  }
  if (name == "layer_norm") {
    return traced<4>(
        [](Tensor x, Tensor residual, Tensor gamma, Tensor beta) { return normalised(x + residual, gamma, beta); }, in, way);
  }
  if (name == "rms_norm") {
    return traced<3>(
        [](Tensor x, Tensor residual, Tensor gamma) {
          const Tensor h = x + residual;
          return h / sqrt(mean(h * h, 1, true) + 1e-6f) * gamma;
        },
        in, way);
  }
  if (name == "nbody") return traced<2>(accelerations, in, way);
  if (name == "rbf") return traced<2>([](Tensor x, Tensor y) { return exp(-0.5f * squared_distances(x, y)); }, in, way);
  if (name == "nearest") return traced<2>([](Tensor x, Tensor y) { return argmin(squared_distances(x, y), 1); }, in, way);
  return nullptr;
}

}  // namespace rows
