// describe: what a pass did, in a sentence for dumps and explain.
#pragma once

#include <string>

#include "compiler/ir/graph.h"

namespace etch {

/// Such as `pruned 2 nodes: %4 add (demo.cc:12), %5 exp (demo.cc:13); replaced 1 node: %7 mul (demo.cc:14) by 1 node:
/// %3 constant`; `no change` for equal graphs. Numbers are those of `before`, and of `after` behind `by`. Pruned are
/// nodes that no output needed; a node counts as replaced if `after` has no node left of the same op, attribute, type
/// and origin to match it.
std::string describe_change(const Graph& before, const Graph& after);

}  // namespace etch
