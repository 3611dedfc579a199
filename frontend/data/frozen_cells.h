// What functions that a pipeline calls read in the place of variables.
#pragma once

#include <utility>
#include <vector>

#include "frontend/variable_cell.h"

namespace etch::detail {

/// Values of variables by their cells.
struct FrozenValues {
  struct Entry {
    Ref<VariableCell> cell;
    Tensor value;
  };
  std::vector<Entry> entries;

  /// Those in force on this thread, or nullptr.
  static const FrozenValues* current() { return current_; }
  /// Puts others in force; gives those before.
  static const FrozenValues* exchange(const FrozenValues* values) { return std::exchange(current_, values); }

  /// Those of a thread that runs a host callable: no variable may be used.
  static const FrozenValues& host();

  /// The value for a cell that a function reads. Error if it assigns the cell, or if the cell is not among these.
  const Tensor& value(const VariableCell& cell, bool is_assigned) const;

 private:
  [[gnu::tls_model("initial-exec")]] static constinit thread_local const FrozenValues* current_;
};

}  // namespace etch::detail
