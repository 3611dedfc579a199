// widen: computes in f32 what stands in 16-bit floats.
#pragma once

#include "compiler/passes/pass.h"

namespace etch {

/// Ops that compute on a storage-only dtype (dtypes.def) do so in its compute dtype: operands are cast, exactly, and
/// the result is cast back, which rounds it. So every op rounds as it would alone, fused or not, while sums, products
/// and dot accumulate in the compute dtype and round once. Ops that move elements keep the short ones. Afterwards no op
/// but casts, movement, pad, concat, constants and iota has a storage-only dtype.
absl::StatusOr<Graph> widen(Graph graph);

}  // namespace etch
