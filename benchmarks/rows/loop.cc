// Workloads with loops: unrolled while tracing, or on tensors.
#include <etch/control_flow.h>

#include "benchmarks/rows/case.h"

namespace rows {
namespace {

Tensor scalar_loop(Tensor x, int64_t steps) {
  Tensor state = cast(x, etch::DType::u64);
  for ([[maybe_unused]] Tensor i : etch::range(steps, etch::DType::i64)) {
    state = state * uint64_t{6364136223846793005u} + uint64_t{1442695040888963407u};
    state = state ^ (state >> uint64_t{33});
  }
  return cast(state, etch::DType::i64);
}

Tensor newton(Tensor x, float tolerance) {
  Tensor root = (x + 1.0f) * 0.5f, change = 1.0f;
  while (change > tolerance) {
    const Tensor next = 0.5f * (root + x / root);
    change = max(abs(next - root) / next);
    root = next;
  }
  return root;
}

Tensor mandelbrot_unrolled(Tensor cx, Tensor cy, int turns) {
  Tensor x = zeros_like(cx), y = zeros_like(cy), count = etch::zeros(cx.shape(), etch::DType::i32);
  for (int i = 0; i < turns; ++i) {
    const Tensor xx = x * x, yy = y * y, inside = xx + yy <= 4.0f;
    count = count + cast(inside, etch::DType::i32);
    y = where(inside, 2.0f * x * y + cy, y);
    x = where(inside, xx - yy + cx, x);
  }
  return count;
}

/// Each point by itself: the turns that begin within the circle.
Tensor mandelbrot_while(Tensor cx, Tensor cy, int turns) {
  const auto point = [turns](const std::tuple<Tensor, Tensor>& c) {
    const Tensor zero(0.f);
    return std::get<2>(etch::while_loop(
        [turns](const Tensor& x, const Tensor& y, const Tensor& count) { return (x * x + y * y <= 4.0f) & (count < turns); },
        [&c](const Tensor& x, const Tensor& y, const Tensor& count) {
          return std::tuple(x * x - y * y + std::get<0>(c), 2.0f * x * y + std::get<1>(c), count + 1);
        },
        std::tuple(zero, zero, Tensor(0))));
  };
  return reshape(etch::map(point, std::tuple(reshape(cx, {-1}), reshape(cy, {-1}))), cx.shape());
}

}  // namespace

Tensor lstm_over_time(Tensor x, Tensor kernel, Tensor recurrent, Tensor bias) {
  const int64_t batch = x.shape()[0], times = x.shape()[1], width = x.shape()[2];
  Tensor h = etch::zeros({batch, width}), c = h;
  const Tensor of_inputs = matmul(x, kernel) + bias;
  for (int64_t t = 0; t < times; ++t) {
    const std::vector<Tensor> gates = split(of_inputs(etch::Slice(), t) + matmul(h, recurrent), 4, 1);
    c = sigmoid(gates[1]) * c + sigmoid(gates[0]) * tanh(gates[2]);
    h = sigmoid(gates[3]) * tanh(c);
  }
  return h;
}

std::unique_ptr<Case> make_loop(const std::string& name, const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  if (name == "scalar_loop") {
    return traced<1>([steps = sizes.at("steps").get<int64_t>()](Tensor x) { return scalar_loop(x, steps); }, in, way);
  }
  if (name == "newton") {
    return traced<1>([t = sizes.at("tolerance").get<float>()](Tensor x) { return newton(x, t); }, in, way);
  }
  if (name == "mandelbrot_unrolled") {
    return traced<2>([n = sizes.at("turns").get<int>()](Tensor a, Tensor b) { return mandelbrot_unrolled(a, b, n); }, in, way);
  }
  if (name == "mandelbrot_while") {
    return traced<2>([n = sizes.at("turns").get<int>()](Tensor a, Tensor b) { return mandelbrot_while(a, b, n); }, in, way);
  }
  if (name == "lstm_over_time") return traced<4>(lstm_over_time, in, way);
  return nullptr;
}

}  // namespace rows
