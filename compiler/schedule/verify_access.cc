// Where kernels read and write, as the verifiers of schedules ask for it.
#include "compiler/schedule/verify_access.h"

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/verify_stripes.h"

namespace etch {

std::string buffer_text(const Schedule& schedule, int id, const Graph& graph) {
  const ScheduledBuffer& buffer = schedule.buffers[id];
  std::string holds = cat(" (%", buffer.value.id, ": ", to_string(graph.type(buffer.value)), ")");
  switch (buffer.kind) {
    case ScheduledBuffer::Kind::input: return cat("b", id, ", input ", buffer.index, holds);
    case ScheduledBuffer::Kind::output: return cat("b", id, ", output ", buffer.index, holds);
    case ScheduledBuffer::Kind::stripe: return cat("b", id, ", stripes ", buffer.index, " +", buffer.offset, holds);
    case ScheduledBuffer::Kind::temporary: break;
  }
  return cat("b", id, " at arena +", buffer.offset, holds);
}

std::pair<int64_t, int64_t> range_of(const ScheduledKernel& kernel, int slot, int axis, int64_t last) {
  const KernelProgram& program = kernel.program;
  if (program.accesses[slot].fill < 0 || axis == program.rank() - 1) return {0, last};
  const int64_t* range = kernel.sizes.data() + SizesLayout(program).range(program.bordered_before(slot), axis);
  return {std::max<int64_t>(range[0], 0), std::min(range[1] - 1, last)};
}

int memory_of(const Schedule& schedule, const ScheduledBuffer& buffer) {
  if (is_temporary(buffer)) return 0;
  const auto num_stripes = static_cast<int>(schedule.stripes.size());
  return 1 + buffer.index + (buffer.kind == ScheduledBuffer::Kind::stripe ? 0 : num_stripes);
}

int64_t room_of(const Schedule& schedule, const ScheduledBuffer& buffer) {
  return buffer.kind == ScheduledBuffer::Kind::stripe ? room_of_stripe(schedule, buffer) : buffer.bytes;
}

bool overlap(const Schedule& schedule, const ScheduledBuffer& a, const ScheduledBuffer& b) {
  const bool are_written = a.kind != ScheduledBuffer::Kind::input && b.kind != ScheduledBuffer::Kind::input;
  return are_written && memory_of(schedule, a) == memory_of(schedule, b) && a.offset < b.offset + room_of(schedule, b) &&
         b.offset < a.offset + room_of(schedule, a);
}

}  // namespace etch
