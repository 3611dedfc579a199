// What each kernel of a schedule moves and computes.
#include "compiler/kernel_costs.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "compiler/ir/cat.h"

namespace etch {
namespace {

/// Elements that an access walks over: the extents of the axes along which it moves, and its period if it repeats. At indices
/// it may find another one each time.
int64_t elements_of(const ScheduledKernel& kernel, int access) {
  const SizesLayout layout(kernel.program);
  if (kernel.program.accesses[access].repeats) {
    return kernel.sizes[layout.access(access) + 1 + kernel.program.lanes_axis()];
  }
  int64_t elements = 1;
  for (int axis = 0; axis < kernel.program.rank(); ++axis) {
    const bool moves = kernel.sizes[layout.access(access) + 1 + axis] != 0;
    if (moves || kernel.program.accesses[access].indexed != Indexed::no) elements *= kernel.sizes[layout.extent(axis)];
  }
  return elements;
}

std::string formatted(const char* format, double value) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

int64_t bytes_moved(const Schedule& schedule, const ScheduledKernel& kernel) {
  if (kernel.call) {
    int64_t bytes = 0;
    for (int buffer : std::set<int>(kernel.buffers.begin(), kernel.buffers.end())) bytes += schedule.buffers[buffer].bytes;
    return bytes;
  }
  std::map<int, int64_t> of_buffer;
  for (size_t a = 0; a < kernel.buffers.size(); ++a) {
    of_buffer[kernel.buffers[a]] += elements_of(kernel, static_cast<int>(a)) * size_of(kernel.program.accesses[a].dtype);
  }
  int64_t bytes = 0;
  for (auto [buffer, walked] : of_buffer) bytes += std::min(walked, schedule.buffers[buffer].bytes);
  return bytes;
}

std::string peaks_text(const MachinePeaks& peaks, int threads) {
  return cat("probes: ", formatted("%.1f GB/s", peaks.bytes_per_second * 1e-9), ", ",
             formatted("%.1f G multiply-adds/s of f32", peaks.fma_per_second * 1e-9), " on ", threads,
             threads == 1 ? " thread\n" : " threads\n");
}

std::string kernel_costs(const Schedule& schedule, const Graph& graph, std::span<const double> microseconds,
                         const MachinePeaks& peaks) {
  std::string text;
  size_t launch = 0;
  for_each_kernel(schedule, graph, [&](const Schedule& around, const Graph&, const ScheduledKernel& kernel) {
    const double spent = microseconds[launch++];
    const double seconds = std::max(spent, 1e-3) * 1e-6;
    const int64_t bytes = bytes_moved(around, kernel);
    const auto additions = static_cast<double>(kernel.iterations) * static_cast<double>(kernel.additions);
    text += cat(kernel.name, ": ", formatted("%.2f us", spent), ", ", bytes, " bytes, ",
                formatted("%.0f %%", 100 * static_cast<double>(bytes) / seconds / peaks.bytes_per_second),
                " of the memory probe, ", formatted("%.0f %%", 100 * additions / seconds / peaks.fma_per_second),
                " of the arithmetic probe (", kernel.iterations, " iterations of about ", kernel.additions, " additions)\n");
  });
  return text;
}

}  // namespace etch
