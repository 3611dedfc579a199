// One order for what loops carry.
#pragma once

#include "frontend/capture/structure.h"

namespace etch::capture {

/// Gives what a loop carries and hands on the order of its first use, so that equal programs are equal graphs.
void sort_loop(RegionNode& loop);

}  // namespace etch::capture
