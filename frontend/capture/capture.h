// Capture: a program is run again and again until all that it can do is known.
#pragma once

#include <memory>

#include "frontend/capture/automaton.h"
#include "frontend/capture/verify.h"

namespace etch::capture {

struct Captured {
  Automaton automaton;
  Evidence evidence;
  Counts counts;
  int rounds = 0;             // of learning
  bool remembers = false;     // each condition is asked once in a run
};

/// The capture of one program.
class Capturer {
 public:
  Capturer(Program& program, const Limits& limits);
  ~Capturer();

  /// The listener of a first run that is under way already, and its end.
  Listener& begin();
  void end_begun(bool failed);

  /// Error if the program cannot be captured within the limits: each says at which place why.
  Captured run();

  /// Once run() has given what is known: runs the program so that each loop takes so many turns, in the same way again and
  /// again and as chance has it. Error that names the turn if it does something else there.
  void confirm_turns(const Automaton& automaton, int64_t turns);

 private:
  class Attempt;
  Program& program_;
  const Limits limits_;
  std::unique_ptr<Attempt> plain_, remembering_;
};

Captured capture_program(Program& program, const Limits& limits = {});

}  // namespace etch::capture
