// Graph -> Executable: passes, schedule, code generation, and the plain data that runs.
#include "compiler/compile.h"

#include <algorithm>
#include <chrono>

#include "compiler/schedule/verify_schedule.h"

namespace etch {
namespace {

// Debug builds verify every compile.
#ifdef ETCH_VERIFY_ALWAYS
constexpr bool kVerifyAlways = true;
#else
constexpr bool kVerifyAlways = false;
#endif

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// A task is worth handing to another thread from about this much work on, in additions.
constexpr int64_t kTaskWork = int64_t{1} << 18;
constexpr int64_t kMemoryWork = 2;  // of one access of one element: about what streaming it costs beside an addition

int64_t grain_of(const ScheduledKernel& kernel) {
  int64_t work = kernel.work;
  if (kernel.program.kind == KernelKind::loop) work += kMemoryWork * static_cast<int64_t>(kernel.buffers.size());
  int64_t grain = kTaskWork / std::max<int64_t>(work, 1);
  // Rows stand for themselves; elements are split at whole cache lines, rows of a product at whole tiles.
  int64_t multiple = kernel.program.kind == KernelKind::row ? 1 : 64;
  return std::max<int64_t>(1, (grain + multiple - 1) / multiple) * multiple;
}

Executable link(const Schedule& schedule, std::vector<KernelHandle> kernels) {
  Executable executable;
  executable.arena_bytes = schedule.arena_bytes;
  for (const ScheduledBuffer& buffer : schedule.buffers) {
    switch (buffer.kind) {
      case ScheduledBuffer::Kind::input: executable.slots.push_back({Slot::Kind::input, buffer.index}); break;
      case ScheduledBuffer::Kind::output: executable.slots.push_back({Slot::Kind::output, buffer.index}); break;
      case ScheduledBuffer::Kind::temporary: executable.slots.push_back({Slot::Kind::arena, buffer.offset}); break;
    }
  }
  for (size_t i = 0; i < schedule.kernels.size(); ++i) {
    const ScheduledKernel& kernel = schedule.kernels[i];
    Launch launch;
    launch.fn = kernels[i]->fn();
    launch.first_slot = static_cast<int32_t>(executable.slot_pool.size());
    launch.num_slots = static_cast<int32_t>(kernel.buffers.size());
    launch.first_size = static_cast<int32_t>(executable.sizes_pool.size());
    launch.iterations = kernel.iterations;
    launch.grain = grain_of(kernel);
    executable.slot_pool.insert(executable.slot_pool.end(), kernel.buffers.begin(), kernel.buffers.end());
    executable.sizes_pool.insert(executable.sizes_pool.end(), kernel.sizes.begin(), kernel.sizes.end());
    launch.scratch_bytes = kernels[i]->scratch_bytes();
    executable.steps.push_back({Step::Kind::launch, static_cast<int32_t>(executable.launches.size())});
    executable.launches.push_back(launch);
    executable.names.push_back(kernel.name);
  }
  for (size_t i = 0; i < schedule.outputs.size(); ++i) {
    const ScheduledBuffer& buffer = schedule.buffers[schedule.outputs[i]];
    Output output{buffer.bytes};
    if (buffer.kind == ScheduledBuffer::Kind::input) output = {buffer.bytes, Output::SameAs::input, buffer.index};
    const bool is_earlier = buffer.kind == ScheduledBuffer::Kind::output && buffer.index != static_cast<int>(i);
    if (is_earlier) output = {buffer.bytes, Output::SameAs::output, buffer.index};
    executable.outputs.push_back(output);
  }
  executable.code = std::make_shared<std::vector<KernelHandle>>(std::move(kernels));
  return executable;
}

}  // namespace

PassOptions pass_options(const CompileOptions& options) {
  return {.prune_and_simplify = options.prune_and_simplify, .verify = options.verify || kVerifyAlways};
}

absl::StatusOr<Compiled> compile(const Graph& graph, const CompileOptions& options, const PassObserver& observe) {
  Compiled compiled;
  const auto note = [&](std::string_view pass, const Graph& changed) {
    compiled.changing_passes.push_back(pass);
    if (observe) observe(pass, changed);
  };
  Clock::time_point start = Clock::now();
  absl::StatusOr<Graph> lowered = run_passes(graph, pass_options(options), note);
  if (!lowered.ok()) return lowered.status();
  compiled.graph = *std::move(lowered);
  compiled.pass_milliseconds = milliseconds_since(start);

  start = Clock::now();
  absl::StatusOr<Schedule> schedule = make_schedule(compiled.graph, {.fuse = options.fuse});
  if (!schedule.ok()) return schedule.status();
  compiled.schedule = *std::move(schedule);
  if (options.verify || kVerifyAlways) {
    if (absl::Status status = verify(compiled.schedule, compiled.graph); !status.ok()) return status;
  }
  compiled.schedule_milliseconds = milliseconds_since(start);

  std::vector<const KernelProgram*> programs;
  for (const ScheduledKernel& kernel : compiled.schedule.kernels) {
    if (kernel.buffers.size() > kMaxSlots) return absl::InternalError("kernel " + kernel.name + " has too many buffers");
    programs.push_back(&kernel.program);
  }
  absl::StatusOr<std::vector<KernelHandle>> kernels =
      compile_kernels(programs, options.codegen(), &compiled.counts, options.verify || kVerifyAlways);
  if (!kernels.ok()) return kernels.status();
  compiled.executable = std::make_shared<const Executable>(link(compiled.schedule, *std::move(kernels)));
  return compiled;
}

}  // namespace etch
