// What the struct of a structural op must have: fields, traits, inference, oracle, gradient, equality. By its place it
// has one more: splat `bits`, index `index_axis`, movement `movement`, boxes `boxes`, indexed `indexed_axis`, reduction
// `reduction`, call `call`.
// Ops with regions: see region_op.h.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/ir/fields.h"
#include "compiler/ir/literal.h"
#include "compiler/ir/op.h"
#include "compiler/ir/placing.h"
#include "compiler/ir/type.h"

namespace etch {

struct Backward;
class Ex;
class Inference;

/// Any number of operands, at least one.
inline constexpr int kAnyArity = -1;
/// The same, or none.
inline constexpr int kAnyArityOrNone = -2;

enum class ResultType : uint8_t {
  inferred,  // follows from the operands and the fields
  given,     // says what the op does
};

struct Traits {
  int arity;
  ResultType type;
  Place place;
  int cost;              // see cost_of
  bool adds_up = false;  // a library function that sums: see computes_wide
};

// An op is an aggregate in namespace etch::op. Its fields have types that fields.h knows, and are printed, parsed, hashed,
// compared and drawn at random by reflection. Its members are
//
//   static constexpr Traits kTraits{arity, result type, place, cost};
//   absl::StatusOr<Type> infer(const Inference& in) const;      // Types with several results
//   Literal evaluate(Literals operands, const Type& type) const;  // the oracle: plain loops, on legal operands. With
//     several results: std::vector<Literal> evaluate(Literals operands, std::span<const Type> types) const
//   Ex gradient(const Backward& at, int operand) const;          // see gradient.h. Where an op has none, in its place
//     static constexpr std::string_view kNoGradient = "why", which follows the op's name: "reads bits"
//   bool operator==(const Struct&) const = default;
//   void make_canonical(const Type& type);                      // optional: equal ops get equal fields
//   absl::Status check(Literals operands) const;                // optional: OutOfRange for elements that are errors;
//     evaluate is not called on those

}  // namespace etch
