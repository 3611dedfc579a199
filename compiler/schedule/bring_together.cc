// Small kernels of equal programs next to each other, so that they can go out as one parallel loop.
#include "compiler/schedule/bring_together.h"

#include <algorithm>
#include <numeric>

#include "compiler/schedule/grain.h"
#include "compiler/schedule/lower_kernel.h"
#include "etch/buffer.h"
#include "runtime/flat_map.h"
#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

bool is_small(const ScheduledKernel& kernel) {
  if (kernel.piece_of >= 0) return false;  // it goes out with the other pieces of its loop
  return !kernel.is_opaque() && kernel.checks.empty() && kernel.iterations <= grain_of(kernel);
}

/// Equal for equal programs.
size_t structure_of(const KernelProgram& program) {
  size_t structure = program.axes.size() * 64 + program.accesses.size();
  for (const Instr& instr : program.body) {
    structure = structure * 31 + static_cast<size_t>(instr.kind) * 1024 + static_cast<size_t>(instr.op);
  }
  return structure;
}

/// Small kernels by program, each list in the order in which they run.
std::vector<std::vector<int>> equal_kernels(const Schedule& schedule) {
  std::vector<std::vector<int>> classes;
  FlatMap<size_t, std::vector<size_t>> by_structure;
  for (int k = 0; k < static_cast<int>(schedule.kernels.size()); ++k) {
    const ScheduledKernel& kernel = schedule.kernels[k];
    if (!is_small(kernel)) continue;
    std::vector<size_t>& candidates = by_structure[structure_of(kernel.program)];
    const auto found = std::ranges::find_if(
        candidates, [&](size_t c) { return schedule.kernels[classes[c].front()].program == kernel.program; });
    if (found != candidates.end()) {
      classes[*found].push_back(k);
      continue;
    }
    candidates.push_back(classes.size());
    classes.push_back({k});
  }
  return classes;
}

/// When kernels run in the order of the schedule: who bounds whom, and what lies in the arena.
class Timeline {
 public:
  explicit Timeline(const Schedule& schedule)
      : num_kernels_(static_cast<int>(schedule.kernels.size())), limit_(schedule.kernels.size(), num_kernels_),
        ends_(schedule.kernels.size(), 0), room_(schedule.kernels.size(), 0) {
    const size_t buffers = schedule.buffers.size();
    std::vector<int> first(buffers, num_kernels_), last(buffers, -1);
    std::vector<std::vector<int>> writers(buffers), readers(buffers);
    for (int k = 0; k < num_kernels_; ++k) {
      const ScheduledKernel& kernel = schedule.kernels[k];
      const std::vector<bool> stored = stored_accesses(kernel);
      for (size_t a = 0; a < kernel.buffers.size(); ++a) {
        const int id = kernel.buffers[a];
        first[id] = std::min(first[id], k);
        last[id] = k;
        std::vector<int>& users = stored[a] ? writers[id] : readers[id];
        if (users.empty() || users.back() != k) users.push_back(k);
      }
    }
    bound(schedule, writers, readers);
    measure(schedule, first, last);
  }

  /// The kernel that a kernel has to run before; the number of kernels if there is none.
  int limit(int kernel) const { return limit_[kernel]; }

  /// Bytes of the arena that are held longer where a kernel runs later.
  int64_t held(int kernel) const { return ends_[kernel]; }

  /// Takes bytes behind one kernel to another one; false where the arena has no room for them.
  bool hold(int64_t bytes, int from, int to) {
    const auto begin = room_.begin() + from + 1, end = room_.begin() + to + 1;
    if (bytes <= 0) return true;
    if (std::any_of(begin, end, [&](int64_t room) { return room < bytes; })) return false;
    std::for_each(begin, end, [&](int64_t& room) { room -= bytes; });
    return true;
  }

