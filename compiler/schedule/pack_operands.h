// Memory for what a kernel reads many times with lanes far apart.
#pragma once

#include <vector>

#include "compiler/schedule/layout_kernel.h"
#include "compiler/schedule/partition.h"

namespace etch::schedule {

/// Operands of an arranged kernel whose lanes lie apart, and that other axes read again and again, get memory in which the
/// lanes lie beside each other. Changes the accesses of `draft`, adds partials, and returns the kernels that fill these.
std::vector<ScheduledKernel> pack_operands(KernelDraft& draft, Partition& partition);

}  // namespace etch::schedule
