// The grain of a kernel: how much of it is worth handing to another thread.
#include "compiler/schedule/grain.h"

#include <algorithm>

#include "compiler/schedule/costs.h"

namespace etch {
namespace {

// A task is worth handing to another thread from about this much work on, in additions.
constexpr int64_t kTaskWork = int64_t{1} << 18;

int64_t work_of(const ScheduledKernel& kernel) { return kernel.additions + cost::kTouch * kernel.touches; }

}  // namespace

int64_t grain_of(const ScheduledKernel& kernel) {
  const int64_t work = work_of(kernel);
  const int64_t grain = kTaskWork / std::max<int64_t>(work, 1);
  // Rows stand for themselves, and what a library function does; elements are split at whole cache lines, rows of a
  // product at whole tiles.
  const int64_t multiple = kernel.program.has(Role::vector) ? 64 : 1;
  return std::max<int64_t>(1, (grain + multiple - 1) / multiple) * multiple;
}

int64_t grain_of(std::span<const ScheduledKernel> kernels, int64_t rows) {
  int64_t work = 0;
  for (const ScheduledKernel& kernel : kernels) work += work_of(kernel) * (kernel.iterations / rows);
  return std::max<int64_t>(1, kTaskWork / std::max<int64_t>(work, 1));
}

}  // namespace etch