 private:
  void bound(const Schedule& schedule, const std::vector<std::vector<int>>& writers,
             const std::vector<std::vector<int>>& readers) {
    for (size_t id = 0; id < writers.size(); ++id) {
      if (readers[id].empty()) continue;
      for (const int writer : writers[id]) limit_[writer] = std::min(limit_[writer], readers[id].front());
    }
    for (size_t o = 0; o < schedule.outputs.size(); ++o) {
      if (schedule.overwrites[o] < 0) continue;
      const std::vector<int>& writing = writers[schedule.outputs[o]];
      if (writing.empty()) continue;
      for (const int reader : readers[input_buffer(schedule, schedule.overwrites[o])]) {
        if (reader < writing.front()) limit_[reader] = std::min(limit_[reader], writing.front());
      }
    }
  }

  static size_t input_buffer(const Schedule& schedule, int input) {
    const auto found = std::ranges::find_if(schedule.buffers, [&](const ScheduledBuffer& buffer) {
      return buffer.kind == ScheduledBuffer::Kind::input && buffer.index == input;
    });
    return static_cast<size_t>(found - schedule.buffers.begin());
  }

  /// What the arena has left beside each kernel, and what ends with it. A kernel that takes memory over holds it once.
  void measure(const Schedule& schedule, const std::vector<int>& first, const std::vector<int>& last) {
    std::vector<int64_t> change(num_kernels_ + 1, 0);
    for (size_t id = 0; id < first.size(); ++id) {
      const ScheduledBuffer& buffer = schedule.buffers[id];
      if (buffer.kind != ScheduledBuffer::Kind::temporary || last[id] < 0) continue;
      const int64_t bytes = round_up(buffer.bytes, Buffer::kAlignment);
      ends_[last[id]] += bytes;
      ends_[first[id]] -= bytes;
      const std::vector<int>& users = schedule.kernels[last[id]].buffers;
      const bool is_taken_over = std::ranges::any_of(users, [&](int other) {
        const ScheduledBuffer& next = schedule.buffers[other];
        return next.kind == buffer.kind && next.offset == buffer.offset && first[other] == last[id] && first[id] != last[id];
      });
      change[first[id]] += bytes;
      change[last[id] + (is_taken_over ? 0 : 1)] -= bytes;
    }
    int64_t live = 0;
    for (int k = 0; k < num_kernels_; ++k) {
      live += change[k];
      room_[k] = schedule.arena_bytes - live;
    }
  }

  int num_kernels_;
  std::vector<int> limit_;      // per kernel
  std::vector<int64_t> ends_;   // per kernel: bytes that die in it, less those that it makes
  std::vector<int64_t> room_;   // per kernel
};

/// Moves kernels of one class to where the last of them stands, as far as that goes; then begins again behind it.
void gather(const std::vector<int>& equal, Timeline& timeline, std::vector<int>& target) {
  for (size_t begin = 0; begin < equal.size();) {
    int limit = timeline.limit(equal[begin]);
    int64_t held = std::max<int64_t>(timeline.held(equal[begin]), 0);
    size_t end = begin + 1;
    for (; end < equal.size() && equal[end] < limit; ++end) {
      if (!timeline.hold(held, equal[end - 1], equal[end])) break;
      limit = std::min(limit, timeline.limit(equal[end]));
      held += std::max<int64_t>(timeline.held(equal[end]), 0);
    }
    for (; begin < end; ++begin) target[equal[begin]] = equal[end - 1];
  }
}

}  // namespace

std::vector<int> order_together(const Schedule& schedule) {
  std::vector<int> order(schedule.kernels.size());
  std::iota(order.begin(), order.end(), 0);
  std::vector<std::vector<int>> classes = equal_kernels(schedule);
  std::erase_if(classes, [](const std::vector<int>& equal) { return equal.size() < 2; });
  if (classes.empty()) return order;
  Timeline timeline(schedule);
  std::vector<int> target = order;
  for (const std::vector<int>& equal : classes) gather(equal, timeline, target);
  std::ranges::stable_sort(order, {}, [&](int k) { return target[k]; });
  return order;
}

}  // namespace etch::schedule
