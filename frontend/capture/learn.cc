// The states of a program: which questions have the same future.
#include "frontend/capture/learn.h"

#include <algorithm>
#include <utility>

#include "compiler/ir/cat.h"
#include "etch/error.h"
#include "frontend/capture/diagnose.h"

namespace etch::capture {
namespace {

/// Two nodes, each seen from one of two questions: what came before that question is old.
class Comparison {
 public:
  Comparison(const Trie& trie, int32_t u, int32_t v)
      : trie_(trie), old_u_(trie.nodes[u].end_value), old_v_(trie.nodes[v].end_value) {}

  bool same(int32_t a, int32_t b) const {
    const TrieNode& x = trie_.nodes[a];
    const TrieNode& y = trie_.nodes[b];
    if (x.is_end() != y.is_end() || x.end - x.begin != y.end - y.begin) return false;
    for (int32_t i = 0; i < x.end - x.begin; ++i) {
      const Event& e = trie_.events[x.begin + i];
      const Event& f = trie_.events[y.begin + i];
      if (e.kind != f.kind || e.num_operands != f.num_operands) return false;
      for (int32_t k = 0; k < e.num_operands; ++k) {
        if (!same_value(trie_.operands[e.first_operand + k], trie_.operands[f.first_operand + k])) return false;
      }
    }
    return x.is_end() ? same_end(trie_.ending_of(a), trie_.ending_of(b)) : same_value(x.condition, y.condition);
  }

 private:
  bool same_value(Ref a, Ref b) const {
    if (a < old_u_ || b < old_v_) return a < old_u_ && b < old_v_;
    return a - old_u_ == b - old_v_;
  }

  bool same_end(const Ending& a, const Ending& b) const {
    if (a.what != b.what || a.results.size() != b.results.size()) return false;
    for (size_t i = 0; i < a.results.size(); ++i) {
      if (!same_value(a.results[i], b.results[i])) return false;
    }
    // What is not assigned keeps its value, which is old.
    size_t i = 0, j = 0;
    while (i < a.finals.size() || j < b.finals.size()) {
      const bool in_a = i < a.finals.size() && (j == b.finals.size() || a.finals[i].slot <= b.finals[j].slot);
      const bool in_b = j < b.finals.size() && (i == a.finals.size() || b.finals[j].slot <= a.finals[i].slot);
      const Ref x = in_a ? a.finals[i++].value : old_u_ - 1;
      const Ref y = in_b ? b.finals[j++].value : old_v_ - 1;
      if (!same_value(x, y)) return false;
    }
    return true;
  }

  const Trie& trie_;
  const Ref old_u_, old_v_;
};

class Learner {
 public:
  explicit Learner(Recorder& recorder) : recorder_(recorder), trie_(recorder.trie()) {}

  std::vector<State> learn() {
    if (trie_.empty()) recorder_.run({});
    check_end(trie_.find(Trie::kRoot, trie_.continuation(Trie::kRoot)));
    if (trie_.nodes[Trie::kRoot].is_end()) return {};
    add(Trie::kRoot);
    for (size_t w = 0; w < states_.size(); ++w) {  // it grows
      for (const bool decision : {false, true}) {
        const int32_t v = recorder_.child(states_[w].node, decision);
        states_[w].successors[decision] = state_of(v);
      }
    }
    return std::move(states_);
  }

 private:
  int32_t state_of(int32_t v) {
    if (trie_.nodes[v].is_end()) {
      check_end(v);
      return kEnd;
    }
    const std::vector<int32_t>& here = by_place_[trie_.nodes[v].place];
    for (int32_t r : here) {
      if (is_same(states_[r].node, v)) return merge(r);
    }
    for (int32_t r = 0; r < static_cast<int32_t>(states_.size()); ++r) {
      const bool elsewhere = trie_.nodes[states_[r].node].place != trie_.nodes[v].place;
      if (elsewhere && is_same(states_[r].node, v)) return merge(r);
    }
    return add(v);
  }

  int32_t merge(int32_t state) {
    recorder_.count(Rule::merge);
    return state;
  }

  int32_t add(int32_t node) {
    const auto state = static_cast<int32_t>(states_.size());
    if (state >= recorder_.limits().states) fail_too_many_states(recorder_, states_);
    states_.push_back({node, {kUnknown, kUnknown}});
    by_place_[trie_.nodes[node].place].push_back(state);
    return state;
  }

  bool is_same(int32_t u, int32_t v) { return has_same_tail(trie_, u, v) && confirm(u, v); }

  /// What is known below one, recorded below the other as well.
  bool confirm(int32_t u, int32_t v) {
    for (const uint8_t decision : {0, 1}) {
      recorder_.child(u, decision);
      for (const auto& [from, to] : {std::pair(u, v), std::pair(v, u)}) {
        const int32_t child = trie_.nodes[from].children[decision];
        if (child < 0) continue;
        Decisions way = {decision};
        const Decisions rest = trie_.continuation(child);
        way.insert(way.end(), rest.begin(), rest.end());
        if (trie_.find(to, way) >= 0) continue;
        recorder_.node_at(to, way);
        if (has_same_tail(trie_, u, v)) continue;
        recorder_.count(Rule::refute);
        return false;
      }
    }
    return true;
  }

  void check_end(int32_t node) {
    if (first_end_ < 0) first_end_ = node;
    const Kind first = trie_.ending_of(first_end_).what, now = trie_.ending_of(node).what;
    if (first == now) return;
    Program& program = recorder_.program();
    throw Error(cat("function ", program.name(), " returns ", program.text_of_end(first), " on the path ",
                    recorder_.path_text(first_end_), " and ", program.text_of_end(now), " on ", recorder_.path_text(node),
                    "; all paths must return the same types"));
  }

  Recorder& recorder_;
  const Trie& trie_;
  std::vector<State> states_;
  FlatMap<Kind, std::vector<int32_t>> by_place_;
  int32_t first_end_ = -1;
};

}  // namespace

bool has_same_tail(const Trie& trie, int32_t u, int32_t v) {
  const Comparison comparison(trie, u, v);
  std::vector<std::pair<int32_t, int32_t>> open = {{u, v}};
  while (!open.empty()) {
    const auto [a, b] = open.back();
    open.pop_back();
    for (const int decision : {0, 1}) {
      const int32_t x = trie.nodes[a].children[decision], y = trie.nodes[b].children[decision];
      if (x < 0 || y < 0) continue;
      if (!comparison.same(x, y)) return false;
      open.emplace_back(x, y);
    }
  }
  return true;
}

std::vector<State> learn_states(Recorder& recorder) { return Learner(recorder).learn(); }

}  // namespace etch::capture
