// Unrolling: a short axis of a kernel becomes instructions, so that vectors run along another one.
#pragma once

#include <optional>

#include "compiler/schedule/layout_kernel.h"

namespace etch::schedule {

/// What the body would come to with every index of an axis written out: instructions, dear ones by their cost.
int64_t unrolled_work(const KernelDraft& draft, int axis);

/// The op that joins two elements of a reduction; none for those that find a position.
std::optional<Op> joining_op(ReduceKind kind);

/// Writes the body out for every index of an axis of a kernel that is no product and does not run in blocks; the domain
/// loses the axis. Along the reduced axis reductions become elementwise ops in the order of their tree (see KernelProgram),
/// and no axis is folded: what a stage kept for a later one stays a value.
void unroll_axis(KernelDraft& draft, int axis);

}  // namespace etch::schedule
