// Which states lie on cycles.
#pragma once

#include <span>
#include <vector>

#include "frontend/capture/learn.h"

namespace etch::capture {

/// For each node of a graph with up to two successors the number of the strongly connected part that it lies in; -1 for one
/// that no way leads back to.
std::vector<int32_t> cycles_of(std::span<const State> states);

}  // namespace etch::capture
