// A run beside the automaton: does the program do what was learned?
#pragma once

#include "frontend/capture/automaton.h"

namespace etch::capture {

/// Runs the program under these decisions, which lead to the end of the automaton, and compares each event, condition and
/// result; true if all are as expected. A run that differs is led to some end. Throws FailedPath as Recorder::run does.
bool check_run(Recorder& recorder, const Automaton& automaton, const Decisions& decisions);

}  // namespace etch::capture
