// The interpreter against expected.txt, which NumPy, mpmath and Python's integers computed (make_expected.py).
#include "compiler/ir/interpreter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>

#include "compiler/ir/text.h"

namespace etch {
namespace {

struct Case {
  std::string name;
  int64_t ulp = 0;
  std::string graph;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

std::vector<Case> read_cases() {
  std::ifstream file(ETCH_SOURCE_DIR "/tests/ir/expected.txt");
  std::vector<Case> cases;
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("#")) continue;
    if (line.starts_with("case ")) {
      const size_t ulp = line.rfind(" ulp=");
      cases.push_back({line.substr(5, ulp - 5), std::stoll(line.substr(ulp + 5)), {}, {}, {}});
    } else if (line.starts_with("in")) {
      cases.back().inputs.push_back(line.substr(2));
    } else if (line.starts_with("out")) {
      cases.back().outputs.push_back(line.substr(3));
    } else {
      cases.back().graph += line + "\n";
    }
  }
  return cases;
}

template <class T>
T parse_value(const std::string& text) {
  if constexpr (is_floating(dtype_of<T>)) {
    return static_cast<T>(std::strtod(text.c_str(), nullptr));  // the file's numbers are exact
  } else if constexpr (std::is_unsigned_v<T>) {
    return static_cast<T>(std::stoull(text));
  } else {
    return static_cast<T>(std::stoll(text));
  }
}

Literal parse_literal(const Type& type, const std::string& text) {
  Literal literal{type, {}};
  std::istringstream words(text);
  std::string word;
  dispatch(type.dtype, [&]<class T>() {
    while (words >> word) {
      const T value = parse_value<T>(word);
      const auto* bytes = reinterpret_cast<const std::byte*>(&value);
      literal.bytes.insert(literal.bytes.end(), bytes, bytes + sizeof value);
    }
  });
  return literal;
}

/// The place of a float in the order of all floats; both zeros have place 0.
template <class T>
int64_t place(T value) {
  using Bits = std::conditional_t<sizeof(T) == 2, int16_t, std::conditional_t<sizeof(T) == 4, int32_t, int64_t>>;
  const auto bits = static_cast<Bits>(to_bits(value));
  return bits < 0 ? int64_t{std::numeric_limits<Bits>::min()} - bits : bits;
}

template <class T>
bool agree(T got, T expected, int64_t ulp) {
  if constexpr (is_floating(dtype_of<T>)) {
    if (expected != expected) return got != got;
    if (ulp == 0) return to_bits(got) == to_bits(expected);
    const bool same_sign = std::signbit(static_cast<double>(got)) == std::signbit(static_cast<double>(expected));
    if (got == expected) return same_sign;
    return got == got && std::abs(place(got) - place(expected)) <= ulp;
  } else {
    return got == expected;
  }
}

template <class T>
auto printable(T value) {
  if constexpr (computes_itself(dtype_of<T>)) {
    return +value;
  } else {
    return static_cast<float>(value);
  }
}

void expect_agreement(const Literal& got, const Literal& expected, int64_t ulp) {
  ASSERT_EQ(got.type, expected.type);
  ASSERT_EQ(got.bytes.size(), expected.bytes.size());
  dispatch(got.type.dtype, [&]<class T>() {
    for (size_t i = 0; i < got.bytes.size() / sizeof(T); ++i) {
      T a;
      T b;
      std::memcpy(&a, got.bytes.data() + i * sizeof(T), sizeof(T));
      std::memcpy(&b, expected.bytes.data() + i * sizeof(T), sizeof(T));
      EXPECT_TRUE(agree(a, b, ulp)) << "element " << i << " is " << std::hexfloat << printable(a) << ", expected "
                                    << printable(b);
    }
  });
}

TEST(Interpreter, AgreesWithNumPyAndMpmath) {
  const std::vector<Case> cases = read_cases();
  EXPECT_GT(cases.size(), 400u);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name + "\n" + c.graph);
    const absl::StatusOr<Graph> graph = parse(c.graph);
    ASSERT_TRUE(graph.ok()) << graph.status();
    ASSERT_EQ(graph->inputs().size(), c.inputs.size());
    ASSERT_EQ(graph->outputs().size(), c.outputs.size());
    std::vector<Literal> inputs;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      inputs.push_back(parse_literal(graph->type(graph->inputs()[i]), c.inputs[i]));
    }
    const absl::StatusOr<std::vector<Literal>> outputs = interpret(*graph, inputs);
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    for (size_t i = 0; i < c.outputs.size(); ++i) {
      expect_agreement((*outputs)[i], parse_literal(graph->type(graph->outputs()[i]), c.outputs[i]), c.ulp);
    }
  }
}

