// The tree of all that was recorded.
#include "frontend/capture/trie.h"

#include <algorithm>

namespace etch::capture {

int32_t Trie::find(int32_t node, std::span<const uint8_t> decisions) const {
  for (uint8_t decision : decisions) {
    if (node < 0) break;
    node = nodes[node].children[decision];
  }
  return node;
}

Decisions Trie::path(int32_t node) const {
  Decisions path;
  for (; nodes[node].parent >= 0; node = nodes[node].parent) path.push_back(nodes[node].decision);
  std::ranges::reverse(path);
  return path;
}

Decisions Trie::continuation(int32_t node) const {
  Decisions path;
  while (!nodes[node].is_end()) {
    const int32_t no = nodes[node].children[0], yes = nodes[node].children[1];
    const bool decision = no < 0 || (yes >= 0 && yes < no);
    node = decision ? yes : no;
    if (node < 0) break;
    path.push_back(decision);
  }
  return path;
}

}  // namespace etch::capture
