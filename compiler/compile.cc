// Graph -> Executable: passes, schedule, code generation, and the plain data that runs.
#include "compiler/compile.h"

#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "compiler/link.h"
#include "compiler/schedule/verify_schedule.h"
#include "runtime/check.h"
#include "runtime/clock.h"
#include "runtime/stack.h"

namespace etch {
namespace {

// Debug builds verify every compile.
#ifdef ETCH_VERIFY_ALWAYS
constexpr bool kVerifyAlways = true;
#else
constexpr bool kVerifyAlways = false;
#endif

bool verifies(const CompileOptions& options) { return options.verify || kVerifyAlways; }

absl::StatusOr<Graph> lower(const Graph& graph, const CompileOptions& options, const PassObserver& observe,
                            Compiled& compiled) {
  const auto note = [&](std::string_view pass, const Graph& changed) {
    compiled.changing_passes.push_back(pass);
    if (observe) observe(pass, changed);
  };
  return run_passes(graph, pass_options(options), note);
}

absl::StatusOr<Schedule> schedule(const Graph& graph, const CompileOptions& options) {
  absl::StatusOr<Schedule> made = make_schedule(
      graph, {.fuse = options.fuse, .native_regions = options.native_regions, .group = options.group,
              .masked_regions = options.masked_regions, .stripes = options.stripes, .blocks = options.blocks,
              .cache_bytes = options.cache_bytes, .shared_outputs = options.shared_outputs, .overwrites = options.overwrites});
  if (!made.ok() || !verifies(options)) return made;
  checked(verify(*made, graph));
  return made;
}

absl::StatusOr<std::vector<KernelHandle>> generate(const Schedule& schedule, const Graph& graph,
                                                   const CompileOptions& options, CompileCounts& counts) {
  std::vector<const KernelProgram*> programs;
  for_each_kernel(schedule, graph, [&](const Schedule&, const Graph&, const ScheduledKernel& kernel) {
    ETCH_CHECK(kernel.buffers.size() < kMaxSlots, "kernel " + kernel.name + " has too many buffers");
    if (!kernel.call) programs.push_back(&kernel.program);
  });
  return compile_kernels(programs, options.codegen(), &counts, verifies(options), options.threads);
}

/// Keeps the value of a step and its time; false, with the status, if it failed.
template <class T>
bool keep(T& place, double& milliseconds, absl::Status& status, auto step) {
  const auto start = Clock::now();
  absl::StatusOr<T> value = step();
  milliseconds = milliseconds_since(start);
  status = value.status();
  if (value.ok()) place = *std::move(value);
  return value.ok();
}

}  // namespace

PassOptions pass_options(const CompileOptions& options) {
  return {.prune_and_simplify = options.prune_and_simplify, .fuse = options.fuse, .verify = verifies(options)};
}

absl::StatusOr<Compiled> compile(const Graph& graph, const CompileOptions& options, const PassObserver& observe) {
  return with_large_stack([&]() -> absl::StatusOr<Compiled> {
    Compiled c;
    absl::Status status;
    std::vector<KernelHandle> kernels;
    double code_milliseconds = 0;  // what the counts say is the part in the code generator
    const bool done =
        keep(c.graph, c.pass_milliseconds, status, [&] { return lower(graph, options, observe, c); }) &&
        keep(c.schedule, c.schedule_milliseconds, status, [&] { return schedule(c.graph, options); }) &&
        keep(kernels, code_milliseconds, status, [&] { return generate(c.schedule, c.graph, options, c.counts); });
    if (!done) return status;
    c.executable = std::make_shared<const Executable>(link(c.schedule, std::move(kernels), options.target, options.group));
    return c;
  });
}

}  // namespace etch
