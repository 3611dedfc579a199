// Gradients: derivatives of values in others, as more nodes. The rules are the gradient column of ops.def and the
// functions `gradient` of the structural ops; this is the one engine that applies them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/ex.h"

namespace etch {

/// An op where it is differentiated. A cotangent is the derivative of the targets' weighted sum in a value, and has the
/// value's type.
struct Backward {
  absl::InlinedVector<Ex, 3> operands;
  absl::InlinedVector<Ex, 2> results;
  absl::InlinedVector<Ex, 2> cotangents;  // one for each result; none where no target depends on it
  absl::InlinedVector<Ex, 3> so_far;      // of an op with regions: what was added to the cotangent of each operand, or none
};

// Each op's struct has `Ex gradient(const Backward& at, int operand) const`: what the cotangents of the results add to
// that of an operand of floats, in the operand's type. It is linear in the cotangents, which it only scales and moves,
// so that derivatives of gradients, and forward mode, follow. An op with regions has `gradients(at)` instead: for each
// operand its cotangent so far with what the op adds, or none, so that what its regions add is added in the order of ops.

/// Nodes begin..end, the last one not included.
struct NodeRange {
  int begin = 0;
  int end = 0;
};

/// Derivatives that are not those of ops: of the stand-ins among events (Events::stand_in) that were given one.
class CustomGradients {
 public:
  /// What the cotangents of a stand-in's results, some of them none, add to those of its operands: one for each, of its
  /// type, or none. Nothing for a stand-in that has no derivative of its own. `made` are the groups of new nodes so far.
  virtual std::optional<std::vector<Ex>> differentiate(int node, std::span<const Ex> cotangents,
                                                       std::span<const NodeRange> made) = 0;

 protected:
  ~CustomGradients() = default;
};

/// What to differentiate in a list of nodes.
struct Derivation {
  std::span<const Value> targets;
  std::span<const Value> cotangents;  // what weighs each target's elements: one for each, of its type
  std::span<const Value> sources;
  /// Stretches of nodes that count as one op: what they add to the cotangent of a value made before them is summed
  /// first. They nest or lie apart.
  std::span<const NodeRange> groups = {};
  /// Per node whether derivatives pass through it; through all that have one where it is empty.
  std::vector<bool> recorded = {};
  CustomGradients* custom = nullptr;  // may be asked for stand-ins
  int begin = 0;  // the first node that is looked at: derivatives pass through none before it
  std::span<const Value> so_far = {};  // what the cotangent of each source begins with, or none; empty for none at all
};

/// What differentiating made.
struct Gradients {
  std::vector<std::optional<Value>> values;  // of each source, or none if nothing adds to it
  std::vector<NodeRange> groups;  // stretches of new nodes: those of each differentiated node, and those of each group
};

/// The cotangent of each source; differentiates no node that is not on the way. Contributions to a cotangent are added
/// in reverse order of the nodes that they come from, those of one node in the order of its operands; the first one is
/// taken as it is. Inputs count as made before all nodes, wherever they stand. New nodes have the origin of the node
/// that they come from.
Gradients make_gradients(ExMaker& maker, const Derivation& derivation);

struct DifferentiateOptions {
  bool zeros = false;                // a source without a gradient gets +0 everywhere
  std::span<const Value> given = {}; // values of the graph that the new graph takes and does not compute again
  std::vector<bool> so_far = {};     // per source: its cotangent begins with an input of the new graph, behind the others
};

/// A graph of derivatives.
struct GradientGraph {
  Graph graph;
  std::vector<std::optional<int>> outputs;  // which one is that of each source (forward mode: of each target), or none
};

/// Reverse mode: the gradients of the targets in the sources, all of them values of the graph. The new graph takes the
/// inputs of the graph, then the given values, then a cotangent for each target, then what cotangents of sources begin
/// with; it computes nothing that the gradients do not need.
GradientGraph differentiate(const Graph& graph, std::span<const Value> targets, std::span<const Value> sources,
                            const DifferentiateOptions& options = {});

/// Forward mode: what the targets change by where the sources change by tangents. The new graph takes the inputs of the
/// graph, then a tangent for each source. It is the derivative of reverse mode in its cotangents.
GradientGraph differentiate_forward(const Graph& graph, std::span<const Value> targets, std::span<const Value> sources);

/// True if a derivative passes from the source to one of the targets. `recorded` is that of Derivation.
bool has_gradient(const Nodes& nodes, std::span<const Value> targets, Value source, const std::vector<bool>& recorded);

/// An operand through which no derivative passes, though it leads from a source to a target.
struct BrokenEdge {
  int node = 0;
  int operand = 0;
  std::string reason;  // which follows the op's name
};

/// All places where the ways from a source to the targets end, in the order of the nodes. `recorded` is that of
/// Derivation.
std::vector<BrokenEdge> broken_edges(const Nodes& nodes, std::span<const Value> targets, Value source,
                                     const std::vector<bool>& recorded = {});

/// Why the source has no gradient, in a line, such as `floor (demo.cc:3) is constant between whole numbers`.
std::string why_no_gradient(const Nodes& nodes, std::span<const Value> targets, Value source,
                            const std::vector<bool>& recorded = {});

}  // namespace etch
