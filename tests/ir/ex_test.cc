// Expressions over the builder: the nodes that they make, what numbers become, and derivatives written in them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "compiler/ir/ex.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"
#include "etch/error.h"

namespace etch {
namespace {

/// The text of the graph that returns f(inputs of these types).
std::string text_of(std::initializer_list<Type> types, const std::function<Ex(std::vector<Ex>)>& f) {
  GraphBuilder builder;
  Emitter emitter(builder);
  std::vector<Ex> inputs;
  for (const Type& type : types) inputs.push_back({emitter, builder.input(type).value()});
  const Value output = f(inputs).value();
  return print(std::move(builder).finish({&output, 1}));
}

TEST(Expressions, MakeTheNodesThatTheyRead) {
  const Type x{DType::f32, {4}};
  EXPECT_EQ(text_of({x, x}, [](auto v) { return v[0] * (1 - v[1] * v[1]); }),
            "graph(%0: f32[4], %1: f32[4]) {\n"
            "  %2 = mul(%1, %1) : f32[4]\n"
            "  %3 = constant value=1 : f32[]\n"
            "  %4 = sub(%3, %2) : f32[4]\n"
            "  %5 = mul(%0, %4) : f32[4]\n"
            "  return %5\n"
            "}\n");
  EXPECT_EQ(text_of({x, x}, [](auto v) { return max(where(v[0] > 0, v[1], 0), -0.5); }),
            "graph(%0: f32[4], %1: f32[4]) {\n"
            "  %2 = constant value=0 : f32[]\n"
            "  %3 = greater(%0, %2) : bool[4]\n"
            "  %4 = where(%3, %1, %2) : f32[4]\n"
            "  %5 = constant value=-0.5 : f32[]\n"
            "  %6 = max(%4, %5) : f32[4]\n"
            "  return %6\n"
            "}\n");
  EXPECT_EQ(text_of({{DType::boolean, {4}}}, [](auto v) { return where(v[0], true, false); }),
            "graph(%0: bool[4]) {\n"
            "  %1 = constant value=true : bool[]\n"
            "  %2 = constant value=false : bool[]\n"
            "  %3 = where(%0, %1, %2) : bool[4]\n"
            "  return %3\n"
            "}\n");
}

TEST(Expressions, MoveAndReduce) {
  EXPECT_EQ(text_of({{DType::f32, {2, 3}}},
                    [](auto v) { return cast(broadcast(reshape(sum(v[0], {1}), {2, 1}), {2, 4}), DType::f64); }),
            "graph(%0: f32[2,3]) {\n"
            "  %1 = reduce(%0) kind=sum axes=[1] : f32[2]\n"
            "  %2 = reshape(%1) : f32[2,1]\n"
            "  %3 = broadcast(%2) : f32[2,4]\n"
            "  %4 = cast(%3) : f64[2,4]\n"
            "  return %4\n"
            "}\n");
}

TEST(Expressions, ANumberTakesTheDtypeBesideItIfItIsExactThere) {
  const auto with = [](DType dtype, auto number) {
    return [=] { return text_of({{dtype, {}}}, [&](auto v) { return v[0] == number; }); };
  };
  EXPECT_THAT(with(DType::f32, 0.1)(), testing::HasSubstr("constant value=0.1 : f32[]"));  // a floating number is rounded
  EXPECT_THAT(with(DType::u8, 255)(), testing::HasSubstr("constant value=255 : u8[]"));
  EXPECT_THAT(with(DType::i64, INT64_MAX)(), testing::HasSubstr("constant value=9223372036854775807 : i64[]"));
  EXPECT_THAT(with(DType::i32, -3.0)(), testing::HasSubstr("constant value=-3 : i32[]"));
  EXPECT_THAT(with(DType::boolean, true)(), testing::HasSubstr("constant value=true : bool[]"));
  EXPECT_THROW(with(DType::f32, 16777217)(), InternalError);
  EXPECT_THROW(with(DType::f64, INT64_MAX)(), InternalError);
  EXPECT_THROW(with(DType::u8, -1)(), InternalError);
  EXPECT_THROW(with(DType::u8, 256)(), InternalError);
  EXPECT_THROW(with(DType::i32, 0.5)(), InternalError);
  EXPECT_THROW(with(DType::i32, NAN)(), InternalError);
  EXPECT_THROW(with(DType::boolean, 2)(), InternalError);
}

TEST(Expressions, ThatAreIllTypedOrOfNumbersAloneAreBugs) {
  const Type f{DType::f32, {4}}, i{DType::i32, {4}};
  EXPECT_THROW(text_of({f, i}, [](auto v) { return v[0] + v[1]; }), InternalError);
  EXPECT_THROW(text_of({f}, [](auto v) { return where(v[0] > 0, 1, 0); }), InternalError);
}

// Derivatives as the gradient of an op will be written: of a, b, the result r and the cotangent g.

/// g, summed over the axes along which x was broadcast.
Ex unbroadcast(const Ex& g, const Shape& shape) {
  Dims axes;
  const int lead = g.shape().rank() - shape.rank();
  for (int axis = 0; axis < g.shape().rank(); ++axis) {
    const bool repeated = axis < lead || (shape[axis - lead] == 1 && g.shape()[axis] != 1);
    if (repeated) axes.push_back(axis);
  }
  return axes.empty() ? g : reshape(sum(g, axes), shape);
}

struct Point {
  Ex a, b, r, g;
};

using Gradient = Ex (*)(const Point&);

// As a column of the op table would be: an expression over these names.
#define GRADIENT(expression)                                \
  [](const Point& at) -> Ex {                               \
    [[maybe_unused]] const auto& [a, b, r, g] = at;         \
    return expression;                                      \
  }

struct Derivative {
  Op op;
  Gradient of_a, of_b;
};

const Derivative kDerivatives[] = {
    {Op::tanh, GRADIENT(g * (1 - r * r)), nullptr},
    {Op::mul, GRADIENT(g * b), GRADIENT(g * a)},
    {Op::pow, GRADIENT(where(b == 0, 0, g * (b * pow(a, b - 1)))), GRADIENT(g * where(a > 0, r * log(a), 0))},
};

Literal literal_of(const Shape& shape, std::initializer_list<double> values) {
  Literal literal{{DType::f64, shape}, std::vector<std::byte>(values.size() * sizeof(double))};
  std::memcpy(literal.bytes.data(), values.begin(), literal.bytes.size());
  return literal;
}

std::vector<double> values_of(const Literal& literal) {
  std::vector<double> values(literal.bytes.size() / sizeof(double));
  std::memcpy(values.data(), literal.bytes.data(), literal.bytes.size());
  return values;
}

/// The op's result, and the derivatives of its weighted sum, which a second graph computes.
struct Outcome {
  std::vector<double> result;
  std::vector<std::vector<double>> gradients;
};

Outcome run(const Derivative& derivative, const std::vector<Literal>& operands, const Literal& g) {
  GraphBuilder builder;
  Emitter emitter(builder);
  std::vector<Ex> x;
  for (const Literal& operand : operands) x.push_back({emitter, builder.input(operand.type).value()});
  const Ex cotangent(emitter, builder.input(g.type).value());
  const bool binary = x.size() == 2;
  const Ex r = binary ? Ex::make(derivative.op, {x[0], x[1]}) : Ex::make(derivative.op, {x[0]});
  std::vector<Value> outputs{r.value()};
  const Ex b = binary ? x[1] : Ex();
  const Point at{x[0], b, r, cotangent};
  const Shape shape_a = x[0].shape();  // copies: a reference to a type holds until something is made
  outputs.push_back(unbroadcast(derivative.of_a(at), shape_a).value());
  if (binary) {
    const Shape shape_b = b.shape();
    outputs.push_back(unbroadcast(derivative.of_b(at), shape_b).value());
  }
  const Graph graph = std::move(builder).finish(outputs);
  std::vector<Literal> inputs = operands;
  inputs.push_back(g);
  const std::vector<Literal> values = interpret(graph, inputs).value();
  Outcome outcome{values_of(values[0]), {}};
  for (size_t i = 1; i < values.size(); ++i) outcome.gradients.push_back(values_of(values[i]));
  return outcome;
}

TEST(DerivativesInExpressions, AgreeWithDifferences) {
  const Literal a = literal_of({2, 3}, {0.3, 1.7, 2.5, 0.9, 0.2, 3.1}), row = literal_of({3}, {1.5, -0.7, 2.0});
  const Literal g = literal_of({2, 3}, {1.0, -2.0, 0.5, 0.25, 3.0, -1.0});
  for (const Derivative& derivative : kDerivatives) {
    SCOPED_TRACE(name(derivative.op));
    const std::vector<Literal> operands = derivative.of_b ? std::vector{a, row} : std::vector{a};
    const Outcome at = run(derivative, operands, g);
    for (size_t operand = 0; operand < operands.size(); ++operand) {
      ASSERT_EQ(at.gradients[operand].size(), values_of(operands[operand]).size());
      for (size_t i = 0; i < at.gradients[operand].size(); ++i) {
        constexpr double kStep = 1e-6;
        const auto weighted = [&](double step) {
          std::vector<Literal> moved = operands;
          double value = values_of(moved[operand])[i] + step;
          std::memcpy(moved[operand].bytes.data() + i * sizeof value, &value, sizeof value);
          const std::vector<double> result = run(derivative, moved, g).result, weights = values_of(g);
          double sum = 0;
          for (size_t k = 0; k < result.size(); ++k) sum += result[k] * weights[k];
          return sum;
        };
        const double difference = (weighted(kStep) - weighted(-kStep)) / (2 * kStep);
        EXPECT_NEAR(at.gradients[operand][i], difference, 1e-7 * (1 + std::abs(difference))) << operand << ", " << i;
      }
    }
  }
}

}  // namespace
}  // namespace etch
