// The run of a compiled function.
#include "runtime/executable.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "runtime/arena.h"
#include "runtime/parallel.h"

namespace etch {
namespace {

constexpr int64_t kAlignment = 64;  // of a thread's scratch memory

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// What the range of a launch needs.
struct Call {
  KernelFn fn;
  void* const* buffers;
  const int64_t* sizes;
  std::byte* scratch;
  int64_t scratch_stride;  // from worker to worker
};

void run_range(void* context, int worker, int64_t begin, int64_t end) {
  const Call& call = *static_cast<const Call*>(context);
  call.fn(call.buffers, call.sizes, begin, end, call.scratch + worker * call.scratch_stride);
}

int64_t grain_of(const Launch& launch, const RunOptions& options) {
  return options.grain > 0 ? options.grain : launch.grain;
}

[[noreturn]] void fail(const Check& check, const IndexError& error) {
  Dims place = row_major_strides(check.shape);
  int64_t rest = error.position;
  for (int64_t& axis : place) {
    const int64_t stride = std::max<int64_t>(axis, 1);
    axis = rest / stride;
    rest %= stride;
  }
  throw Error(check.text + ": index " + std::to_string(error.index) + ", at " + to_string(place) +
              " of the indices, is not in 0.." + std::to_string(check.extent - 1) +
              (error.index < 0 ? "; negative indices do not count from the end" : "; clip the indices first"));
}

}  // namespace

/// What the steps of one run share.
struct Executable::Run {
  Run(const Executable& executable, const void* const* inputs, void* const* outputs, const RunOptions& options)
      : executable(executable),
        inputs(inputs),
        outputs(outputs),
        options(options),
        memory(executable.memory_bytes(options)),
        scratch(memory.data() + aligned(executable.arena_bytes)) {}

  void* pointer(int32_t slot_index) const {
    const Slot& slot = executable.slots[slot_index];
    switch (slot.kind) {
      case Slot::Kind::input: return const_cast<void*>(inputs[slot.index]);
      case Slot::Kind::output: return outputs[slot.index];
      case Slot::Kind::arena: break;
    }
    return memory.data() + slot.index;
  }
  IndexError* errors(int32_t slot_index) const { return static_cast<IndexError*>(pointer(slot_index)); }

