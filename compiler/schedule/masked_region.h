// Control flow for each element by itself as one kernel, whose lanes take part or not.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// The kernel of a loop that works on each row or element by itself; ScheduledKernel::buffers holds storages. Such loops are:
///
/// - those that count the rows of what they carry up, and write each row from what other tensors hold in that row and from what
///   does not change (`etch::map`);
/// - `while (any(active))` whose body works element by element, if each value rests where `active` is false: with false in its
///   place the body gives back what it took. Then every lane runs until it is done itself.
///
/// `is_used` says for each value of the graph whether anything needs it: results that nothing needs are not stored. Nothing for
/// other nodes; `why_not` says why, if it is given, of a loop that is nearly one.
std::optional<ScheduledKernel> masked_kernel(const Graph& graph, const Node& node, const std::vector<bool>& is_used,
                                             std::string* why_not = nullptr);

}  // namespace etch::schedule
