// What confirms the capture of a callable while its function is used.
#include "frontend/confirmation.h"

#include <cstring>
#include <limits>
#include <mutex>

#include "compiler/ir/cat.h"
#include "etch/options.h"
#include "frontend/eager_events.h"
#include "frontend/effects.h"

namespace etch::detail {
namespace {

constexpr int kAudits = 4;
constexpr int64_t kMostTurns = 4096;   // of a call that is audited unasked: a plain run takes its time for each

/// What a plain run returns.
class PlainSession final : public TraceSession {
 public:
  TensorVisitor& arguments() override { return arguments_; }
  void bind_object() override {}
  TensorVisitor& results() override { return results_; }
  void keep(void* structure, void (*destroy)(void*), const ArgReader& reader) override {
    destroy(structure);
    key.assign(reinterpret_cast<const char*>(reader.key().data()), reader.key().size());
  }

  std::vector<Tensor>& tensors() { return results_.tensors; }
  std::string key;

 private:
  struct Ignored final : TensorVisitor {
    void tensor(Tensor&) override {}
  };
  struct Taken final : TensorVisitor {
    /// Taken out, as a trace does it: what is left is compared by its key.
    void tensor(Tensor& tensor) override { tensors.push_back(std::exchange(tensor, Tensor())); }
    std::vector<Tensor> tensors;
  };

  Ignored arguments_;
  Taken results_;
};

bool is_equal(const GivenResult& given, const Tensor& plain) {
  const TensorImpl* const impl = TensorAccess::get(plain);
  if (impl == nullptr || impl->type() != *given.type) return false;
  const auto bytes = static_cast<size_t>(impl->bytes());
  return bytes == 0 || std::memcmp(impl->data, given.elements, bytes) == 0;
}

}  // namespace

Confirmation::Confirmation(std::shared_ptr<TracedProgram> program, const CaptureReport& report, bool has_guarded_loops)
    : program_(std::move(program)),
      turns_(report.turns > 0 && has_guarded_loops ? report.turns : TurnGuard::kNoLimit),
      audits_left_(report.is_proved || !program_->callable().audit ? 0 : kAudits) {}

void Confirmation::confirm_more(const Call& call, int64_t turns) {
  const Callable& callable = program_->callable();
  std::unique_lock<TraceMutex> lock(callable.life->one_run, std::defer_lock);
  if (trace_nesting() == 0) lock.lock();
  if (turns_ > turns) return;  // another thread was faster
  const int64_t more = 2 * turns;
  if (refuted_turns_ == more) throw Error(refutation_);
  if (callable.life->is_over) {
    throw Error(cat(at(call.where), "function ", callable.name, ": a loop takes more than ", turns,
                    " turns, up to which it was run to confirm it, and the function is gone with its callable; keep the"
                    " function as long as its concrete functions, or give it the option trust_loops"));
  }
  try {
    program_->confirm_turns(call, more);
  } catch (const Error& error) {
    refuted_turns_ = more;
    refutation_ = error.what();
    throw;
  }
  turns_ = more;
}

bool Confirmation::can_audit(const Flags& flags) const {
  if (program_->has_tapes()) return false;  // derivatives of derivatives may round otherwise than those of eager tapes
  const bool is_free = !flags.eager && trace_nesting() == 0 && VariableSnapshot::current() == nullptr;
  return is_free && eager_events() == nullptr && program_->callable().audit;  // tapes would write the plain run down
}

bool Confirmation::wants_audit(const Flags& flags, int64_t turns) const {
  if (flags.audit) return true;
  return !program_->callable().trust_loops && turns <= kMostTurns;
}

void Confirmation::audit(const Call& call, std::span<const GivenResult> results,
                         std::span<const AuditedVariable> variables, std::string_view result_key, const EffectLog& effects) {
  const Callable& callable = program_->callable();
  if (static_cast<int64_t>(effects.given.size()) > kMostTurns) return count_audit();
  // The lock stands before those of variables, which are held: whoever has it is not waited for.
  const std::unique_lock<TraceMutex> lock(callable.life->one_run, std::try_to_lock);
  if (!lock.owns_lock() || callable.life->is_over) return;

  PlainSession plain;
  VariableSnapshot snapshot;
  for (const AuditedVariable& variable : variables) snapshot.put(*variable.use->cell, variable.before);
  ReplayEffects replay(effects);
  std::string other;
  try {
    const ScopedFlags eager("eager=1");
    const MuteEffects mute;
    program_->run_plainly(call, plain);
  } catch (const VariableSnapshot::Unavailable&) {
    return;
  } catch (const ReplayEffects::Unavailable&) {
    return;
  } catch (const std::exception& error) {
    other = cat("the plain run ends in an exception: ", error.what());
  } catch (...) {
    other = "the plain run ends in an exception";
  }
  if (snapshot.is_incomplete() || replay.is_incomplete()) return;
  for (size_t i = 0; i < results.size() && other.empty(); ++i) {
    if (i >= plain.tensors().size() || !is_equal(results[i], plain.tensors()[i])) other = cat("result[", i, "] is another one");
  }
  if (other.empty() && plain.key != result_key) other = "it returns other values beside its tensors";
  for (const VariableSnapshot::Entry& entry : snapshot.entries()) {
    if (!other.empty()) break;
    GivenResult expected{&entry.cell->type(), TensorAccess::get(entry.before)->data};
    for (const AuditedVariable& variable : variables) {
      if (variable.use->cell.get() == entry.cell.get() && variable.after.elements) expected = variable.after;
    }
    if (!is_equal(expected, entry.value)) other = cat(description(*entry.cell), " gets another value");
  }
  if (!other.empty()) {
    audits_left_ = std::numeric_limits<int>::max();  // from now on nothing of it is taken for granted
    throw Error(cat(at(call.where), "function ", callable.name, " does not do what a plain run of it does: ", other,
                    ". Its control flow depends on a C++ value in a way that no run of its capture showed, such as a counter"
                    " of turns that matters at one number; make such values Tensors, or use etch::while_loop and etch::cond"));
  }
  ++audits_;
  count_audit();
}

void Confirmation::count_audit() {
  if (audits_left_ > 0) --audits_left_;
}

}  // namespace etch::detail
