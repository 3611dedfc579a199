// A run beside the automaton: does the program do what was learned?
#pragma once

#include "frontend/capture/automaton.h"

namespace etch::capture {

/// Where a run first did something else than the automaton.
struct Deviation {
  int64_t questions = 0;    // that it was asked before
  Kind expected = -1;       // the event that would have come; -1: a question, or the end
  Kind came = -1;           // the event that came instead; -1: a question, or the end
  bool has_ended = false;   // the end came
};

/// Runs the program under these decisions, which lead to the end of the automaton, and compares each event, condition and
/// result; true if all are as expected. A run that differs is led to some end. Throws FailedPath as Recorder::run does.
bool check_run(Recorder& recorder, const Automaton& automaton, const Decisions& decisions, Deviation* deviation = nullptr);

}  // namespace etch::capture
