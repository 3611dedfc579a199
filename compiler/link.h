// The linker: schedule and machine code in, the plain data that runs out.
#pragma once

#include <vector>

#include "compiler/codegen/codegen.h"
#include "compiler/schedule/schedule.h"
#include "runtime/executable.h"

namespace etch {

/// The executable of a schedule whose kernels, in order, were compiled to these for a target. With `group`, equal small kernels
/// that follow each other become one step.
Executable link(const Schedule& schedule, std::vector<KernelHandle> kernels, const Target& target, bool group = true);

}  // namespace etch
