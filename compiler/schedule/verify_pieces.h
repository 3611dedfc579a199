// The verifier of the pieces of a loop.
#pragma once

#include <string>

#include "compiler/schedule/schedule.h"

namespace etch {

/// The pieces of a loop run at the same time: each writes other elements, and reads none that another one writes. Empty if that
/// holds for all loops of the schedule. Takes two bytes for each element that pieces write.
std::string check_pieces(const Schedule& schedule, const Graph& graph);

}  // namespace etch
