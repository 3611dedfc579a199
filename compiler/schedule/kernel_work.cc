// How much work a kernel is, and how a product is cut for several tasks.
#include "compiler/schedule/kernel_work.h"

#include <algorithm>

#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

// A piece of a product is worth so much work at the least, and more of them than so many are of no use.
constexpr int64_t kPieceWork = int64_t{1} << 20;
constexpr int64_t kMostPieces = 8;
// Of fewer rows than so many, the work is to read the other operand.
constexpr int64_t kRowsOfReading = 8;
// Narrower pieces copy the rows too often.
constexpr int64_t kFewestColumns = 128;
// From so many rows on, tasks may share them.
constexpr int64_t kManyRows = 240;
constexpr int64_t kRowsOfTask = 64;

constexpr int64_t kFewSteps = 16, kFewStepsOfManyStores = 64;

}  // namespace

int64_t few_steps(const KernelProgram& program) {
  const auto stores = std::ranges::count_if(program.body, [](const Instr& instr) { return instr.kind == InstrKind::store; });
  return stores > 1 ? kFewStepsOfManyStores : kFewSteps;
}

int64_t columns_of_task(const Domain& domain, const KernelProgram& program) {
  int64_t rows = 1, steps = 1, columns = 1;
  for (int axis = 0; axis < domain.rank; ++axis) {
    const Role role = domain.roles[axis];
    (is_folded(role) ? steps : role == Role::vector ? columns : rows) *= domain.extents[axis];
  }
  // Rows of a few steps are written from end to end, so tasks share these: where columns are cut, two of them may write to one line.
  if (rows >= kManyRows && steps <= few_steps(program)) return std::max<int64_t>(1, columns);
  const auto dot = std::ranges::find(program.body, InstrKind::dot, &Instr::kind);
  // The kernel goes through blocks of columns anyway, so pieces of them cost nothing.
  const int64_t block = program.blocks.dot_row_bytes / std::max<int64_t>(4, size_of(dot->dtype));
  const int64_t useful = rows >= kManyRows ? (columns + block / 2) / block : kMostPieces / ceil_div(rows, kRowsOfTask);
  const int64_t pieces = std::min(useful, mul_saturated(mul_saturated(std::max(rows, kRowsOfReading), columns), steps) / kPieceWork);
  if (pieces < 2 || columns <= kFewestColumns) return std::max<int64_t>(1, columns);
  return round_up(ceil_div(columns, pieces), kFewestColumns);
}

int64_t rows_of_matrix(const ScheduledKernel& product) {
  int64_t rows = 1;
  for (int axis = 0; axis < product.program.rank(); ++axis) {
    if (product.program.axes[axis] == Role::row) rows *= product.sizes[axis];
  }
  return rows;
}

int64_t pieces_of_columns(const ScheduledKernel& kernel) {
  if (!kernel.program.has_tiles()) return 1;
  const int64_t columns = kernel.sizes[kernel.program.axis(Role::vector)];
  return std::max<int64_t>(1, ceil_div(columns, kernel.sizes[SizesLayout(kernel.program).columns()]));
}

void join_columns(ScheduledKernel& kernel) {
  const int64_t pieces = pieces_of_columns(kernel);
  if (pieces == 1) return;
  kernel.sizes[SizesLayout(kernel.program).columns()] = kernel.sizes[kernel.program.axis(Role::vector)];
  kernel.iterations /= pieces;
  kernel.additions *= pieces;
  kernel.touches *= pieces;
}

void measure(const Domain& domain, const KernelProgram& program, int64_t columns, ScheduledKernel& kernel) {
  const bool is_product = domain.has(Role::row);
  int64_t iterations = 1, row = 1, elements = 1;  // row: steps or elements of one; elements: of an iteration's result
  for (int axis = 0; axis < domain.rank; ++axis) {
    const int64_t extent = domain.extents[axis];
    if (is_folded(domain.roles[axis])) {
      row *= extent;
    } else if (program.sweeps() && domain.roles[axis] == Role::vector) {
      row *= extent;
    } else if (program.has_tiles() && domain.roles[axis] == Role::vector) {
      elements = std::min(extent, columns);
      iterations *= ceil_div(extent, columns);
    } else {
      iterations *= extent;
    }
  }
  kernel.iterations = iterations;
  const int64_t times = is_product ? elements : row;
  for (const Instr& instr : program.body) {
    const bool touches = instr.kind == InstrKind::load || instr.kind == InstrKind::store;
    // A matrix that is multiplied by a vector is read, and computed, once.
    const bool steps = instr.kind == InstrKind::dot || (program.sums_in_lanes && instr.stage == 0);
    const int64_t count = steps ? elements * row : instr.per_row ? 1 : times;
    (touches ? kernel.touches : kernel.additions) += count * cost_of(instr);
  }
}

}  // namespace etch::schedule
