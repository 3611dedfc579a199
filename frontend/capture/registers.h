// What each state must hold for what comes after it.
#pragma once

#include "frontend/capture/automaton.h"

namespace etch::capture {

/// The automaton of these states; or none where two nodes that are taken for one state differ: then `wrong` are decisions
/// that lead along a wrong state, and the states must be learned again. @param instances paths, the nodes of which are
/// compared, too.
std::optional<Automaton> find_registers(Recorder& recorder, const std::vector<State>& states,
                                        const std::vector<Decisions>& instances, Decisions& wrong);

}  // namespace etch::capture
