// The run of a compiled function.
#include "runtime/executable.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

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
        memory(executable.memory_bytes(options) + table_bytes(executable)),
        scratch(memory.data() + aligned(executable.arena_bytes)),
        slots(table_bytes(executable) == 0 ? few.data() : table(executable)) {
    for (size_t i = 0; i < executable.slots.size(); ++i) slots[i] = pointer(executable.slots[i]);
  }

  void* pointer(const Slot& slot) const {
    switch (slot.kind) {
      case Slot::Kind::input: return const_cast<void*>(inputs[slot.index]);
      case Slot::Kind::output: return outputs[slot.index];
      case Slot::Kind::arena: return memory.data() + slot.index;
      case Slot::Kind::moving: break;
    }
    return nullptr;
  }
  IndexError* errors(int32_t slot) const { return static_cast<IndexError*>(slots[slot]); }

  static constexpr size_t kFewSlots = 64;
  /// Of the table of slots, which lies behind all other memory where they are many.
  static int64_t table_bytes(const Executable& executable) {
    const size_t count = executable.slots.size();
    return count <= kFewSlots ? 0 : static_cast<int64_t>(count * sizeof(void*));
  }
  void** table(const Executable& executable) const {
    return reinterpret_cast<void**>(memory.data() + executable.memory_bytes(options));
  }

  const Executable& executable;
  const void* const* inputs;
  void* const* outputs;
  const RunOptions& options;
  const ScratchArena memory;
  std::byte* const scratch;
  std::array<void*, kFewSlots> few;
  void** const slots;  // where each slot lies now
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
  Run run(*this, inputs, outputs, options);
  run_steps(run, [&](int32_t launch) { run_launch(launches[launch], run); });
}

template <class RunLaunch>
void Executable::run_steps(Run& run, const RunLaunch& launch) const {
  void** const at = run.slots;
  const auto end = static_cast<int32_t>(steps.size());
  for (int32_t next = 0; next < end;) {
    const Step& step = steps[next++];
    switch (step.kind) {
      case Step::Kind::launch:
      case Step::Kind::call: launch(step.index); break;
      case Step::Kind::check: run_check(checks[step.index], run); break;
      case Step::Kind::copy: run_copy(copies[step.index], run); break;
      case Step::Kind::unless:
        if (!*static_cast<const bool*>(at[step.index])) next = step.to;
        break;
      case Step::Kind::jump: next = step.to; break;
      case Step::Kind::point: at[step.index] = at[step.b]; break;
      case Step::Kind::rotate:
        at[step.index] = at[step.b];
        std::swap(at[step.b], at[step.c]);
        break;
    }
  }
}

void Executable::run_copy(const Copy& copy, const Run& run) const {
  void* const to = run.slots[copy.to];
  const void* const from = run.slots[copy.from];
  if (to != from) copy_bytes(to, from, copy.bytes, run.options.threads);
}

void Executable::run_launch(const Launch& launch, const Run& run) const {
  std::array<void*, kMaxSlots> pointers;
  for (int32_t i = 0; i < launch.num_slots; ++i) pointers[i] = run.slots[slot_pool[launch.first_slot + i]];
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
  if (has_jumps()) {
    // An earlier turn of a loop may write, and a moving slot be the output.
    const bool fails = !checks.empty();
    return fails && std::ranges::any_of(slots, [&](const Slot& slot) {
      return slot.kind == Slot::Kind::output && slot.index == output;
    });
  }
  for (const Step& step : steps) {
    if (step.kind == Step::Kind::check && touched) return true;
    if (step.kind != Step::Kind::check) touched |= touches(launches[step.index]);
  }
  return false;
}

bool Executable::has_jumps() const {
  return std::ranges::any_of(steps, [](const Step& step) { return step.to >= 0; });
}

void Executable::run_check(const Check& check, const Run& run) const {
  const IndexError& error = run.errors(check.error_slot)[check.entry];
  if (error.position != kNoError) fail(check, error);
}

std::vector<double> Executable::profile(const void* const* inputs, void* const* outputs, const RunOptions& options,
                                        int runs) const {
  Run run(*this, inputs, outputs, options);
  std::vector<std::vector<double>> times(launches.size());
  for (int i = 0; i < runs; ++i) {
    for (std::vector<double>& t : times) t.push_back(0);
    run_steps(run, [&](int32_t launch) {
      const auto start = std::chrono::steady_clock::now();
      run_launch(launches[launch], run);
      const std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
      times[launch].back() += spent.count();
    });
  }
  std::vector<double> medians;
  for (std::vector<double>& t : times) {
    std::nth_element(t.begin(), t.begin() + runs / 2, t.end());
    medians.push_back(t[runs / 2]);
  }
  return medians;
}

namespace {

/// Of any step but a launch.
std::string step_text(const Executable& executable, const Step& step) {
  const auto number = [](int64_t value) { return std::to_string(value); };
  const auto slot = [&](int32_t index) { return "s" + number(index); };
  switch (step.kind) {
    case Step::Kind::launch:
    case Step::Kind::call: break;
    case Step::Kind::check: {
      const Check& check = executable.checks[step.index];
      return "check " + slot(check.error_slot) + "[" + number(check.entry) + "]: " + check.text;
    }
    case Step::Kind::copy: {
      const Copy& copy = executable.copies[step.index];
      return "copy " + number(copy.bytes) + " to " + slot(copy.to) + " from " + slot(copy.from);
    }
    case Step::Kind::unless: return "unless " + slot(step.index) + " go to " + number(step.to);
    case Step::Kind::jump: return "go to " + number(step.to);
    case Step::Kind::point: return slot(step.index) + " is " + slot(step.b);
    case Step::Kind::rotate: return slot(step.index) + " is " + slot(step.b) + ", which takes turns with " + slot(step.c);
  }
  return {};
}

}  // namespace

std::string to_string(const Executable& executable) {
  const auto number = [](int64_t value) { return std::to_string(value); };
  std::string text;
  for (size_t i = 0; i < executable.slots.size(); ++i) {
    constexpr const char* kKinds[] = {"input ", "output ", "memory at ", "moves"};
    const Slot& slot = executable.slots[i];
    text += "s" + number(i) + ": " + kKinds[static_cast<int>(slot.kind)];
    text += (slot.kind == Slot::Kind::moving ? "" : number(slot.index)) + "\n";
  }
  const bool is_numbered = std::ranges::any_of(executable.steps, [](const Step& step) { return step.to >= 0; });
  for (size_t i = 0; i < executable.steps.size(); ++i) {
    const Step& step = executable.steps[i];
    if (is_numbered) text += number(static_cast<int64_t>(i)) + ": ";
    if (step.kind != Step::Kind::launch && step.kind != Step::Kind::call) {
      text += step_text(executable, step) + "\n";
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
