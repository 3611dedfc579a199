// What confirms the capture of a callable while its function is used: further turns of its loops, and plain runs beside the
// compiled ones.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "frontend/flags.h"
#include "frontend/traced_program.h"

namespace etch::detail {

/// A value that a compiled call gave. Where an input is handed through, its elements.
struct GivenResult {
  const Type* type = nullptr;
  const void* elements = nullptr;
};

/// A variable of a compiled call.
struct AuditedVariable {
  const UsedVariable* use = nullptr;
  Tensor before;
  GivenResult after;   // no elements if the call does not assign it
};

class Confirmation {
 public:
  /// @param has_guarded_loops in the graph: a run may be stopped and begun anew.
  Confirmation(std::shared_ptr<TracedProgram> program, const CaptureReport& report, bool has_guarded_loops);

  /// The turns that a guarded loop may take; TurnGuard::kNoLimit if there are no loops, or none that are guarded.
  int64_t turns() const { return turns_.load(std::memory_order_relaxed); }
  /// Confirms that loops may take more than so many turns. Error if they may not.
  void confirm_more(const Call& call, int64_t turns);

  /// True if a call is to be compared with a plain run: one of the first of a callable whose control flow is not proved, or
  /// where a flag asks for it.
  bool wants_audit(const Flags& flags) const {
    return (audits_left_.load(std::memory_order_relaxed) > 0 || flags.audit) && can_audit(flags);
  }
  /// The same once the call has run.
  /// @param turns of its loops.
  bool wants_audit(const Flags& flags, int64_t turns) const;
  /// Runs the callable plainly on the same tensors and variables. Error that names the first result or variable that differs.
  /// Variables are left as they are; their locks may be held. Effects give what those of the compiled call gave.
  void audit(const Call& call, std::span<const GivenResult> results, std::span<const AuditedVariable> variables,
             std::string_view result_key, const EffectLog& effects);
  int64_t audits() const { return audits_.load(std::memory_order_relaxed); }

 private:
  bool can_audit(const Flags& flags) const;
  /// One of those that are done unasked is over, also where it was too long to be done.
  void count_audit();

  const std::shared_ptr<TracedProgram> program_;
  std::atomic<int64_t> turns_;
  std::atomic<int> audits_left_;
  std::atomic<int64_t> audits_{0};   // done
  // Guarded by the callable's lock.
  int64_t refuted_turns_ = 0;        // so many were tried, with the Error
  std::string refutation_;
};

}  // namespace etch::detail
