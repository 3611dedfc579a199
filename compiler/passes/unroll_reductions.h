// unroll_reductions: reductions over a few elements become elementwise ops.
#pragma once

#include "compiler/passes/pass.h"

namespace etch {

/// Replaces a reduce along one short axis by slices of its operand and elementwise ops, in the order of the reduction's
/// tree (kernel.h), so that the bits stay. Where: at most 16 elements, nothing else reads the operand, and what it is
/// computed from is small enough to be computed once per element. Along the last axis, where a slice is a strided load,
/// only 4 elements, or an operand that is computed from smaller values (the differences of all pairs): a kernel would
/// use a few of its lanes and, there, have the operand stored first. argmax and argmin stay.
absl::StatusOr<Graph> unroll_reductions(Graph graph);

}  // namespace etch
