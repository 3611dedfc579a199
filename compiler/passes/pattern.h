// Patterns: expressions of variables, and what matches them. With them a rule is two expressions that are equal.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "compiler/passes/rules.h"

namespace etch {

/// The values that a variable stands for.
enum class Kind : uint8_t {
  any,
  integer,
  unsigned_integer,
  floating,
  with_sign,     // floating or a signed integer
  mask,          // of bool
  whole,         // rounded to an integer, or cast from a dtype without fractions
  varying,       // not a constant
  number,        // a constant that is no NaN
  not_zero,      // a number, but no zero of floats
  power_of_two,  // a floating constant, normal as its reciprocal is, or a positive integer
};

/// True if the value is of the kind.
bool is_kind(Kind kind, const ExMaker& graph, Value value);

/// An expression of at most kMaxTerms variables, numbers and ops, made by the functions of OpFunctions. A number stands
/// for the constant with its bits: the zeros of floats differ; beside integers -0.0 is 0, and -1 is all bits set. A
/// bool stands for a constant of bool.
class Pattern : public OpFunctions<Pattern, Pattern> {
 public:
  static constexpr int kMaxTerms = 8;
  static constexpr int kMaxVariables = 24;

  /// One of the nodes of the expression, which stand in prefix order.
  struct Term {
    enum class Is : uint8_t { op, variable, number, truth } is = Is::number;
    Op op{};
    Kind kind{};
    uint8_t variable = 0;
    double number = 0;
  };

  constexpr Pattern() = default;
  constexpr Pattern(double number) { push_back({Term::Is::number, {}, {}, 0, number}); }  // NOLINT: converts
  constexpr Pattern(int number) : Pattern(static_cast<double>(number)) {}                 // NOLINT: converts
  constexpr Pattern(bool truth) { push_back({Term::Is::truth, {}, {}, 0, truth ? 1.0 : 0.0}); }  // NOLINT: converts

  /// The variable of this number, below kMaxVariables. Wherever it stands in a pattern it is the same value.
  static constexpr Pattern variable(int number, Kind kind) {
    Pattern pattern;
    pattern.push_back({Term::Is::variable, {}, kind, static_cast<uint8_t>(number), 0});
    return pattern;
  }

  static constexpr Pattern make(Op op, std::initializer_list<Pattern> operands) {
    Pattern pattern;
    pattern.push_back({Term::Is::op, op, {}, 0, 0});
    for (const Pattern& operand : operands) {
      for (const Term& term : operand.terms()) pattern.push_back(term);
    }
    return pattern;
  }

  constexpr std::span<const Term> terms() const { return {terms_.data(), static_cast<size_t>(size_)}; }
  constexpr const Term& root() const { return terms_[0]; }

 private:
  // A pattern that is too long is no constant expression.
  constexpr void push_back(const Term& term) { terms_.at(size_++) = term; }

  std::array<Term, kMaxTerms> terms_{};
  int size_ = 0;
};

/// Where `expression` stands, `equal` may: the same bits in every element.
struct Equality {
  Pattern expression;  // an op
  Pattern equal;       // of variables that stand in `expression`
};

/// What the variables of a pattern stand for; where unknown, an invalid value.
using Bindings = std::array<Value, Pattern::kMaxVariables>;

/// What makes an op with these operands the pattern, if something does.
std::optional<Bindings> match(const Pattern& pattern, const ExMaker& graph, Op op, std::span<const Value> operands);

/// The pattern's expression over the bindings, of this type: broadcast where its own shape is smaller.
Ex instantiate(const Pattern& pattern, ExMaker& maker, const Bindings& bindings, const Type& type);

}  // namespace etch
