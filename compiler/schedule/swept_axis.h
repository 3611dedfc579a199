// Loops whose lanes go along the axis before theirs: which ones do, and what their code knows about accesses.
#pragma once

#include <vector>

#include "compiler/schedule/layout_kernel.h"

namespace etch::schedule {

/// True if lanes on the last axis should go along the one before it. A kernel that looks beyond borders does so, and others of
/// which many loads stay the same along that axis, as the weights of each channel do.
bool can_sweep(const KernelDraft& draft);

/// Says of accesses what stays the same along the swept axis, which ones have the same strides, and which ones have borders.
void mark_swept(const KernelDraft& draft, std::vector<Access>& accesses);

/// Appends the ranges of all accesses with borders, as SizesLayout has them.
void append_ranges(const KernelDraft& draft, std::vector<int64_t>& sizes);

}  // namespace etch::schedule
