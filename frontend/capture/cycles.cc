// Which states lie on cycles: Tarjan's strongly connected parts, without recursion.
#include "frontend/capture/cycles.h"

#include <algorithm>

namespace etch::capture {

std::vector<int32_t> cycles_of(std::span<const State> states) {
  const auto count = static_cast<int32_t>(states.size());
  std::vector<int32_t> part(count, -1), index(count, -1), low(count, 0), next(count, 0), stack, open;
  std::vector<bool> is_open(count, false);
  int32_t time = 0, parts = 0;
  for (int32_t root = 0; root < count; ++root) {
    if (index[root] >= 0) continue;
    stack.push_back(root);
    while (!stack.empty()) {
      const int32_t at = stack.back();
      if (index[at] < 0) {
        index[at] = low[at] = time++;
        open.push_back(at);
        is_open[at] = true;
      }
      if (next[at] < 2) {
        const int32_t to = states[at].successors[next[at]++];
        if (to < 0) continue;
        if (index[to] < 0) {
          stack.push_back(to);
        } else if (is_open[to]) {
          low[at] = std::min(low[at], index[to]);
        }
        continue;
      }
      stack.pop_back();
      if (!stack.empty()) low[stack.back()] = std::min(low[stack.back()], low[at]);
      if (low[at] != index[at]) continue;
      const bool is_alone = open.back() == at;
      const bool is_loop = !is_alone || states[at].successors[0] == at || states[at].successors[1] == at;
      while (true) {
        const int32_t member = open.back();
        open.pop_back();
        is_open[member] = false;
        if (is_loop) part[member] = parts;
        if (member == at) break;
      }
      ++parts;
    }
  }
  return part;
}

}  // namespace etch::capture