TEST(Interpreter, ExpectedValuesCoverEveryOp) {
  std::string all;
  for (const Case& c : read_cases()) all += c.graph;
  for (int i = 0; i < kNumOps; ++i) {
    const auto op = static_cast<Op>(i);
    if (op == Op::input) continue;
    const std::string use = "= " + std::string(name(op));
    EXPECT_TRUE(all.find(use + "(") != all.npos || all.find(use + " ") != all.npos) << name(op);
  }
}

Literal vector_of(std::vector<float> values) {
  Literal literal{{DType::f32, {static_cast<int64_t>(values.size())}}, std::vector<std::byte>(4 * values.size())};
  std::memcpy(literal.bytes.data(), values.data(), literal.bytes.size());
  return literal;
}

const char kSum[] = "graph(%0: f32[2], %1: f32[2]) {\n%2 = add(%0, %1) : f32[2]\nreturn %2, %0, %2\n}";

TEST(Interpreter, ReturnsInputsAndRepeatedOutputs) {
  const Graph graph = parse(kSum).value();
  const Literal inputs[] = {vector_of({1, 2}), vector_of({10, 20})};
  const auto outputs = interpret(graph, inputs).value();
  EXPECT_EQ(outputs, (std::vector{vector_of({11, 22}), vector_of({1, 2}), vector_of({11, 22})}));
}

TEST(Interpreter, RejectsAWrongNumberOfInputs) {
  const Literal inputs[] = {vector_of({1, 2})};
  EXPECT_EQ(interpret(parse(kSum).value(), inputs).status().message(), "the graph takes 2 inputs, not 1");
}

TEST(Interpreter, RejectsAnInputOfAnotherType) {
  const Literal inputs[] = {vector_of({1, 2}), vector_of({1, 2, 3})};
  EXPECT_EQ(interpret(parse(kSum).value(), inputs).status().message(), "input 1 is f32[2], not f32[3]");
}

TEST(Interpreter, RejectsAnInputWithTooFewBytes) {
  Literal inputs[] = {vector_of({1, 2}), vector_of({1, 2})};
  inputs[1].bytes.pop_back();
  EXPECT_EQ(interpret(parse(kSum).value(), inputs).status().message(), "input 1 needs 8 bytes, not 7");
}

TEST(Interpreter, SkipsWhatNoOutputNeeds) {
  const Graph graph = parse("graph(%0: f32[2]) {\n%1 = iota axis=0 : u8[70368744177664]\nreturn %0\n}").value();
  const Literal input = vector_of({1, 2});
  EXPECT_EQ(interpret(graph, {&input, 1}).value(), std::vector{input});
}

TEST(Interpreter, ReadsAnyByteButZeroAsTrue) {
  const Graph graph = parse("graph(%0: bool[2]) {\n%1 = logical_not(%0) : bool[2]\nreturn %1\n}").value();
  const Literal input{{DType::boolean, {2}}, {std::byte{2}, std::byte{0}}};
  EXPECT_EQ(interpret(graph, {&input, 1}).value()[0].bytes, (std::vector{std::byte{0}, std::byte{1}}));
}

}  // namespace
}  // namespace etch
