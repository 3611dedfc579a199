// Which kernels write past the caches.
#include "compiler/schedule/mark_streams.h"

#include <algorithm>
#include <set>

namespace etch::schedule {
namespace {

bool reads(const ScheduledKernel& kernel, int buffer) {
  if (kernel.is_opaque()) return std::ranges::count(kernel.buffers, buffer) > 0;
  return std::ranges::any_of(kernel.program.body, [&](const Instr& instr) {
    return instr.kind == InstrKind::load && kernel.buffers[instr.slot] == buffer;
  });
}

/// True if all rows that a store writes begin at the same place of a line. Else few of them could go past the caches, and
/// these would part lines with rows that do not.
bool keeps_lines(const ScheduledKernel& kernel, int access) {
  constexpr int64_t kLineBytes = 64;
  const SizesLayout layout(kernel.program);
  for (int axis = 0; axis < kernel.program.rank(); ++axis) {
    const int64_t stride = kernel.sizes[layout.access(access) + 1 + axis];
    const bool begins_rows = axis != kernel.program.lanes_axis() && kernel.sizes[layout.extent(axis)] > 1;
    if (begins_rows && stride * size_of(kernel.program.accesses[access].dtype) % kLineBytes != 0) return false;
  }
  return true;
}

/// True if a kernel after number `k` reads the buffer that this one writes.
bool is_read_after(const Schedule& schedule, size_t k, int buffer) {
  return std::any_of(schedule.kernels.begin() + static_cast<int64_t>(k) + 1, schedule.kernels.end(),
                     [&](const ScheduledKernel& later) { return reads(later, buffer); });
}

/// True if the kernel runs block by block with others, so that what it writes is read while it is in the cache.
bool is_in_stripes(const Schedule& schedule, size_t k) {
  const int number = static_cast<int>(k);
  return std::ranges::any_of(schedule.stripes, [&](const ScheduledStripes& stripes) {
    return number >= stripes.first && number < stripes.end();
  });
}

}  // namespace

void mark_streams(int64_t cache_bytes, Schedule& schedule) {
  for (size_t k = 0; k < schedule.kernels.size(); ++k) {
    ScheduledKernel& kernel = schedule.kernels[k];
    if (kernel.is_opaque() || kernel.program.kind() != KernelKind::loop) continue;
    std::set<int> all(kernel.buffers.begin(), kernel.buffers.end()), stored;
    int64_t moved = 0, written = 0;
    bool pays = true;
    for (const Instr& instr : kernel.program.body) {
      if (instr.kind != InstrKind::store) continue;
      stored.insert(kernel.buffers[instr.slot]);
      pays = pays && keeps_lines(kernel, instr.slot);
    }
    for (int buffer : all) moved += schedule.buffers[buffer].bytes;
    for (int buffer : stored) written += schedule.buffers[buffer].bytes;
    pays = pays && moved >= cache_bytes && written >= cache_bytes / 2;
    for (int buffer : stored) {
      const bool leaves_cache = schedule.buffers[buffer].bytes > cache_bytes && !is_in_stripes(schedule, k);
      pays = pays && (leaves_cache || !is_read_after(schedule, k, buffer));
    }
    kernel.sizes[SizesLayout(kernel.program).streams] = pays ? 1 : 0;
  }
}

}  // namespace etch::schedule
