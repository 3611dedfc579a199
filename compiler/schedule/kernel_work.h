// How much work a kernel is, and how a product is cut for several tasks.
#pragma once

#include <cstdint>

#include "compiler/schedule/index_map.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// Up to so many steps a product takes less time than what its kernel reads and writes beside it, so its rows are made from end to end.
/// An optimizer's step, which has moments, moves several matrices.
int64_t few_steps(const KernelProgram& program);

/// How many columns of a product in tiles one piece has: a task makes rows of one piece.
int64_t columns_of_task(const Domain& domain, const KernelProgram& program);

/// Rows of each matrix that a product makes.
int64_t rows_of_matrix(const ScheduledKernel& product);

/// How many pieces the columns of a kernel's results are cut into: 1 unless it is a product in tiles.
int64_t pieces_of_columns(const ScheduledKernel& kernel);

/// Makes all columns one piece, so that iterations are rows.
void join_columns(ScheduledKernel& kernel);

/// Sets the kernel's iterations and what one does. A product in tiles runs over its rows, once for each piece of `columns`
/// columns; all other kernels over elements or over what each row or column comes to.
void measure(const Domain& domain, const KernelProgram& program, int64_t columns, ScheduledKernel& kernel);

}  // namespace etch::schedule
