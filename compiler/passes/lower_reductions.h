// lower_reductions: makes every reduce reduce one axis.
#pragma once

#include "compiler/passes/pass.h"

namespace etch {

/// A reduce over several axes becomes one reduce per maximal run of adjacent reduced axes: the run is reshaped to one
/// axis first, and the innermost run goes first. Which kernels run, and so the tree of every sum, depends on the
/// shape and the axes alone; eager one-node graphs take this pass too and get the same bits. Afterwards every reduce
/// has one axis. An argmax or argmin of all elements of a long row becomes those of its pieces, and of what is best in each, so that
/// several threads share it.
absl::StatusOr<Graph> lower_reductions(Graph graph);

}  // namespace etch
