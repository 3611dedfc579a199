// Every line of the algebra, by itself, on every dtype that it fits: both sides have the same bits, special values
// included, and the line matches what it says.
#include <gtest/gtest.h>

#include <map>

#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"
#include "compiler/passes/algebra_rules.h"
#include "etch/error.h"
#include "tools/harness.h"

namespace etch {
namespace {

constexpr int64_t kElements = 4096;
constexpr double kNumbers[] = {0.0, -0.0, 1, -1, 2, -4, 0.125, 3, 100, 1e30};

/// Values for the variables of a line, of one dtype but for masks.
class Example {
 public:
  Example(const Pattern& pattern, DType dtype, double number) : maker_(builder_) {
    for (const Pattern::Term& term : pattern.terms()) {
      if (term.is != Pattern::Term::Is::variable || bindings_[term.variable].id >= 0) continue;
      const Value value = make(term.kind, dtype, number).value();
      fits_ &= is_kind(term.kind, maker_, value);
      bindings_[term.variable] = value;
      number = number * 2 + 1;  // two constants differ
    }
  }

  /// Every variable has a value of its kind.
  bool fits() const { return fits_; }

  /// The pattern over these values, or none if it has no type.
  Ex expression(const Pattern& pattern, DType root) {
    try {
      return instantiate(pattern, maker_, bindings_, {root, {kElements}});
    } catch (const InternalError&) {
      return {};
    }
  }

  Graph graph_of(const Ex& left, const Ex& right) && {
    const Value outputs[] = {left.value(), right.value()};
    return std::move(builder_).finish(outputs);
  }

 private:
  Ex make(Kind kind, DType dtype, double number) {
    const Type type{dtype, {kElements}};
    switch (kind) {
      case Kind::number:
      case Kind::not_zero:
      case Kind::power_of_two: return constant(maker_, bits_of(number, dtype), type);
      case Kind::mask: return {maker_, builder_.input({DType::boolean, {kElements}}).value()};
      case Kind::whole: {
        const Ex x(maker_, builder_.input(type).value());
        return is_floating(dtype) ? floor(x) : x;
      }
      default: return {maker_, builder_.input(type).value()};
    }
  }

  GraphBuilder builder_;
  Emitter maker_;
  Bindings bindings_;
  bool fits_ = true;
};

std::string text_of(const Pattern& pattern) {
  std::string text;
  for (const Pattern::Term& term : pattern.terms()) {
    switch (term.is) {
      case Pattern::Term::Is::op: text += name(term.op); break;
      case Pattern::Term::Is::variable: text += '$' + std::to_string(term.variable); break;
      case Pattern::Term::Is::number: text += std::to_string(term.number); break;
      case Pattern::Term::Is::truth: text += term.number != 0 ? "true" : "false"; break;
    }
    text += ' ';
  }
  return text;
}

/// The dtype of the line's result: bool where the op on top says so.
DType result_of(const Pattern& pattern, DType dtype) {
  switch (info(pattern.root().op).rule) {
    case TypeRule::equality:
    case TypeRule::ordering:
    case TypeRule::predicate:
    case TypeRule::logical: return DType::boolean;
    default: return dtype;
  }
}

class Algebra : public testing::TestWithParam<size_t> {
 protected:
  const Equality& line_ = algebra()[GetParam()];
};

TEST_P(Algebra, BothSidesHaveTheSameBits) {
  int examples = 0;
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    for (double number : kNumbers) {
      Example example(line_.expression, dtype, number);
      if (!example.fits()) continue;
      const DType root = result_of(line_.expression, dtype);
      const Ex left = example.expression(line_.expression, root), right = example.expression(line_.equal, root);
      if (left.is_none() || left.dtype() != root) continue;
      ASSERT_FALSE(right.is_none()) << "the right side has no type on " << name(dtype);
      ASSERT_TRUE(match(line_.expression, left.maker(), left.node().op, left.node().operands))
          << "the line does not match itself on " << name(dtype);
      const Graph graph = std::move(example).graph_of(left, right);
      std::mt19937_64 random(20261125 + i);
      const std::vector<Literal> values = interpret(graph, random_inputs(graph, Draw::special, random)).value();
      EXPECT_TRUE(values[0] == values[1]) << text_of(line_.expression) << " = " << text_of(line_.equal) << "on "
                                          << print(graph) << bit_difference({&values[0], 1}, {&values[1], 1});
      ++examples;
    }
  }
  EXPECT_GT(examples, 0) << text_of(line_.expression) << "fits no dtype";
}

INSTANTIATE_TEST_SUITE_P(Lines, Algebra, testing::Range(size_t{0}, algebra().size()));

TEST(AlgebraLines, AreAllDifferent) {
  std::map<std::string, size_t> first;
  for (size_t i = 0; i < algebra().size(); ++i) {
    const Pattern& expression = algebra()[i].expression;
    std::string text = text_of(expression);
    for (const Pattern::Term& term : expression.terms()) text += std::to_string(static_cast<int>(term.kind));
    EXPECT_TRUE(first.emplace(text, i).second) << "lines " << first[text] << " and " << i << " are both " << text;
  }
}

}  // namespace
}  // namespace etch
