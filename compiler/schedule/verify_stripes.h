// The verifier of kernels that run block by block.
#pragma once

#include <cstdint>
#include <string>

#include "compiler/schedule/schedule.h"

namespace etch {

/// The rows of a block begin in the first line of their memory, where they lie as they would in full.
inline constexpr int64_t kStripeLine = 64;

/// What a buffer of stripes takes in the memory of a block.
int64_t room_of_stripe(const Schedule& schedule, const ScheduledBuffer& buffer);

/// Checks that stripes stand one after the other, are cut into whole rows, and lie in the memory of their blocks; that no
/// other kernel touches what lies there; and that none of their kernels reads by other than whole rows what another one of
/// them writes, or what lies in that memory. Empty if all is well.
std::string check_stripes(const Schedule& schedule);

}  // namespace etch
