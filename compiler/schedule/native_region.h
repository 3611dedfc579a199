// Control flow on small values as one kernel, whose loops carry them in registers.
#pragma once

#include <optional>
#include <string>

#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// Values of such a kernel have at most so many elements; each of them is a scalar of its own.
inline constexpr int64_t kMostNativeElements = 16;

/// The most elements that it loads or stores.
inline constexpr size_t kMostNativeAccesses = 256;

/// The kernel of a node with regions, if all its values, those of nested regions too, are small and it holds only ops that
/// work element by element, or on few of them; ScheduledKernel::buffers holds storages. Else nothing, and `why_not` says
/// why, if it is given. Operands that are the same everywhere, or indices, are part of the kernel and not read from memory.
std::optional<ScheduledKernel> native_kernel(const Graph& graph, const Node& node, std::string* why_not = nullptr);

}  // namespace etch::schedule