  const Executable& executable;
  const void* const* inputs;
  void* const* outputs;
  const RunOptions& options;
  const ScratchArena memory;
  std::byte* const scratch;
};

int64_t Executable::memory_bytes(const RunOptions& options) const {
  return aligned(arena_bytes) + (needs_scratch ? scratch_bytes(options) : 0);
}

int64_t Executable::scratch_bytes(const RunOptions& options) const {
  int64_t most = 0;
  for (const Launch& launch : launches) {
    if (launch.scratch_bytes == 0) continue;
    most = std::max(most, aligned(launch.scratch_bytes) *
                              num_workers(launch.iterations, grain_of(launch, options), options.threads));
  }
  return most;
}

void Executable::run(const void* const* inputs, void* const* outputs, const RunOptions& options) const {
  const Run run(*this, inputs, outputs, options);
  for (const Step& step : steps) {
    switch (step.kind) {
      case Step::Kind::launch:
      case Step::Kind::call: run_launch(launches[step.index], run); break;
      case Step::Kind::check: run_check(checks[step.index], run); break;
    }
  }
}

void Executable::run_launch(const Launch& launch, const Run& run) const {
  std::array<void*, kMaxSlots> pointers;
  for (int32_t i = 0; i < launch.num_slots; ++i) pointers[i] = run.pointer(slot_pool[launch.first_slot + i]);
  for (int32_t i = 0; i < launch.num_errors; ++i) run.errors(launch.error_slot)[i] = {kNoError, 0, 0};
  const int64_t* sizes = sizes_pool.data() + launch.first_size;
  const int64_t grain = grain_of(launch, run.options);
  if (launch.iterations <= grain) {
    if (launch.iterations > 0) launch.fn(pointers.data(), sizes, 0, launch.iterations, run.scratch);
    return;
  }
  Call call{launch.fn, pointers.data(), sizes, run.scratch, aligned(launch.scratch_bytes)};
  parallel_for(launch.iterations, grain, run.options.threads, run_range, &call);
}

bool Executable::can_fail_after_writing(int output) const {
  const auto touches = [&](const Launch& launch) {
    return std::any_of(slot_pool.begin() + launch.first_slot, slot_pool.begin() + launch.first_slot + launch.num_slots,
                       [&](int32_t slot) {
                         return slots[slot].kind == Slot::Kind::output && slots[slot].index == output;
                       });
  };
  bool touched = false;
  for (const Step& step : steps) {
    if (step.kind == Step::Kind::check && touched) return true;
    if (step.kind != Step::Kind::check) touched |= touches(launches[step.index]);
  }
  return false;
}

void Executable::run_check(const Check& check, const Run& run) const {
  const IndexError& error = run.errors(check.error_slot)[check.entry];
  if (error.position != kNoError) fail(check, error);
}

std::vector<double> Executable::profile(const void* const* inputs, void* const* outputs, const RunOptions& options,
                                        int runs) const {
  const Run run(*this, inputs, outputs, options);
  std::vector<std::vector<double>> times(launches.size());
  for (int i = 0; i < runs; ++i) {
    for (const Step& step : steps) {
      if (step.kind == Step::Kind::check) {
        run_check(checks[step.index], run);
        continue;
      }
      const auto start = std::chrono::steady_clock::now();
      run_launch(launches[step.index], run);
      const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
      times[step.index].push_back(spent.count());
    }
  }
  std::vector<double> medians;
  for (std::vector<double>& t : times) {
    std::nth_element(t.begin(), t.begin() + runs / 2, t.end());
    medians.push_back(t[runs / 2]);
  }
  return medians;
}

std::string to_string(const Executable& executable) {
  const auto number = [](int64_t value) { return std::to_string(value); };
  std::string text;
  for (size_t i = 0; i < executable.slots.size(); ++i) {
    constexpr const char* kKinds[] = {"input ", "output ", "memory at "};
    const Slot& slot = executable.slots[i];
    text += "s" + number(i) + ": " + kKinds[static_cast<int>(slot.kind)] + number(slot.index) + "\n";
  }
  for (const Step& step : executable.steps) {
    if (step.kind == Step::Kind::check) {
      const Check& check = executable.checks[step.index];
      text += "check s" + number(check.error_slot) + "[" + number(check.entry) + "]: " + check.text + "\n";
      continue;
    }
    const Launch& launch = executable.launches[step.index];
    text += (step.kind == Step::Kind::call ? "call " : "launch ") + executable.names[step.index] + "(";
    for (int32_t i = 0; i < launch.num_slots; ++i) {
      text += (i > 0 ? ", s" : "s") + number(executable.slot_pool[launch.first_slot + i]);
    }
    text += ") for " + number(launch.iterations) + " by " + number(launch.grain);
    if (launch.scratch_bytes > 0) text += ", scratch " + number(launch.scratch_bytes);
    if (launch.error_slot >= 0) text += ", errors in s" + number(launch.error_slot);
    text += "\n";
  }
  for (size_t i = 0; i < executable.outputs.size(); ++i) {
    constexpr const char* kSame[] = {"", ", the same as input ", ", the same as output "};
    const Output& output = executable.outputs[i];
    text += "output " + number(i) + ": " + number(output.bytes) + " bytes" + kSame[static_cast<int>(output.same_as)];
    text += output.same_as == Output::SameAs::nothing ? "" : number(output.index);
    text += (output.overwrites < 0 ? "" : ", may overwrite input " + number(output.overwrites)) + "\n";
  }
  return text;
}

}  // namespace etch
