// The linker: schedule and machine code in, the plain data that runs out.
#include "compiler/link.h"

#include <algorithm>
#include <memory>

#include "compiler/grain.h"

namespace etch {
namespace {

Slot slot_of(const ScheduledBuffer& buffer) {
  switch (buffer.kind) {
    case ScheduledBuffer::Kind::input: return {Slot::Kind::input, buffer.index};
    case ScheduledBuffer::Kind::output: return {Slot::Kind::output, buffer.index};
    case ScheduledBuffer::Kind::temporary: break;
  }
  return {Slot::Kind::arena, buffer.offset};
}

void add_launch(Executable& executable, const ScheduledKernel& kernel, const CompiledKernel& code) {
  Launch launch;
  launch.fn = code.fn();
  launch.first_slot = static_cast<int32_t>(executable.slot_pool.size());
  launch.num_slots = static_cast<int32_t>(kernel.buffers.size());
  launch.first_size = static_cast<int32_t>(executable.sizes_pool.size());
  launch.iterations = kernel.iterations;
  launch.grain = grain_of(kernel);
  launch.scratch_bytes = code.scratch_bytes();
  executable.slot_pool.insert(executable.slot_pool.end(), kernel.buffers.begin(), kernel.buffers.end());
  executable.sizes_pool.insert(executable.sizes_pool.end(), kernel.sizes.begin(), kernel.sizes.end());
  executable.steps.push_back({Step::Kind::launch, static_cast<int32_t>(executable.launches.size())});
  executable.launches.push_back(launch);
  executable.names.push_back(kernel.name);
}

/// The i-th output, which stands in this buffer.
Output output_of(const ScheduledBuffer& buffer, int i) {
  if (buffer.kind == ScheduledBuffer::Kind::input) return {buffer.bytes, Output::SameAs::input, buffer.index};
  const bool is_earlier = buffer.kind == ScheduledBuffer::Kind::output && buffer.index != i;
  if (is_earlier) return {buffer.bytes, Output::SameAs::output, buffer.index};
  return {buffer.bytes};
}

}  // namespace

Executable link(const Schedule& schedule, std::vector<KernelHandle> kernels) {
  Executable executable;
  executable.arena_bytes = schedule.arena_bytes;
  for (const ScheduledBuffer& buffer : schedule.buffers) executable.slots.push_back(slot_of(buffer));
  for (size_t i = 0; i < kernels.size(); ++i) add_launch(executable, schedule.kernels[i], *kernels[i]);
  for (size_t i = 0; i < schedule.outputs.size(); ++i) {
    executable.outputs.push_back(output_of(schedule.buffers[schedule.outputs[i]], static_cast<int>(i)));
  }
  executable.needs_scratch = std::ranges::any_of(executable.launches, [](const Launch& l) { return l.scratch_bytes > 0; });
  executable.code = std::make_shared<std::vector<KernelHandle>>(std::move(kernels));
  return executable;
}

}  // namespace etch
