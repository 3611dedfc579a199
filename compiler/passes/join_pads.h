// join_pads: the sum of parts that lie beside each other, each padded with zeros, is their concat.
#pragma once

#include "compiler/passes/pass.h"

namespace etch {

/// A chain of additions of two or more zero-padded parts that do not overlap along one axis, and lie alike along the others,
/// becomes their concat, in the order of their places, with zeros where none lies. Such chains are the gradients of slices,
/// as of the steps of a loop over time; added one by one, each costs a pass over the whole sum. A part of floats gets + 0, for
/// that is what the zeros of the other parts do to it: -0 becomes +0. What is no such part may begin the chain.
absl::StatusOr<Graph> join_pads(Graph graph);

}  // namespace etch
