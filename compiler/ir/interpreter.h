// The oracle: a slow, plain evaluation of graphs, independent of passes, schedule and code generation.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"

namespace etch {

/// A tensor in plain memory: row-major bytes.
struct Literal {
  Type type;
  std::vector<std::byte> bytes;

  bool operator==(const Literal&) const = default;  // by bits
};

/// The outputs of the graph on these inputs. Floating sums and products accumulate in long double and round once; ops
/// marked approximate are computed in long double and rounded; exact ops have the one right answer.
absl::StatusOr<std::vector<Literal>> interpret(const Graph& graph, std::span<const Literal> inputs);

}  // namespace etch
