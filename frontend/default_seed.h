// The default seed of random numbers, as it is saved and restored.
#pragma once

#include "etch/saved_state.h"

namespace etch::detail {

/// What random::set_seed set, and how many seeds were taken of it.
struct DefaultSeed {
  SavedState save_state() const;
  void restore_state(const SavedState& state);
};

}  // namespace etch::detail
