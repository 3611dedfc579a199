// Equal small launches that follow each other as one step, and the pieces of a loop.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "compiler/schedule/schedule.h"
#include "runtime/executable.h"

namespace etch {

/// What the linker knows about the group of launches that its last step is.
class LaunchGroups {
 public:
  explicit LaunchGroups(const Schedule& schedule) : schedule_(schedule) {}

  /// Joins the launch of this kernel, the last step of the executable, with that of the kernel before: if nothing stands between
  /// them, both have one code, nothing to check and no work that is worth splitting, and neither writes what the other reads
  /// or writes; or if both are pieces of one loop.
  void join(const ScheduledKernel& kernel, Executable& executable);

 private:
  /// Memory by where it begins: whose it is (the arena, an input, an output), offset and end.
  using Extents = std::map<std::pair<int64_t, int64_t>, int64_t>;
  struct Touched {
    Extents written, all;
  };

  bool can_join(const ScheduledKernel& kernel, const Touched& touched, const Executable& executable) const;
  Touched touched_by(const ScheduledKernel& kernel) const;
  static bool overlap(const Extents& a, const Extents& b);

  const Schedule& schedule_;
  Touched touched_;   // by the launches of the step that was looked at last
  int piece_of_ = -1; // the loop whose pieces all of them are
  size_t end_ = 0;    // of the steps up to that one
};

}  // namespace etch
