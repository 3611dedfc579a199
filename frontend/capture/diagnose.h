// Why a program has no end of states.
#pragma once

#include <vector>

#include "frontend/capture/learn.h"

namespace etch::capture {

/// Throws the Error that says which loop is new on every turn, and in what.
[[noreturn]] void fail_too_many_states(Recorder& recorder, const std::vector<State>& states);

}  // namespace etch::capture
