// The grain of a kernel: how much of it is worth handing to another thread.
#include "compiler/schedule/grain.h"

#include <algorithm>

#include "compiler/schedule/costs.h"
#include "compiler/schedule/kernel_work.h"
#include "runtime/rounding.h"

namespace etch {
namespace {

// A task is worth handing to another thread from about this much work on, in additions.
constexpr int64_t kTaskWork = int64_t{1} << 18;

// Columns of a reduction along the rows beside them: shorter pieces of rows are too short for the processor to fetch ahead.
constexpr int64_t kPieceElements = 2048;

int64_t work_of(const ScheduledKernel& kernel) { return kernel.additions + cost::kTouch * kernel.touches; }

// Each task of a product copies the other operand: its rows are so many at the least.
constexpr int64_t kFewestRows = 60;
constexpr int64_t kWholeTiles = 4;  // of any processor

/// Whole matrices, or parts of one that are about equal.
int64_t rows_of_task(const ScheduledKernel& kernel, int64_t grain) {
  const int64_t m = schedule::rows_of_matrix(kernel);
  const int64_t rows = std::max(grain, kFewestRows);
  if (rows >= m) return round_up(grain, m);
  return round_up(ceil_div(m, m / rows), kWholeTiles);
}

}  // namespace

int64_t grain_of(const ScheduledKernel& kernel) {
  const int64_t work = std::max<int64_t>(1, work_of(kernel));
  const int64_t grain = std::max<int64_t>(1, kTaskWork / work);
  if (kernel.program.has_tiles() && kernel.iterations > 0) return rows_of_task(kernel, grain);
  // Rows stand for themselves, and what a library function does; elements are split at whole cache lines.
  const int64_t multiple = kernel.program.has(Role::vector) && !kernel.program.sweeps() ? 64 : 1;
  return round_up(grain, multiple);
}

int64_t piece_of(const ScheduledKernel& kernel) {
  const KernelProgram& program = kernel.program;
  const bool reads_columns = program.has_rows() && program.folded_axis() < program.rank() - 1;
  return reads_columns ? kPieceElements : 1;
}

int64_t grain_of(std::span<const ScheduledKernel> kernels, int64_t rows) {
  int64_t work = 0;
  for (const ScheduledKernel& kernel : kernels) work += work_of(kernel) * (kernel.iterations / rows);
  return std::max<int64_t>(1, kTaskWork / std::max<int64_t>(work, 1));
}

}  // namespace etch
