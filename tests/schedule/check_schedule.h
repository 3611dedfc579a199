// Walks a schedule address by address and finds what no kernel may do.
#pragma once

#include <string>

#include "compiler/schedule/schedule.h"

namespace etch {

/// What is wrong with a schedule, or empty: a malformed program, an access outside its buffer, an element that is read
/// before it was written or after another buffer of the arena overwrote it, an element of an output that is not written.
/// Visits every access of every element, so for small sizes only.
std::string check_schedule(const Schedule& schedule, const Graph& graph);

}  // namespace etch
