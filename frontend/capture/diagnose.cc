// Why a program has no end of states.
#include "frontend/capture/diagnose.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::capture {
namespace {

/// The first event in which two nodes differ, by their texts; nothing if the same happens in both.
struct Difference {
  Kind first = -1, second = -1;
};

std::optional<Difference> difference(const Trie& trie, int32_t a, int32_t b) {
  const std::span<const Event> x = trie.events_of(a), y = trie.events_of(b);
  for (size_t i = 0; i < std::max(x.size(), y.size()); ++i) {
    if (i < x.size() && i < y.size() && x[i].kind == y[i].kind) continue;
    return Difference{i < x.size() ? x[i].kind : -1, i < y.size() ? y[i].kind : -1};
  }
  return std::nullopt;
}

/// The node to which a turn of a loop leads where the loop ends, or -1. `next` is the following turn.
int32_t end_of(const Trie& trie, int32_t turn, int32_t next) {
  int32_t inside = next;
  while (trie.nodes[inside].parent != turn) inside = trie.nodes[inside].parent;
  return trie.nodes[turn].children[1 - trie.nodes[inside].decision];
}

/// How the ends after two turns, one behind the other, differ.
std::optional<Difference> difference_behind(const Trie& trie, int32_t turn, int32_t next) {
  const int32_t first = end_of(trie, turn, next);
  if (first < 0) return std::nullopt;
  const uint8_t decision = trie.nodes[first].decision;
  const int32_t second = trie.nodes[next].children[decision];
  if (second < 0) return std::nullopt;
  return difference(trie, first, second);
}

/// The nodes at one place along the path to a node, the node last.
std::vector<int32_t> turns_of(const Trie& trie, int32_t node) {
  std::vector<int32_t> turns;
  for (int32_t at = node; at >= 0; at = trie.nodes[at].parent) {
    if (trie.nodes[at].place == trie.nodes[node].place) turns.push_back(at);
  }
  std::ranges::reverse(turns);
  return turns;
}

/// How many questions the longest path that is recorded asks at a place.
int64_t questions_at(const Trie& trie, int32_t node) {
  int64_t count = static_cast<int64_t>(turns_of(trie, node).size());
  const Kind place = trie.nodes[node].place;
  while (!trie.nodes[node].is_end()) {
    const TrieNode& here = trie.nodes[node];
    int32_t next = -1;
    // The child below which the loop goes on.
    for (const int32_t child : here.children) {
      if (child >= 0 && !trie.nodes[child].is_end() && trie.nodes[child].place == place) next = child;
    }
    if (next < 0) break;
    node = next;
    ++count;
  }
  return count;
}

}  // namespace

void fail_too_many_states(Recorder& recorder, const std::vector<State>& states) {
  Program& program = recorder.program();
  const Trie& trie = recorder.trie();
  std::vector<int32_t> longest;
  for (const State& state : states) {
    std::vector<int32_t> turns = turns_of(trie, state.node);
    if (turns.size() > longest.size()) longest = std::move(turns);
  }
  if (longest.size() < 20) {
    throw Error(cat("function ", program.name(), ": its control flow has more than ", states.size(),
                    " states, since C++ values that branches set are followed; make them Tensors"));
  }
  const std::string place = program.place_of(trie.nodes[longest[0]].place);
  const auto text = [&](Kind kind) { return kind >= 0 ? program.text_of(kind) : "nothing"; };
  const size_t from = std::min<size_t>(57, longest.size() - 2);
  for (size_t i = from; i + 1 < longest.size(); ++i) {
    const std::optional<Difference> now = difference(trie, longest[i], longest[i + 1]);
    if (!now) continue;
    if (now->first >= 0 && now->second >= 0) {
      if (const std::optional<std::string> change = program.type_change(now->first, now->second)) {
        throw Error(cat("function ", program.name(), ": the type of ", *change,
                        " changes from turn to turn of the loop at ", place, "; keep one type, or use a TensorArray"));
      }
    }
    const std::string at = program.place_of(now->first >= 0 ? now->first : now->second);
    throw Error(cat("function ", program.name(), ": the loop at ", place, " is new on every turn: turns ", i, " and ", i + 1,
                    " differ at ", at, " (", text(now->first), ", ", text(now->second),
                    "); a C++ value that changes without end cannot be captured; make it a Tensor: for (Tensor i : "
                    "etch::range(n))"));
  }
  const std::optional<Difference> after = difference_behind(trie, longest[from], longest[from + 1]);
  if (after) {
    const std::string at = program.place_of(after->first >= 0 ? after->first : after->second);
    throw Error(cat("function ", program.name(), ": what follows the loop or recursion at ", place,
                    " is longer after every turn: after turns ", from, " and ", from + 1, " it differs at ", at, " (",
                    text(after->first), ", ", text(after->second),
                    "); a C++ value that grows without end cannot be captured, and of recursion only tail calls and depths"
                    " known to C++"));
  }
  const int64_t turns = questions_at(trie, longest.back());
  throw Error(cat("function ", program.name(), ": the loop at ", place, " ends after ", turns,
                  " turns by a C++ bound; write for (Tensor i : etch::range(", turns, "))"));
}

}  // namespace etch::capture
