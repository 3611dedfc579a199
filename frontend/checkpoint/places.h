// Places: where the objects of a checkpoint have variables, and how their values are called.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "etch/checkpoint.h"
#include "frontend/optimizer_slots.h"
#include "frontend/variable_cell.h"

namespace etch::detail {

/// A variable under all of its names, built or not.
struct VariablePlace {
  std::vector<std::string> names;  // `model/hidden.kernel`
  std::string inner;               // of the first name, what follows the object's: `hidden.kernel`
  Variable variable;

  VariableCell& cell() const { return *VariableAccess::get(variable); }
  const std::string& name() const { return names.front(); }
};

/// A slot of an optimizer that is there.
struct SlotPlace {
  std::string name;   // `optimizer/m/hidden.kernel`
  std::string owner;  // `model/hidden.kernel`; empty if that is no variable of the checkpoint
  Variable variable;

  VariableCell& cell() const { return *VariableAccess::get(variable); }
};

struct OptimizerPlace {
  std::string name;  // `optimizer`
  optimizers::Optimizer optimizer;
};

struct Places {
  std::vector<VariablePlace> variables;  // in the order of members, each once
  std::vector<OptimizerPlace> optimizers;

  /// The slots that are there, of all optimizers.
  std::vector<SlotPlace> slots() const;
  /// The first variable with this name.
  const VariablePlace* find(std::string_view name) const;
};

/// Finds them. Without random states if those are not wanted.
Places find_places(const std::vector<NamedObject>& objects, bool with_random_states);

/// `name/inner`, or one of the two if the other is empty.
std::string joined(std::string_view name, std::string_view inner);

}  // namespace etch::detail
