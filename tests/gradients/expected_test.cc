// Gradients against expected.txt, which TensorFlow computed (make_expected.py): ties, zeros, infinities and NaN too.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "compiler/ir/text.h"
#include "etch/etch.h"
#include "tests/gradients/differences.h"

namespace etch {
namespace {

struct Case {
  std::string name;
  int order = 1;
  std::string graph;
  std::vector<Type> types;  // of the inputs of a public function
  std::vector<std::string> inputs, weights, gradients;
};

std::vector<Case> read_cases() {
  std::ifstream file(ETCH_SOURCE_DIR "/tests/gradients/expected.txt");
  std::vector<Case> cases;
  std::string line;
  const auto rest = [&](size_t begin) { return line.size() > begin ? line.substr(begin) : std::string(); };
  while (std::getline(file, line)) {
    if (line.starts_with("#")) continue;
    if (line.starts_with("case ")) {
      const size_t order = line.rfind(" order=");
      cases.push_back({line.substr(5, order - 5), std::stoi(line.substr(order + 7)), {}, {}, {}, {}, {}});
    } else if (line.starts_with("types ")) {
      std::istringstream types(rest(6));
      for (std::string type; types >> type;) cases.back().types.push_back(*parse_type(type));
    } else if (line.starts_with("in")) {
      cases.back().inputs.push_back(rest(3));
    } else if (line.starts_with("weights")) {
      cases.back().weights.push_back(rest(8));
    } else if (line.starts_with("gradient")) {
      cases.back().gradients.push_back(rest(9));
    } else {
      cases.back().graph += line + "\n";
    }
  }
  return cases;
}

std::vector<double> parse_values(const std::string& text) {
  std::vector<double> values;
  std::istringstream words(text);
  for (std::string word; words >> word;) values.push_back(std::strtod(word.c_str(), nullptr));
  return values;
}

Literal parse_literal(const Type& type, const std::string& text) {
  const std::vector<double> values = parse_values(text);
  if (type.dtype == DType::f64) return literal_of(type.shape, values);
  Literal literal{type, {}};
  for (double value : values) literal.bytes.push_back(std::byte(value != 0));
  return literal;
}

// ---- The public functions -------------------------------------------------------------------------------------------

using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);

const std::map<std::string, Unary> kUnary = {
    {"relu", [](const Tensor& x) { return relu(x); }},
    {"relu6", [](const Tensor& x) { return relu6(x); }},
    {"leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.25); }},
    {"elu", [](const Tensor& x) { return elu(x); }},
    {"selu", [](const Tensor& x) { return selu(x); }},
    {"gelu", [](const Tensor& x) { return gelu(x); }},
    {"silu", [](const Tensor& x) { return silu(x); }},
    {"softsign", [](const Tensor& x) { return softsign(x); }},
    {"hard_sigmoid", [](const Tensor& x) { return hard_sigmoid(x); }},
    {"square", [](const Tensor& x) { return square(x); }},
    {"reciprocal", [](const Tensor& x) { return reciprocal(x); }},
    {"clip", [](const Tensor& x) { return clip(x, -1, 1); }},
    {"softmax", [](const Tensor& x) { return softmax(x, -1); }},
    {"log_softmax", [](const Tensor& x) { return log_softmax(x, -1); }},
    {"logsumexp", [](const Tensor& x) { return logsumexp(x, 1); }},
    {"norm", [](const Tensor& x) { return norm(x, 1); }},
    {"mean", [](const Tensor& x) { return mean(x, 1); }},
    {"variance", [](const Tensor& x) { return variance(x, 1); }},
    {"stddev", [](const Tensor& x) { return stddev(x, 1); }},
    {"gather", [](const Tensor& x) { return gather(x, (range(3) + 1) % 2 * 2); }},
    {"gather along axis 1", [](const Tensor& x) { return gather(x, 3 - 2 * sign(iota({2, 2}, 0) + iota({2, 2}, 1)), 1); }},
    {"scatter_add", [](const Tensor& x) { return scatter_add(zeros({2, 4}, DType::f64), (range(3) + 1) % 2, x); }},
    {"cumsum", [](const Tensor& x) { return cumsum(x, 1); }},
    {"cumsum exclusive", [](const Tensor& x) { return cumsum(x, 0, {.exclusive = true, .reverse = true}); }},
    {"sort", [](const Tensor& x) { return sort(x); }},
    {"scaled_dot_product_attention", [](const Tensor& x) { return scaled_dot_product_attention(x, x, x, {.causal = true}); }},
};

const std::map<std::string, Binary> kBinary = {
    {"divide_no_nan", [](const Tensor& a, const Tensor& b) { return divide_no_nan(a, b); }},
    {"multiply_no_nan", [](const Tensor& a, const Tensor& b) { return multiply_no_nan(a, b); }},
    {"xlogy", [](const Tensor& a, const Tensor& b) { return xlogy(a, b); }},
    {"xlog1py", [](const Tensor& a, const Tensor& b) { return xlog1py(a, b); }},
    {"xdivy", [](const Tensor& a, const Tensor& b) { return xdivy(a, b); }},
    {"squared_difference", [](const Tensor& a, const Tensor& b) { return squared_difference(a, b); }},
    {"einsum", [](const Tensor& a, const Tensor& b) { return einsum("ij,kj->ki", a, b); }},
    {"tensordot", [](const Tensor& a, const Tensor& b) { return tensordot(a, b, 0, 1); }},
};

/// The graph of the case, or the trace of the function that it names.
absl::StatusOr<Graph> graph_of(const Case& c) {
  if (!c.graph.empty()) return parse(c.graph);
  const TensorSpec spec{c.types[0].dtype, c.types[0].shape};
  const TensorSpec second{c.types.back().dtype, c.types.back().shape};
  if (c.types.size() == 1) {
    const auto traced = function([&](Tensor x) { return kUnary.at(c.name)(x); });
    return parse(traced.concrete(spec).text("trace"));
  }
  const auto traced = function([&](Tensor a, Tensor b) { return kBinary.at(c.name)(a, b); });
  return parse(traced.concrete(spec, second).text("trace"));
}

bool agree(double got, double expected) {
  if (std::isnan(expected)) return std::isnan(got);
  if (std::isinf(expected)) return got == expected;
  // What both of us compute by formulas that differ in their rounding.
  return std::abs(got - expected) <= 1e-12 * std::abs(expected) + 1e-290;
}

TEST(Expected, TensorFlowGivesTheSame) {
  const std::vector<Case> cases = read_cases();
  EXPECT_GT(cases.size(), 80u);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name + "\n" + c.graph);
    absl::StatusOr<Graph> graph = graph_of(c);
    ASSERT_TRUE(graph.ok()) << graph.status();
    std::vector<Literal> inputs;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      inputs.push_back(parse_literal(graph->type(graph->inputs()[i]), c.inputs[i]));
    }
    for (const std::string& weights : c.weights) {
      inputs.push_back(parse_literal(graph->type(graph->outputs()[0]), weights));
    }
    GradientGraph gradient = differentiate_all(*graph);
    for (int order = 2; order <= c.order; ++order) {
      // One more cotangent, of ones; one of the inputs' gradients is all that these cases have.
      const Type type = gradient.graph.type(gradient.graph.outputs()[0]);
      inputs.push_back(literal_of(type.shape, std::vector<double>(type.size(), 1)));
      gradient = differentiate(gradient.graph, gradient.graph.outputs(), gradient.graph.inputs().first(1));
    }
    const std::vector<Literal> got = outputs_of(gradient.graph, inputs);
    for (size_t i = 0; i < c.gradients.size(); ++i) {
      ASSERT_EQ(gradient.outputs[i].has_value(), c.gradients[i] != "none") << "input " << i;
      if (!gradient.outputs[i]) continue;
      const std::vector<double> values = values_of(got[*gradient.outputs[i]]);
      const std::vector<double> expected = parse_values(c.gradients[i]);
      ASSERT_EQ(values.size(), expected.size());
      for (size_t k = 0; k < values.size(); ++k) {
        EXPECT_TRUE(agree(values[k], expected[k]))
            << "input " << i << ", element " << k << " is " << values[k] << ", expected " << expected[k];
      }
    }
  }
}

}  // namespace
}  // namespace etch
