// The text form of graphs, both ways: parse(print(g)) == g.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"

namespace etch {

/// The graph as text, one node a line:
///
///   graph(%0: f32[8,4], %1: f32[]) {
///     %2 = constant value=0.5 : f32[]
///     %3 = mul(%0, %2) : f32[8,4]        // demo.cc:12
///     %4 = reduce(%3) kind=sum axes=[1] : f32[8]   // demo.cc:13 in softmax
///     return %3, %4
///   }
///
/// A region stands below its op in braces, as a graph whose values are numbered anew:
///
///   %3 = cond(%2; %0) : f32[8] {   // demo.cc:12
///     then(%0: f32[8]) {
///       return %0
///     }
///     otherwise(%0: f32[8]) {
///       %1 = neg(%0) : f32[8]
///       return %1
///     }
///   }
///
/// Floats print in the fewest digits that read back to the same bits; NaNs and infinities as nan, nan:0x7fc00001, inf,
/// -inf.
std::string print(const Graph& graph);

/// One node as `%3 = mul(%0, %2) : f32[8,4]`, without its origin, and of regions the signatures only. A node with several
/// results names them all: `%3, %4 = top_k(%2) k=5 : f32[5], i64[5]`.
std::string print(const Graph& graph, const Node& node);

/// The graph that a text describes; comments after the type are origins and may be missing, lines that start with `//`
/// are skipped. Anything malformed or ill-typed is an InvalidArgument status that starts with `LINE:COLUMN:`. A graph
/// whose nodes repeat is accepted: equal nodes are merged and numbers in the text need not be consecutive.
absl::StatusOr<Graph> parse(std::string_view text);

/// A type such as `f32[8,4]`.
absl::StatusOr<Type> parse_type(std::string_view text);

}  // namespace etch
