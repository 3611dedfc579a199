// Where kernels read and write, as the verifiers of schedules ask for it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "compiler/schedule/schedule.h"

namespace etch {

inline bool is_temporary(const ScheduledBuffer& buffer) { return buffer.kind == ScheduledBuffer::Kind::temporary; }

/// `b3, output 0 (%7: f32[8])`
std::string buffer_text(const Schedule& schedule, int id, const Graph& graph);

/// Offset and strides of an access.
struct Address {
  Address(const ScheduledKernel& kernel, int access)
      : from(kernel.sizes.data() + SizesLayout(kernel.program).access(access)), rank(kernel.program.rank()),
        repeating(kernel.program.accesses[access].repeats ? kernel.program.lanes_axis() : -1) {}
  int64_t offset() const { return from[0]; }
  int64_t stride(int axis) const { return axis == repeating ? 1 : from[1 + axis]; }
  /// How far the element at an index along an axis lies from that at 0.
  int64_t distance(int axis, int64_t index) const { return axis == repeating ? index % period() : from[1 + axis] * index; }
  /// The same for the last one of indices 0 .. index.
  int64_t reach(int axis, int64_t index) const {
    return axis == repeating ? std::min(index, period() - 1) : from[1 + axis] * index;
  }
  int64_t period() const { return from[1 + repeating]; }
  bool operator==(const Address& other) const { return std::equal(from, from + 1 + rank, other.from); }

  const int64_t* from;
  int rank;
  int repeating;  // the axis along which it repeats, or -1
};

/// The first and the last index of 0 .. last along an axis for which an access leads into its memory.
std::pair<int64_t, int64_t> range_of(const ScheduledKernel& kernel, int slot, int axis, int64_t last);

/// The memory in which a buffer lies, but for an input: the arena, that of a block of stripes, or that of an output.
int memory_of(const Schedule& schedule, const ScheduledBuffer& buffer);

/// What a buffer takes there.
int64_t room_of(const Schedule& schedule, const ScheduledBuffer& buffer);

/// True if two buffers share bytes of a memory. Inputs share none.
bool overlap(const Schedule& schedule, const ScheduledBuffer& a, const ScheduledBuffer& b);

}  // namespace etch
