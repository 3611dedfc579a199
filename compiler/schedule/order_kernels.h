// The order in which the kernels of a schedule run.
#pragma once

#include <cstdint>
#include <vector>

#include "compiler/schedule/lower_kernel.h"

namespace etch::schedule {

struct KernelOrder {
  std::vector<int> kernels;  // indices into Lowered::kernels, producers first
  int64_t edges = 0;         // dependences that were followed: one per kernel and storage that it writes or reads
};

/// Producers first, otherwise as the graph's nodes stand, so that values die early. Readers wait for a storage, and a
/// storage is complete when all its writers have run: edges grow with the accesses, however many kernels fill and read
/// the parts of one concat.
KernelOrder order_kernels(const Graph& graph, const Partition& partition, const Lowered& lowered);

}  // namespace etch::schedule
