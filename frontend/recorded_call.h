// Calls of functions while tapes record.
#pragma once

#include "frontend/concrete.h"
#include "frontend/eager_events.h"

namespace etch::detail {

/// Runs a concrete function and writes the call down. Where its arguments depend on a watched tensor, the code that
/// runs also gives what derivatives need of it.
void run_recorded(const Concrete& concrete, const Call& call, Tensor* results, EagerEvents& log);

/// Error for a call_into that a tape would have to write down: it makes no tensors.
void check_unrecorded(const Concrete& concrete, const Call& call, const EagerEvents& log);

}  // namespace etch::detail
