// Small kernels of equal programs next to each other, so that they can go out as one parallel loop.
#pragma once

#include <vector>

#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// The kernels of a schedule in an order in which small ones of equal programs that do not wait for each other stand
/// together, as far as memory that the arena has anyway holds what they read until then. A kernel only moves back, behind
/// nothing that waits for it, and behind no kernel that overwrites an input it reads. Small is what is not worth splitting.
std::vector<int> order_together(const Schedule& schedule);

}  // namespace etch::schedule
