// From captured regions to the events of a trace.
#pragma once

#include "frontend/capture/capture.h"
#include "frontend/trace_function.h"
#include "frontend/vocabulary.h"

namespace etch::detail {

/// The trace of a captured program: its events with `cond` and `while_loop`, closed as a graph. Structure, key and guards
/// are left to the caller.
TraceResult lower_captured(const capture::Captured& captured, const Vocabulary& vocabulary, const Call& call);

}  // namespace etch::detail
