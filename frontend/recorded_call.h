// Calls of functions while tapes record.
#pragma once

#include "frontend/concrete.h"
#include "frontend/eager_events.h"

namespace etch::detail {

/// Runs a concrete function and writes the call down. Where its arguments depend on a watched tensor, the code that
/// runs also gives what derivatives need of it.
void run_recorded(const Concrete& concrete, const Call& call, Tensor* results, EagerEvents& log);

/// A value of a trace that its derivative reads, and that is kept for it.
struct KeptValue {
  Value value;
  std::string_view reader;  // the op that reads it
  Origin origin;            // of that op: where the op stands that is differentiated
};

/// Those that the derivatives in some inputs and variables read, beside inputs and results, in the order of their events.
std::vector<KeptValue> find_kept(const TraceResult& trace, const std::vector<bool>& inputs, const std::vector<bool>& variables);

/// Error for a call_into that a tape would have to write down: it makes no tensors.
void check_unrecorded(const Concrete& concrete, const Call& call, const EagerEvents& log);

}  // namespace etch::detail
