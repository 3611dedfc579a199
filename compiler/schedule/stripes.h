// Stripes: kernels that run block by block, so that what they hand on stays in the cache and never lies in memory in full.
//
// Each kernel of such a group works on rows along axes that all of them share, and reads of what the ones before it wrote no
// other rows than its own: scores of attention, their softmax and what they are multiplied with; a product, its epilogue and
// the norm of its rows; the layers of a perceptron; elementwise kernels on one shape. What stands outside of the group is
// read as each kernel likes. The kernels are those that would run one after the other, on parts of their iterations, so the
// bits are those without groups.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/schedule/lower_kernel.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// True if the iterations of each row, of `rows` in all, touch no element outside of their part of the memory: the elements
/// of a value of `bytes`, row-major, are those of its rows, one after the other.
bool goes_by_rows(const ScheduledKernel& kernel, int access, int64_t rows, int64_t bytes);

/// Groups of kernels, which are in execution order; puts the kernels of a group next to each other where something stands
/// between them. Only first, count and rows of a group are filled in.
std::vector<ScheduledStripes> find_stripes(const Graph& graph, const Partition& partition, Lowered& lowered,
                                           const StripeOptions& options);

/// Bytes from row to row of a value with rows of so many bytes, where its rows may lie apart. Rows of whole pages' fractions
/// would all fall into the same few sets of the first cache.
int64_t pitch_of(int64_t row_bytes);

/// True if an access that goes by rows finds them wherever they lie at one distance.
bool can_stretch(const ScheduledKernel& kernel, int access, int64_t rows);

/// Makes all accesses to values in the memory of blocks find their rows at the distance ScheduledBuffer::row_bytes.
void stretch_rows(Schedule& schedule);

/// Fills in how a group is cut, where its memory takes so many bytes for a row.
void cut_stripes(const Lowered& lowered, int64_t row_bytes, const StripeOptions& options, ScheduledStripes& stripes);

}  // namespace etch::schedule
