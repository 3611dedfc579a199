// The states of a program: which questions have the same future.
#pragma once

#include <vector>

#include "frontend/capture/recorder.h"

namespace etch::capture {

inline constexpr int32_t kEnd = -1;      // the state after the last question
inline constexpr int32_t kUnknown = -2;

/// Questions that are taken for the same one, whatever led to them.
struct State {
  int32_t node = 0;               // of the trie, that stands for it
  int32_t successors[2] = {kUnknown, kUnknown};
};

/// The states, the first question first; none if the program asks nothing. Error if it has too many, if paths return
/// different things, or what Recorder::run throws.
std::vector<State> learn_states(Recorder& recorder);

/// True if all that is recorded below both nodes is the same: ops, questions and ends, and where it uses what came before
/// or what comes there.
bool has_same_tail(const Trie& trie, int32_t u, int32_t v);

}  // namespace etch::capture
