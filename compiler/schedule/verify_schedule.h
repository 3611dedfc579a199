// The verifier of schedules.
#pragma once

#include "absl/status/status.h"
#include "compiler/schedule/schedule.h"

namespace etch {

/// Checks what every schedule must keep to: programs are well formed, no access leaves its buffer, inputs are only
/// read, a kernel reads only memory that still holds the value it wants, and every output is written in full. A schedule
/// that touches at most `walked_bytes` is walked address by address; in a larger one each kernel's accesses are compared
/// as a whole, which finds the same faults but for a read of a part of a value that no kernel has written yet. The pieces of a
/// loop, which run at the same time, are compared element by element in any case (verify_pieces.h). The schedules of regions are
/// verified likewise, and the way through them (verify_flow.h). An InternalError names the kernel and the
/// buffer.
absl::Status verify(const Schedule& schedule, const Graph& graph, int64_t walked_bytes = int64_t{1} << 23);

}  // namespace etch
