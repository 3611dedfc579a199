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

/// Machine code, and what each thread that runs it needs.
struct Code {
  Step::Kind kind = Step::Kind::launch;
  KernelFn fn = nullptr;
  int64_t scratch_bytes = 0;
};

Code code_of(const ScheduledKernel& call) {
  const LibraryFunction function = library_function(call.call->function, call.call->dtype);
  return {Step::Kind::call, function.fn, function.scratch_bytes(call.sizes.data())};
}

/// The last slot of a launch, for its errors, and the checks that look at them when it has run.
void add_checks(Executable& executable, const ScheduledKernel& kernel, Launch& launch) {
  launch.error_slot = static_cast<int32_t>(executable.slots.size());
  launch.num_errors = static_cast<int32_t>(kernel.checks.size());
  executable.slots.push_back({Slot::Kind::arena, kernel.errors});
  executable.slot_pool.push_back(launch.error_slot);
  ++launch.num_slots;
  for (const ScheduledCheck& check : kernel.checks) {
    const auto entry = static_cast<int32_t>(&check - kernel.checks.data());
    executable.steps.push_back({Step::Kind::check, static_cast<int32_t>(executable.checks.size())});
    executable.checks.push_back({launch.error_slot, entry, check.shape, check.extent, check.text});
  }
}

void add_launch(Executable& executable, const ScheduledKernel& kernel, const Code& code) {
  Launch launch;
  launch.fn = code.fn;
  launch.first_slot = static_cast<int32_t>(executable.slot_pool.size());
  launch.num_slots = static_cast<int32_t>(kernel.buffers.size());
  launch.first_size = static_cast<int32_t>(executable.sizes_pool.size());
  launch.iterations = kernel.iterations;
  launch.grain = grain_of(kernel);
  launch.scratch_bytes = code.scratch_bytes;
  executable.slot_pool.insert(executable.slot_pool.end(), kernel.buffers.begin(), kernel.buffers.end());
  executable.sizes_pool.insert(executable.sizes_pool.end(), kernel.sizes.begin(), kernel.sizes.end());
  executable.steps.push_back({code.kind, static_cast<int32_t>(executable.launches.size())});
  if (!kernel.checks.empty()) add_checks(executable, kernel, launch);
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
  size_t next = 0;
  for (const ScheduledKernel& kernel : schedule.kernels) {
    if (kernel.call) {
      add_launch(executable, kernel, code_of(kernel));
    } else {
      const CompiledKernel& code = *kernels[next++];
      add_launch(executable, kernel, {Step::Kind::launch, code.fn(), code.scratch_bytes()});
    }
  }
  for (size_t i = 0; i < schedule.outputs.size(); ++i) {
    executable.outputs.push_back(output_of(schedule.buffers[schedule.outputs[i]], static_cast<int>(i)));
    executable.outputs.back().overwrites = schedule.overwrites[i];
  }
  executable.needs_scratch = std::ranges::any_of(executable.launches, [](const Launch& l) { return l.scratch_bytes > 0; });
  executable.code = std::make_shared<std::vector<KernelHandle>>(std::move(kernels));
  return executable;
}

}  // namespace etch
