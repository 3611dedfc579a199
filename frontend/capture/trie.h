// The tree of all that was recorded: a node is a question or an end, with the events since the question before.
#pragma once

#include <span>
#include <vector>

#include "frontend/capture/program.h"

namespace etch::capture {

struct Event {
  Kind kind = 0;
  int32_t first_operand = 0;
  int32_t num_operands = 0;
  int32_t first_value = 0;
};

struct Ending {
  Kind what = 0;
  std::vector<Ref> results;
  std::vector<Final> finals;
  bool operator==(const Ending&) const = default;
};

struct TrieNode {
  int32_t parent = -1;
  int32_t children[2] = {-1, -1};
  int32_t depth = 0;               // how many questions stand before it
  uint8_t decision = 0;            // that leads here from the parent
  int32_t begin = 0, end = 0;      // its events
  int32_t first_value = 0, end_value = 0;
  Ref condition = 0;               // of a question
  Kind place = 0;
  int32_t ending = -1;             // of an end: its number

  bool is_end() const { return ending >= 0; }
};

class Trie {
 public:
  static constexpr int32_t kRoot = 0;

  bool empty() const { return nodes.empty(); }
  std::span<const Event> events_of(int32_t node) const {
    return std::span(events).subspan(nodes[node].begin, nodes[node].end - nodes[node].begin);
  }
  std::span<const Ref> operands_of(const Event& event) const {
    return std::span(operands).subspan(event.first_operand, event.num_operands);
  }
  const Ending& ending_of(int32_t node) const { return endings[nodes[node].ending]; }
  /// The node after these decisions below another one, or -1.
  int32_t find(int32_t node, std::span<const uint8_t> decisions) const;
  /// The decisions from the root.
  Decisions path(int32_t node) const;
  /// Some decisions from a node to an end: those that were recorded first.
  Decisions continuation(int32_t node) const;

  std::vector<TrieNode> nodes;
  std::vector<Event> events;
  std::vector<Ref> operands;
  std::vector<Ending> endings;
};

}  // namespace etch::capture
