// How far runs confirm an automaton.
#pragma once

#include <vector>

#include "frontend/capture/automaton.h"

namespace etch::capture {

struct Evidence {
  bool is_proved = false;    // all paths were run
  double paths = 0;          // of those that are different, if it has no loop
  int64_t turns = 0;         // up to which each loop was run
};

/// Runs the program along the automaton; the decisions of some runs that do other things, none if all is as it should be.
std::vector<Decisions> verify(Recorder& recorder, const Automaton& automaton, Evidence& evidence);

}  // namespace etch::capture
