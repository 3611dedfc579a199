// What an optimizer keeps beside each variable, for those who name it by that variable.
#pragma once

#include <string>
#include <vector>

#include "etch/optimizers.h"

namespace etch::detail {

/// A visitor that meets optimizers as a whole in the place of their slots.
class SlotVisitor : public ModuleVisitor {
 public:
  virtual void optimizer(const optimizers::Optimizer& optimizer) = 0;

 protected:
  ~SlotVisitor() = default;
};

struct OptimizerSlot {
  std::string name;  // `m`
  Variable variable;
};

/// The names of the slots that each variable has.
std::vector<std::string> slot_names(const optimizers::Optimizer& optimizer);
/// The slots beside a variable, built or not; empty if no update asked for them.
std::vector<OptimizerSlot> find_slots(const optimizers::Optimizer& optimizer, const Variable& of);
/// The same; made, but not built, if they are not there.
std::vector<OptimizerSlot> make_slots(const optimizers::Optimizer& optimizer, const Variable& of);
/// Those of all variables, in the order in which they were made.
std::vector<std::vector<OptimizerSlot>> all_slots(const optimizers::Optimizer& optimizer);

}  // namespace etch::detail
