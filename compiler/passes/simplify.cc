// simplify: all rules, in the order that asks the cheapest question first.
#include "compiler/passes/simplify.h"

#include "compiler/passes/algebra_rules.h"
#include "compiler/passes/fold.h"
#include "compiler/passes/movement_rules.h"

namespace etch {

absl::StatusOr<Graph> simplify(Graph graph) {
  static constexpr Rewriter::Rule kRules[] = {fold_rule, movement_rule, hoist_rule, algebra_rule};
  return apply_rules(std::move(graph), kRules, true);
}

}  // namespace etch
