// Loops that are run further than when they were captured.
#pragma once

#include "frontend/capture/automaton.h"

namespace etch::capture {

/// Runs the program so that each loop takes so many turns: all turns alike, and where its turns may differ, as chance has it,
/// too. Error that names the turn and what differs, if the program does something else than the automaton. Throws FailedPath
/// as Recorder::run does.
void confirm_turns(Recorder& recorder, const Automaton& automaton, int64_t turns);

/// The Error of a run under these decisions that does something else than the automaton, in a loop that it takes many turns of.
[[noreturn]] void fail_on_turn(Recorder& recorder, const Automaton& automaton, const Decisions& way);

}  // namespace etch::capture
