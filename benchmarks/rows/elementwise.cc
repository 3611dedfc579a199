// Workloads of single elements: chains, activations, random graphs, calls, large results.
#include <string>
#include <vector>

#include "benchmarks/rows/case.h"

namespace rows {
namespace {

struct Op {
  std::string name;
  size_t a, b;
};

Tensor applied(const Op& op, const std::vector<Tensor>& values) {
  const Tensor &a = values.at(op.a), &b = values.at(op.b);
  if (op.name == "add") return a + b;
  if (op.name == "sub") return a - b;
  if (op.name == "mul") return a * b;
  if (op.name == "max") return maximum(a, b);
  if (op.name == "min") return minimum(a, b);
  if (op.name == "tanh") return tanh(a);
  if (op.name == "sqrt_abs") return sqrt(abs(a));
  return sigmoid(a);
}

std::unique_ptr<Case> dag(const Sizes& sizes, const std::vector<Tensor>& inputs, Way way) {
  std::vector<Op> ops;
  for (const auto& op : sizes.at("ops")) ops.push_back({op.at(0), op.at(1), op.at(2)});
  return traced<6>(
      [ops](Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f) {
        std::vector<Tensor> values{a, b, c, d, e, f};
        for (const Op& op : ops) values.push_back(applied(op, values));
        return std::vector<Tensor>(values.end() - 4, values.end());
      },
      inputs, way);
}

std::tuple<Tensor, Tensor> black_scholes(Tensor spot, Tensor strike, Tensor years) {
  constexpr float kRate = 0.02f, kVolatility = 0.3f;
  const Tensor spread = kVolatility * sqrt(years);
  const Tensor d1 = (log(spot / strike) + (kRate + 0.5f * kVolatility * kVolatility) * years) / spread;
  const Tensor d2 = d1 - spread;
  const auto normal = [](const Tensor& d) { return 0.5f + 0.5f * erf(d * 0.70710678f); };
  const Tensor discounted = strike * exp(-kRate * years);
  const Tensor call = spot * normal(d1) - discounted * normal(d2);
  return {call, call - spot + discounted};
}

std::unique_ptr<Case> call_of(const std::vector<Tensor>& in, Way way) {
  if (in.size() == 1) return traced<1>([](Tensor a) { return a + 1.0f; }, in, way);
  if (in.size() == 4) return traced<4>([](Tensor a, Tensor b, Tensor c, Tensor d) { return a + b + c + d + 1.0f; }, in, way);
  return traced<20>(
      [](Tensor a, Tensor b, Tensor c, Tensor d, Tensor e, Tensor f, Tensor g, Tensor h, Tensor i, Tensor j, Tensor k,
         Tensor l, Tensor m, Tensor n, Tensor o, Tensor p, Tensor q, Tensor r, Tensor s, Tensor t) {
        return a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p + q + r + s + t + 1.0f;
      },
      in, way);
}

}  // namespace

std::unique_ptr<Case> make_elementwise(const std::string& name, const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  if (name == "axpy") return traced<3>([](Tensor a, Tensor x, Tensor y) { return a * x + y; }, in, way);
  if (name == "chain3") {
    return traced<3>([](Tensor x, Tensor y, Tensor z) { return (x * y + z) * (x - y) + z * 0.5f; }, in, way);
  }
  if (name == "chain10") {
    return traced<1>(
        [](Tensor x) {
          Tensor a = x * 1.5f + 0.5f;
          Tensor b = a * x - 2.0f;
          Tensor c = abs(b) * 0.25f;
          Tensor d = maximum(c, x) - b;
          return sqrt(abs(d));
        },
        in, way);
  }
  if (name == "gelu") {
    return traced<1>([](Tensor x) { return 0.5f * x * (1.0f + tanh(0.7978845608f * (x + 0.044715f * x * x * x))); }, in, way);
  }
  if (name == "swish") return traced<1>([](Tensor x) { return x / (1.0f + exp(-x)); }, in, way);
  if (name == "mish") return traced<1>([](Tensor x) { return x * tanh(log1p(exp(x))); }, in, way);
  if (name == "black_scholes") return traced<3>(black_scholes, in, way);
  if (name == "dag") return dag(sizes, in, way);
  if (name == "call") return call_of(in, way);
  if (name == "power") {
    return traced<1>(
        [exponent = sizes.at("exponent").get<int>()](Tensor x) {
          Tensor result = x;
          for (int i = 1; i < exponent; ++i) result = result * x;
          return result;
        },
        in, way);
  }
  if (name == "add_one") return traced<1>([](Tensor x) { return x + 1.0f; }, in, way);
  return nullptr;
}

}  // namespace rows
