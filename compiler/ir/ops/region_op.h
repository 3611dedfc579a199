// What the ops with regions share. Beside what every structural op has (structural_op.h) their structs have `run` in the
// place of `evaluate`, `channels`, `num_leading` and `taken`; see placing.h.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "compiler/ir/ops/structural_op.h"
#include "compiler/ir/region.h"

namespace etch {

struct NamedRegion;

/// Runs a region on its inputs.
using RunRegion = absl::FunctionRef<absl::StatusOr<std::vector<Literal>>(const Region& region, Literals inputs)>;

/// That the ports of each channel have one type, and that the regions are not too many. The numbers of ports are right.
/// Gives the types of the results.
absl::StatusOr<Types> infer_channels(const Inference& in, std::span<const NamedRegion> regions,
                                     std::span<const Channel> channels);

}  // namespace etch
