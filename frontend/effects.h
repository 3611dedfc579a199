// Effects: functions of the host that act at once, or in their turn when a traced function runs.
#pragma once

#include <memory>
#include <span>

#include "frontend/tensor_impl.h"
#include "frontend/variable_cell.h"
#include "runtime/host_function.h"

namespace etch {
class AnyOp;
struct EffectLog;
}

namespace etch::detail {

/// Calls a host function on tensors and gives what it gives. While a function is traced the call is recorded, behind all effects
/// before it, and happens when that function runs. Error if it does not take such tensors.
Tensors perform(std::shared_ptr<const HostFunction> function, std::span<const Tensor> operands, Location where);

/// The function that an op calls, or nullptr if it calls none.
const HostFunction* host_function_of(const AnyOp& op);

/// Effects of this thread do not happen at once for as long as it stands: a run that only compares does nothing to the world.
/// What they would give is 0.
class MuteEffects {
 public:
  MuteEffects();
  ~MuteEffects();
  MuteEffects(const MuteEffects&) = delete;
  MuteEffects& operator=(const MuteEffects&) = delete;

 private:
  const bool outer_;
};

/// True where a MuteEffects of this thread stands.
bool effects_are_mute();

/// While it stands, effects of this thread that do not happen give what those of another run gave, one after the other.
class ReplayEffects {
 public:
  explicit ReplayEffects(const EffectLog& log);
  ~ReplayEffects();
  ReplayEffects(const ReplayEffects&) = delete;
  ReplayEffects& operator=(const ReplayEffects&) = delete;

  /// Thrown by an effect whose results the log does not hold.
  struct Unavailable {};
  /// True if that was thrown: a callable may have caught it.
  bool is_incomplete() const { return is_incomplete_; }
  /// What the next effect gave.
  void next(std::span<const HostValue> results);

 private:
  const EffectLog& log_;
  ReplayEffects* const outer_;
  int64_t next_ = 0;
  bool is_incomplete_ = false;
};

/// What stands for the token (compiler/ir/ops/host_call.h) while functions are traced: a variable that nobody sees. So regions and
/// captures carry it as they carry any variable. No run reads or assigns it.
VariableCell& token_cell();

}  // namespace etch::detail
