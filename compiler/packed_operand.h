// Which operands of products calls may share in packed form.
#pragma once

#include <optional>

#include "compiler/codegen/codegen.h"
#include "compiler/schedule/schedule.h"
#include "runtime/packs.h"

namespace etch {

struct PackedOperand {
  int access = 0;
  PackLayout layout;
};

/// The second operand of a product in tiles as its kernel reads it in panels, where copying these anew in every call costs
/// something: the operand is one matrix in memory for all rows, which are neither very few nor so many that they hide the copy.
std::optional<PackedOperand> packed_operand(const ScheduledKernel& kernel, const Target& target);

}  // namespace etch
