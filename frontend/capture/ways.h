// Ways through an automaton.
#pragma once

#include <vector>

#include "frontend/capture/automaton.h"

namespace etch::capture {

/// Where an automaton leads, without a run.
class Ways {
 public:
  explicit Ways(const Automaton& automaton);

  /// The decision that leads to the end fastest.
  bool shortest(int32_t state) const { return to_end_[state].decision; }
  bool has_end(int32_t state) const { return state == kEnd || to_end_[state].steps >= 0; }
  /// Appends the way to the end.
  void finish(int32_t state, Decisions& way) const;
  /// Appends the shortest way from one state to another one, which there is.
  void go(int32_t from, int32_t to, Decisions& way) const;
  /// The state after decisions from another one, or kEnd; decisions beyond the end do nothing.
  int32_t follow(int32_t state, std::span<const uint8_t> decisions) const;
  int32_t next(int32_t state, bool decision) const { return automaton_.states[state].edges[decision].target; }

  /// Decisions and how many questions are left, for each state, to one state; -1 where no way leads there.
  struct Step {
    int32_t steps = -1;
    bool decision = false;
  };
  std::vector<Step> to(int32_t goal) const;
  /// The shortest way from a state back to itself; nothing if there is none.
  Decisions cycle(int32_t state) const;
  /// The number of the strongly connected part of each state, or -1 of those on no cycle.
  const std::vector<int32_t>& cycles() const { return cycles_; }
  /// States to which an edge leads back from a state that comes later on some walk without repetition.
  const std::vector<int32_t>& headers() const { return headers_; }

 private:
  void find_headers();

  const Automaton& automaton_;
  std::vector<std::vector<std::pair<int32_t, bool>>> into_;   // for each state, and last for the end: where edges come from
  std::vector<Step> to_end_;
  std::vector<int32_t> cycles_, headers_;
};

}  // namespace etch::capture
