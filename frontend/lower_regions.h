// From captured regions to the events of a trace.
#pragma once

#include "frontend/capture/capture.h"
#include "frontend/region_trace.h"
#include "frontend/trace_function.h"
#include "frontend/vocabulary.h"

namespace etch::detail {

/// The trace of a captured program: its events with `cond` and `while_loop`, closed as a graph. Structure, key and guards
/// are left to the caller.
/// @param guards loops are guarded: a run may end them.
TraceResult lower_captured(const capture::Captured& captured, const Vocabulary& vocabulary, const Call& call, bool guards);

/// Puts what was captured of a callable of an explicit form into a trace, which has its arguments: ops, and what variables are
/// assigned. The values of what the callable gives.
std::vector<Value> lower_captured_region(const capture::Captured& captured, const Vocabulary& vocabulary, RegionTrace& into);

}  // namespace etch::detail
