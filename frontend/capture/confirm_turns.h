// Loops that are run further than when they were captured.
#pragma once

#include "frontend/capture/automaton.h"

namespace etch::capture {

/// Runs the program so that each loop takes so many turns: all turns alike, and where its turns may differ, as chance has it,
/// too. Error that names the turn and what differs, if the program does something else than the automaton. Throws FailedPath
/// as Recorder::run does.
void confirm_turns(Recorder& recorder, const Automaton& automaton, int64_t turns);

/// Error if a run under these decisions does something else than the automaton in a loop of which it has taken more than so
/// many turns, all alike: so many states would be needed to tell them apart.
void check_turns(Recorder& recorder, const Automaton& automaton, const Decisions& way, int64_t most);

}  // namespace etch::capture
