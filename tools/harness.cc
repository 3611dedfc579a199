// What tests and tools share to run graphs in every way and to compare what comes out.
#include "tools/harness.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "frontend/dispatch.h"

namespace etch {
namespace {

template <class T>
T element(const Literal& literal, int64_t index) {
  T value;
  std::memcpy(&value, literal.bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

template <class T>
T special_value(std::mt19937_64& random) {
  using Limits = std::numeric_limits<T>;
  if constexpr (std::is_same_v<T, bool>) {
    return random() % 2;
  } else if constexpr (is_floating(dtype_of<T>)) {
    const T values[] = {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), T(0.0), -T(0.0),
                        Limits::denorm_min(), T(-77 * static_cast<double>(Limits::denorm_min())), Limits::max(),
                        Limits::lowest(), Limits::min(), T(1.0), T(-1.0), T(0.5), T(-2.5), T(88.7), T(-104.0), T(1e6),
                        T(1e9), T(3e-6), -Limits::quiet_NaN(), -Limits::denorm_min(), Limits::epsilon()};
    return values[random() % std::size(values)];
  } else {
    const T values[] = {Limits::max(), Limits::min(), T(0), T(1), T(2), static_cast<T>(-1), T(31), T(63), T(64),
                        T(Limits::max() - 1), T(3), T(7)};
    return values[random() % std::size(values)];
  }
}

template <class T>
T draw_value(Draw draw, std::mt19937_64& random) {
  if (draw == Draw::special && random() % 3 == 0) return special_value<T>(random);
  if constexpr (std::is_same_v<T, bool>) {
    return random() % 2;
  } else if constexpr (is_floating(dtype_of<T>)) {
    if (draw == Draw::whole) return static_cast<T>(static_cast<int>(random() % 9) - 4);
    if (draw == Draw::units) return static_cast<T>(static_cast<int>(random() % 3) - 1);
    return static_cast<T>(static_cast<double>(random() % 8001) / 1000 - 4);
  } else {
    if (draw == Draw::special && random() % 2) return static_cast<T>(random());
    return static_cast<T>(static_cast<int>(random() % 19) - 9);
  }
}

template <class T>
double ulp_distance(T a, T b, double absolute) {
  using Limits = std::numeric_limits<T>;
  const auto x = static_cast<double>(a), y = static_cast<double>(b);
  if (std::isnan(x) && std::isnan(y)) return 0;
  if (x == y) return 0;
  if (!std::isfinite(x) || !std::isfinite(y)) return std::numeric_limits<double>::infinity();
  if (std::fabs(x - y) < absolute) return 0;
  int exponent = 0;
  std::frexp(std::max(std::fabs(x), std::fabs(y)), &exponent);
  return std::ldexp(std::fabs(x - y), Limits::digits - std::max(exponent, Limits::min_exponent));
}

}  // namespace

Literal random_literal(const Type& type, Draw draw, std::mt19937_64& random) {
  Literal literal{type, std::vector<std::byte>(type.bytes())};
  dispatch(type.dtype, [&]<class T>() {
    for (int64_t i = 0; i < type.size(); ++i) {
      T value = draw_value<T>(draw, random);
      std::memcpy(literal.bytes.data() + i * sizeof(T), &value, sizeof(T));
    }
  });
  return literal;
}

std::vector<Literal> random_inputs(const Graph& graph, Draw draw, std::mt19937_64& random) {
  std::vector<Literal> inputs;
  for (Value input : graph.inputs()) inputs.push_back(random_literal(graph.type(input), draw, random));
  return inputs;
}

std::vector<Target> targets_that_run() {
  std::vector<Target> targets;
  for (const std::string& name : target_names()) {
    const Target& target = *find_target(name);
    bool known = std::find(targets.begin(), targets.end(), target) != targets.end();
    if (!known && missing_features(target).empty()) targets.push_back(target);
  }
  return targets;
}

std::vector<Literal> run_executable(const Executable& executable, const Graph& graph, std::span<const Literal> inputs,
                                    const RunOptions& run) {
  // Etch promises nothing of vectors' alignment, so memory is as a user's own may be: only aligned to its element.
  std::vector<const void*> input_pointers;
  for (const Literal& input : inputs) input_pointers.push_back(input.bytes.data());
  std::vector<Literal> outputs;
  for (Value output : graph.outputs()) {
    const Type& type = graph.type(output);
    outputs.push_back({type, std::vector<std::byte>(type.bytes(), std::byte{0xAB})});
  }
  std::vector<void*> output_pointers;
  for (Literal& output : outputs) output_pointers.push_back(output.bytes.data());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const int32_t input = executable.outputs[i].overwrites;
    if (input < 0) continue;
    outputs[i].bytes = inputs[input].bytes;
    output_pointers[i] = outputs[i].bytes.data();
    input_pointers[input] = outputs[i].bytes.data();
  }
  executable.run(input_pointers.data(), output_pointers.data(), run);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Output& output = executable.outputs[i];
    if (output.same_as == Output::SameAs::input) outputs[i].bytes = inputs[output.index].bytes;
    if (output.same_as == Output::SameAs::output) outputs[i].bytes = outputs[output.index].bytes;
  }
  return outputs;
}

