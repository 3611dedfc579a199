// Ways through an automaton.
#include "frontend/capture/ways.h"

#include <algorithm>

#include "frontend/capture/cycles.h"

namespace etch::capture {

Ways::Ways(const Automaton& automaton) : automaton_(automaton), into_(automaton.states.size() + 1) {
  std::vector<State> states;
  const auto count = static_cast<int32_t>(automaton.states.size());
  for (int32_t w = 0; w < count; ++w) {
    State& state = states.emplace_back();
    for (const bool decision : {false, true}) {
      const int32_t target = automaton.states[w].edges[decision].target;
      state.successors[decision] = target;
      into_[target == kEnd ? count : target].emplace_back(w, decision);
    }
  }
  to_end_ = to(kEnd);
  cycles_ = cycles_of(states);
  if (count > 0) find_headers();
}

std::vector<Ways::Step> Ways::to(int32_t goal) const {
  std::vector<Step> steps(automaton_.states.size());
  std::vector<int32_t> open;
  if (goal != kEnd) {
    steps[goal].steps = 0;
    open.push_back(goal);
  } else {
    open.push_back(static_cast<int32_t>(automaton_.states.size()));
  }
  for (size_t i = 0; i < open.size(); ++i) {
    const int32_t at = open[i];
    const int32_t here = at == static_cast<int32_t>(automaton_.states.size()) ? 0 : steps[at].steps;
    for (const auto& [from, decision] : into_[at]) {
      if (steps[from].steps >= 0) continue;
      steps[from] = {here + 1, decision};
      open.push_back(from);
    }
  }
  return steps;
}

void Ways::finish(int32_t state, Decisions& way) const {
  while (state != kEnd && has_end(state)) {
    way.push_back(shortest(state));
    state = next(state, shortest(state));
  }
}

void Ways::go(int32_t from, int32_t to, Decisions& way) const {
  const std::vector<Step> steps = this->to(to);
  while (from != to) {
    way.push_back(steps[from].decision);
    from = next(from, steps[from].decision);
  }
}

int32_t Ways::follow(int32_t state, std::span<const uint8_t> decisions) const {
  for (uint8_t decision : decisions) {
    if (state == kEnd) break;
    state = next(state, decision);
  }
  return state;
}

Decisions Ways::cycle(int32_t state) const {
  const std::vector<Step> back = to(state);
  Decisions best;
  for (const bool decision : {false, true}) {
    Decisions way = {decision};
    int32_t at = next(state, decision);
    if (at == kEnd || back[at].steps < 0) continue;
    while (at != state) {
      way.push_back(back[at].decision);
      at = next(at, back[at].decision);
    }
    if (best.empty() || way.size() < best.size()) best = std::move(way);
  }
  return best;
}

void Ways::find_headers() {
  enum class Mark : uint8_t { none, open, done };
  std::vector<Mark> marks(automaton_.states.size());
  std::vector<int> tried(automaton_.states.size());
  std::vector<int32_t> stack = {0};
  marks[0] = Mark::open;
  while (!stack.empty()) {
    const int32_t at = stack.back();
    if (tried[at] == 2) {
      marks[at] = Mark::done;
      stack.pop_back();
      continue;
    }
    const int32_t to = next(at, tried[at]++ != 0);
    if (to == kEnd) continue;
    if (marks[to] == Mark::open && std::ranges::find(headers_, to) == headers_.end()) headers_.push_back(to);
    if (marks[to] != Mark::none) continue;
    marks[to] = Mark::open;
    stack.push_back(to);
  }
}

}  // namespace etch::capture
