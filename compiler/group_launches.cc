// Equal small launches that follow each other as one step, and the pieces of a loop.
#include "compiler/group_launches.h"

#include <algorithm>

#include "compiler/schedule/lower_kernel.h"

namespace etch {
namespace {

bool is_small(const Launch& launch) { return launch.num_errors == 0 && launch.iterations <= launch.grain; }

}  // namespace

LaunchGroups::Touched LaunchGroups::touched_by(const ScheduledKernel& kernel) const {
  // An output may lie where the input lies that it overwrites.
  const auto owner_of = [&](const ScheduledBuffer& buffer) -> int64_t {
    constexpr int64_t kArena = -1;
    const auto inputs = static_cast<int64_t>(schedule_.buffers.size());
    switch (buffer.kind) {
      case ScheduledBuffer::Kind::stripe:
      case ScheduledBuffer::Kind::temporary: return kArena;
      case ScheduledBuffer::Kind::input: return buffer.index;
      case ScheduledBuffer::Kind::output: break;
    }
    const int input = schedule_.overwrites[buffer.index];
    return input >= 0 ? input : inputs + buffer.index;
  };
  Touched touched;
  const std::vector<bool> stored = schedule::stored_accesses(kernel);
  for (size_t a = 0; a < kernel.buffers.size(); ++a) {
    const ScheduledBuffer& buffer = schedule_.buffers[kernel.buffers[a]];
    if (buffer.bytes == 0) continue;
    const std::pair<int64_t, int64_t> begin(owner_of(buffer), buffer.offset);
    touched.all[begin] = buffer.offset + buffer.bytes;
    if (stored[a]) touched.written[begin] = buffer.offset + buffer.bytes;
  }
  return touched;
}

bool LaunchGroups::overlap(const Extents& a, const Extents& b) {
  return std::ranges::any_of(a, [&](const auto& extent) {
    const auto& [begin, end] = extent;
    const auto after = b.lower_bound({begin.first, end});
    if (after == b.begin()) return false;
    const auto before = std::prev(after);
    return before->first.first == begin.first && before->second > begin.second;
  });
}

bool LaunchGroups::can_join(const ScheduledKernel& kernel, const Touched& touched, const Executable& executable) const {
  const std::vector<Step>& steps = executable.steps;
  if (end_ == 0 || steps.size() != end_ + 1 || steps.back().kind != Step::Kind::launch) return false;
  const Launch& first = executable.launches[executable.launches_of(steps[end_ - 1]).first];
  const Launch& launch = executable.launches[steps.back().index];
  if (kernel.piece_of >= 0 && kernel.piece_of == piece_of_) return true;
  return launch.fn == first.fn && is_small(launch) && is_small(first) && !overlap(touched.written, touched_.all) &&
         !overlap(touched_.written, touched.all);
}

void LaunchGroups::join(const ScheduledKernel& kernel, Executable& executable) {
  std::vector<Step>& steps = executable.steps;
  Touched touched = touched_by(kernel);
  const bool joins = can_join(kernel, touched, executable);
  piece_of_ = !joins || piece_of_ == kernel.piece_of ? kernel.piece_of : -1;
  if (!joins) {
    touched_ = std::move(touched);
    end_ = steps.back().kind == Step::Kind::launch ? steps.size() : 0;  // a check follows a launch that needs one
    return;
  }
  const Launch& launch = executable.launches[steps.back().index];
  steps.pop_back();
  LaunchGroup group = executable.launches_of(steps.back());
  ++group.count;
  group.parts += parts_of(launch);
  if (steps.back().kind == Step::Kind::group) {
    executable.groups.back() = group;
  } else {
    steps.back() = {Step::Kind::group, static_cast<int32_t>(executable.groups.size())};
    executable.groups.push_back(group);
  }
  touched_.all.merge(touched.all);
  touched_.written.merge(touched.written);
}

}  // namespace etch