std::vector<Value> float_outputs(const Graph& graph) {
  std::vector<Value> outputs;
  for (Value output : graph.outputs()) {
    if (is_floating(graph.type(output).dtype)) outputs.push_back(output);
  }
  return outputs;
}

GradientGraph differentiate_all(const Graph& graph) {
  return differentiate(graph, float_outputs(graph), graph.inputs());
}

absl::StatusOr<std::vector<Literal>> run_compiled(const Graph& graph, const CompileOptions& options,
                                                  std::span<const Literal> inputs, const RunOptions& run) {
  try {
    absl::StatusOr<Compiled> compiled = compile(graph, options);
    if (!compiled.ok()) return compiled.status();
    return run_executable(*compiled->executable, graph, inputs, run);
  } catch (const InternalError& error) {
    return absl::InternalError(error.what());  // a finding, which the fuzzer makes smaller
  } catch (const Error& error) {
    return absl::OutOfRangeError(error.what());
  }
}

Literal to_literal(const Tensor& tensor) {
  Literal literal{{tensor.dtype(), tensor.shape()}, {}};
  dispatch(tensor.dtype(), [&]<class T>() {
    auto bytes = std::as_bytes(tensor.data<T>());
    literal.bytes.assign(bytes.begin(), bytes.end());
  });
  return literal;
}

Tensor to_tensor(const Literal& literal) {
  return dispatch(literal.type.dtype, [&]<class T>() {
    return Tensor::from(std::span<const T>(reinterpret_cast<const T*>(literal.bytes.data()), literal.type.size()),
                        literal.type.shape);
  });
}

std::vector<Literal> run_eagerly(const Graph& graph, std::span<const Literal> inputs) {
  std::vector<Tensor> values;
  for (const Node& node : graph.nodes()) {
    if (place(node.op) == Place::input) {
      values.push_back(to_tensor(inputs[node.first_result]));
      continue;
    }
    std::vector<Operand> operands;
    for (Value operand : node.operands) operands.emplace_back(values[operand.id]);
    std::vector<const Operand*> pointers;
    for (const Operand& operand : operands) pointers.push_back(&operand);
    for (Tensor& result : detail::apply_all(node.op, pointers, graph.result_types(node), Location::current())) {
      values.push_back(std::move(result));
    }
  }
  std::vector<Literal> outputs;
  for (Value output : graph.outputs()) outputs.push_back(to_literal(values[output.id]));
  return outputs;
}

std::string element_text(const Literal& literal, int64_t index) {
  return dispatch(literal.type.dtype, [&]<class T>() -> std::string {
    T value = element<T>(literal, index);
    if constexpr (is_floating(dtype_of<T>)) {
      return absl::StrFormat("%.*g", std::numeric_limits<T>::max_digits10, static_cast<double>(value));
    } else {
      return std::to_string(value);
    }
  });
}

std::string bit_difference(std::span<const Literal> a, std::span<const Literal> b) {
  if (a.size() != b.size()) return absl::StrCat(a.size(), " outputs against ", b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(a[i].type == b[i].type)) {
      return absl::StrCat("output ", i, ": ", to_string(a[i].type), " against ", to_string(b[i].type));
    }
    int64_t size = size_of(a[i].type.dtype);
    for (int64_t k = 0; k < a[i].type.size(); ++k) {
      if (std::memcmp(a[i].bytes.data() + k * size, b[i].bytes.data() + k * size, size) == 0) continue;
      bool both_nan = dispatch(a[i].type.dtype, [&]<class T>() {
        T x = element<T>(a[i], k), y = element<T>(b[i], k);
        return x != x && y != y;
      });
      if (both_nan) continue;
      return absl::StrCat("output ", i, " of type ", to_string(a[i].type), ", element ", k, ": ", element_text(a[i], k),
                          " against ", element_text(b[i], k));
    }
  }
  return "";
}

double max_ulp(const Literal& a, const Literal& b, double absolute) {
  if (!(a.type == b.type)) return std::numeric_limits<double>::infinity();
  return dispatch(a.type.dtype, [&]<class T>() -> double {
    double worst = 0;
    for (int64_t i = 0; i < a.type.size(); ++i) {
      T x = element<T>(a, i), y = element<T>(b, i);
      if constexpr (is_floating(dtype_of<T>)) {
        worst = std::max(worst, ulp_distance(x, y, absolute));
      } else if (x != y) {
        return std::numeric_limits<double>::infinity();
      }
    }
    return worst;
  });
}

}  // namespace etch
