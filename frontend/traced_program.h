// The callable of a function as a program that is captured.
#pragma once

#include <memory>
#include <optional>

#include "frontend/capture/capture.h"
#include "frontend/run_callable.h"
#include "frontend/trace.h"
#include "frontend/vocabulary.h"

namespace etch::detail {

/// What stands in the variables that a run assigned when it ends, by ascending slots.
std::vector<capture::Final> finals_of(Trace& trace, Vocabulary& vocabulary);

/// What stopped a run: the exception that is being handled.
capture::Failure failure_of_exception();

class TracedProgram final : public DescribedProgram, public CaptureStart {
 public:
  TracedProgram(const Callable& callable, const Call& call);
  ~TracedProgram() override;

  /// The run that `trace` records asks for the truth of a tensor.
  std::pair<capture::Listener*, Vocabulary*> start() override;
  const Members& members() const { return members_; }
  bool has_started() const { return begun_ != nullptr; }
  /// Captures the rest once that run has ended. @param session what it returned, or nullptr where it threw.
  TraceResult finish(Trace& trace, RunSession* session);

  // ---- Once it is captured, by calls of the same signature; one at a time, and as long as the callable lives

  const Callable& callable() const { return callable_; }
  /// True if a tape was open in a run.
  bool has_tapes() const { return has_tapes_; }
  /// Runs it so that its loops take so many turns. Error if it does something else than what was captured.
  void confirm_turns(const Call& call, int64_t turns);
  /// Runs the callable as it was captured, on tensors with elements.
  void run_plainly(const Call& call, TraceSession& session);

  // ---- capture::Program
  std::optional<capture::Failure> run(capture::Listener& listener) override;
  std::string name() const override { return callable_.name; }

 private:
  /// The callable as it was, where runs change it; else none.
  std::unique_ptr<void, void (*)(void*)> fresh() const;
  void end_run(Trace& trace, RunSession& session, capture::Listener& listener);
  void note_made_variables(const Trace& trace);

  const Callable callable_;
  const Call* call_;
  Members members_;
  std::unique_ptr<void, void (*)(void*)> pristine_;   // the callable as it was, where runs change it
  std::unique_ptr<capture::Capturer> capturer_;
  std::optional<capture::Automaton> automaton_;   // with loops
  capture::Listener* begun_ = nullptr;
  std::vector<FlagGuard> guards_;
  std::vector<std::pair<Location, int>> made_variables_;   // places, and in how many runs
  bool has_tapes_ = false;
  std::shared_ptr<const void> structure_;
  std::string result_key_;
};

}  // namespace etch::detail
