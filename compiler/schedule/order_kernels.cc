// The order in which the kernels of a schedule run.
#include "compiler/schedule/order_kernels.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "compiler/ir/text.h"
#include "runtime/check.h"

namespace etch::schedule {
namespace {

/// Who waits for whom, through storages.
struct Dependences {
  std::vector<std::vector<int>> writes;   // per kernel: storages
  std::vector<std::vector<int>> readers;  // per storage: kernels
  std::vector<int> incomplete;            // per storage: writers that have not run
  std::vector<int> waits;                 // per kernel: storages that are not complete
  int64_t edges = 0;
};

void add_unique(std::vector<int>& list, int item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

Dependences dependences_of(const Lowered& lowered, int storages) {
  const size_t kernels = lowered.kernels.size();
  Dependences d{std::vector<std::vector<int>>(kernels), std::vector<std::vector<int>>(storages),
                std::vector<int>(storages), std::vector<int>(kernels)};
  std::vector<std::vector<int>> reads(kernels);
  for (size_t k = 0; k < kernels; ++k) {
    const ScheduledKernel& kernel = lowered.kernels[k];
    std::vector<bool> stored = stored_accesses(kernel);
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      add_unique(stored[a] ? d.writes[k] : reads[k], kernel.buffers[a]);
    }
    for (int storage : d.writes[k]) ++d.incomplete[storage];
    d.edges += static_cast<int64_t>(d.writes[k].size());
  }
  for (size_t k = 0; k < kernels; ++k) {
    for (int storage : reads[k]) {
      if (d.incomplete[storage] == 0) continue;  // an input
      d.readers[storage].push_back(static_cast<int>(k));
      ++d.waits[k];
      ++d.edges;
    }
  }
  return d;
}

}  // namespace

KernelOrder order_kernels(const Graph& graph, const Partition& partition, const Lowered& lowered) {
  const auto kernels = static_cast<int>(lowered.kernels.size());
  Dependences d = dependences_of(lowered, partition.num_storages());
  using Entry = std::pair<int, int>;  // the last value that the kernel computes, the kernel
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
  const auto wake = [&](int k) {
    int last = 0;
    for (Value value : lowered.kernels[k].values) last = std::max(last, value.id);
    ready.emplace(last, k);
  };
  for (int k = 0; k < kernels; ++k) {
    if (d.waits[k] == 0) wake(k);
  }
  KernelOrder order{{}, d.edges};
  while (!ready.empty()) {
    int k = ready.top().second;
    ready.pop();
    order.kernels.push_back(k);
    for (int storage : d.writes[k]) {
      if (--d.incomplete[storage] > 0) continue;
      for (int reader : d.readers[storage]) {
        if (--d.waits[reader] == 0) wake(reader);
      }
    }
  }
  ETCH_CHECK(static_cast<int>(order.kernels.size()) == kernels,
             "the kernels of the schedule wait for each other:\n" + print(graph));
  return order;
}

}  // namespace etch::schedule
