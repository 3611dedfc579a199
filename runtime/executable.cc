// The run of a compiled function.
#include "runtime/executable.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <numeric>
#include <ranges>
#include <span>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "runtime/arena.h"
#include "runtime/clock.h"
#include "runtime/loop_cuts.h"
#include "runtime/parallel.h"
#include "runtime/rounding.h"

namespace etch {
namespace {

constexpr int64_t kAlignment = 64;  // of a thread's scratch memory

int64_t aligned(int64_t bytes) { return round_up(bytes, kAlignment); }

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

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

/// All iterations of a launch, by several threads if they are worth it.
void run_iterations(const Launch& launch, void* const* buffers, const int64_t* sizes, std::byte* scratch, const RunOptions& options) {
  const int64_t grain = grain_of(launch, options);
  if (launch.iterations <= grain) {
    if (launch.iterations > 0) launch.fn(buffers, sizes, 0, launch.iterations, scratch);
    return;
  }
  Call call{launch.fn, buffers, sizes, scratch, aligned(launch.scratch_bytes)};
  parallel_for(launch.iterations, grain, options.threads, run_range, &call, options.grain > 0 ? 1 : launch.piece);
}

/// A launch's share of the time that its group takes.
double share_of(const Launch& launch, const LaunchGroup& group) {
  if (group.parts == 0) return 1.0 / group.count;
  return static_cast<double>(parts_of(launch)) / static_cast<double>(group.parts);
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

int64_t parts_of(const Launch& launch) { return Cut(launch, {}).parts(); }

/// What the steps of one run share.
struct Executable::Run {
  Run(const Executable& executable, const void* const* inputs, void* const* outputs, const RunOptions& options)
      : executable(executable),
        inputs(inputs),
        outputs(outputs),
        options(options),
        guard(options.guard ? *options.guard : own_guard),
        memory(executable.memory_bytes(options) + table_bytes(executable)),
        scratch(memory.data() + aligned(executable.arena_bytes)),
        slots(table_bytes(executable) == 0 ? few.data() : table(executable)) {
    for (const Pack& pack : executable.packs) packs.push_back(find(pack));
    for (size_t i = 0; i < executable.slots.size(); ++i) slots[i] = pointer(executable.slots[i]);
  }

  Buffer find(const Pack& pack) const {
    const Buffer* holder = options.holders ? options.holders[pack.input] : nullptr;
    return holder ? find_pack(*holder, inputs[pack.input], pack.layout) : Buffer();
  }

  void* pointer(const Slot& slot) const {
    switch (slot.kind) {
      case Slot::Kind::input: return const_cast<void*>(inputs[slot.index]);
      case Slot::Kind::output: return outputs[slot.index];
      case Slot::Kind::arena: return memory.data() + slot.index;
      case Slot::Kind::guard: return &guard;
      case Slot::Kind::pack: return slot.index < 0 ? nullptr : packs[slot.index].data();
      case Slot::Kind::moving:
      case Slot::Kind::stripe: break;
    }
    return nullptr;
  }
  void pointers_of(const Launch& launch, void** pointers) const {
    const int32_t* of = executable.slot_pool.data() + launch.first_slot;
    for (int32_t i = 0; i < launch.num_slots; ++i) pointers[i] = slots[of[i]];
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
  TurnGuard own_guard;
  TurnGuard& guard;
  const ScratchArena memory;
  std::byte* const scratch;
  absl::InlinedVector<Buffer, 4> packs;  // holds them
  std::array<void*, kFewSlots> few;
  void** const slots;  // where each slot lies now
  double* spent = nullptr;  // per launch of stripes: microseconds of all threads, if anybody wants to know
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
  for (const LaunchGroup& group : groups) {
    const GroupLoop loop(group, launches.data(), options);
    const auto first = launches.begin() + group.first;
    const int64_t of_each = aligned(std::ranges::max(std::span(first, group.count), {}, &Launch::scratch_bytes).scratch_bytes);
    most = std::max(most, of_each * num_workers(loop.parts, loop.grain, options.threads));
  }
  for (const Stripes& of : stripes) {
    const BlockLoop loop(of, options);
    most = std::max(most, bytes_of_worker(of) * num_workers(loop.blocks, loop.grain, options.threads));
  }
  return most;
}

void Executable::run(const void* const* inputs, void* const* outputs, const RunOptions& options) const {
  if (is_one_launch) return run_one_launch(inputs, outputs, options);
  Run run(*this, inputs, outputs, options);
  run_steps(run, [&](const Step& step) { run_launches(step, run); });
}

template <class RunLaunches>
void Executable::run_steps(Run& run, const RunLaunches& launch) const {
  void** const at = run.slots;
  const auto end = static_cast<int32_t>(steps.size());
  for (int32_t next = 0; next < end;) {
    const Step& step = steps[next++];
    switch (step.kind) {
      case Step::Kind::launch:
      case Step::Kind::call:
      case Step::Kind::group:
      case Step::Kind::stripes: launch(step); break;
      case Step::Kind::check: run_check(checks[step.index], run); break;
      case Step::Kind::copy: run_copy(copies[step.index], run); break;
      case Step::Kind::host: run_host(hosts[step.index], run); break;
      case Step::Kind::unless:
        if (!*static_cast<const bool*>(at[step.index])) next = step.to;
        break;
      case Step::Kind::jump: next = step.to; break;
      case Step::Kind::point: at[step.index] = at[step.b]; break;
      case Step::Kind::rotate:
        at[step.index] = at[step.b];
        std::swap(at[step.b], at[step.c]);
        break;
      case Step::Kind::begin: *static_cast<int64_t*>(at[step.index]) = 0; break;
      case Step::Kind::turn:
        if (++*static_cast<int64_t*>(at[step.index]) > run.guard.limit) {
          run.guard.exceeded = true;
          return;
        }
        ++run.guard.turns;
        break;
      case Step::Kind::guard:
        if (run.guard.exceeded) return;
        break;
    }
  }
}

void Executable::run_copy(const Copy& copy, const Run& run) const {
  void* const to = run.slots[copy.to];
  const void* const from = run.slots[copy.from];
  if (to != from) copy_bytes(to, from, copy.bytes, run.options.threads);
}

namespace {

void note(EffectLog& log, int64_t effect, std::span<const HostValue> results) {
  log.done = effect + 1;
  for (const HostValue& result : results) log.bytes += result.type.bytes();
  if (log.bytes > EffectLog::kMostGiven) return log.given.clear();
  if (results.empty()) return;
  std::vector<std::byte>& bytes = log.given.emplace_back(EffectLog::Given{effect, {}}).bytes;
  for (const HostValue& result : results) {
    const auto* data = static_cast<const std::byte*>(result.data);
    bytes.insert(bytes.end(), data, data + result.type.bytes());
  }
}

}  // namespace

bool repeat_effect(const EffectLog& log, int64_t effect, std::span<const HostValue> results) {
  if (effect >= log.done) return false;
  if (results.empty()) return true;
  const auto given = std::ranges::lower_bound(log.given, effect, {}, &EffectLog::Given::effect);
  if (given == log.given.end() || given->effect != effect) return false;
  const std::byte* from = given->bytes.data();
  for (const HostValue& result : results) {
    std::memcpy(result.data, from, static_cast<size_t>(result.type.bytes()));
    from += result.type.bytes();
  }
  return true;
}

void Executable::run_host(const HostCall& host, const Run& run) const {
  const int32_t* slot = slot_pool.data() + host.first_slot;
  const auto values = [&](const std::vector<HostType>& types) {
    absl::InlinedVector<HostValue, 6> values;  // most calls allocate nothing
    for (const HostType& type : types) values.push_back({type, run.slots[*slot++]});
    return values;
  };
  const int64_t effect = *static_cast<const int64_t*>(run.slots[*slot++]);
  const auto operands = values(host.operands);
  auto* const next = static_cast<int64_t*>(run.slots[*slot++]);
  const auto results = values(host.results);
  EffectLog* const log = run.options.effects;
  if (run.options.mute) {
    for (const HostValue& result : results) std::memset(result.data, 0, static_cast<size_t>(result.type.bytes()));
  } else if (!log || !repeat_effect(*log, effect, results)) {
    if (log && effect < log->done) {
      throw Error(host.place + "a loop takes more turns than were confirmed, and what the run took from a data set so far is too"
                  " much to be given once more; give the function the option trust_loops");
    }
    try {
      host.function->run(operands, results);
    } catch (const Error& error) {
      throw Error(host.place + error.what());
    }
    if (log) note(*log, effect, results);
  }
  *next = effect + 1;
}

void Executable::run_launches(const Step& step, const Run& run) const {
  if (step.kind == Step::Kind::group) return run_group(groups[step.index], run);
  if (step.kind == Step::Kind::stripes) return run_stripes(stripes[step.index], run);
  run_launch(launches[step.index], run);
}

void Executable::run_launch(const Launch& launch, const Run& run) const {
  std::array<void*, kMaxSlots> pointers;
  run.pointers_of(launch, pointers.data());
  for (int32_t i = 0; i < launch.num_errors; ++i) run.errors(launch.error_slot)[i] = {kNoError, 0, 0};
  run_iterations(launch, pointers.data(), sizes_pool.data() + launch.first_size, run.scratch, run.options);
}

void Executable::run_one_launch(const void* const* inputs, void* const* outputs, const RunOptions& options) const {
  std::array<void*, kMaxSlots> pointers;
  const Launch& launch = launches.front();
  const int32_t* of = slot_pool.data() + launch.first_slot;
  for (int32_t i = 0; i < launch.num_slots; ++i) {
    const Slot& slot = slots[of[i]];
    pointers[i] = slot.kind == Slot::Kind::input ? const_cast<void*>(inputs[slot.index]) : outputs[slot.index];
  }
  const int64_t* of_launch = sizes_pool.data() + launch.first_size;
  if (launch.scratch_bytes == 0) return run_iterations(launch, pointers.data(), of_launch, nullptr, options);
  constexpr int64_t kFewBytes = 4096;
  if (launch.scratch_bytes > kFewBytes || launch.iterations > grain_of(launch, options)) {
    const ScratchArena memory(scratch_bytes(options));
    return run_iterations(launch, pointers.data(), of_launch, memory.data(), options);
  }
  // To take memory and give it back takes as long as few elements do.
  alignas(kAlignment) std::byte few[kFewBytes];
  run_iterations(launch, pointers.data(), of_launch, few, options);
}

void Executable::run_group(const LaunchGroup& group, const Run& run) const {
  const GroupLoop loop(group, launches.data(), run.options);
  if (num_workers(loop.parts, loop.grain, run.options.threads) == 1) {
    for (int32_t i = 0; i < group.count; ++i) run_launch(launches[group.first + i], run);
    return;
  }
  struct Context {
    const Executable& executable;
    const LaunchGroup& group;
    const Run& run;
  } context{*this, group, run};
  const auto body = [](void* data, int worker, int64_t begin, int64_t end) {
    const auto& [executable, group, run] = *static_cast<const Context*>(data);
    executable.run_parts(group, run, worker, begin, end);
  };
  parallel_for(loop.parts, loop.grain, run.options.threads, body, &context);
}

void Executable::run_parts(const LaunchGroup& group, const Run& run, int worker, int64_t begin, int64_t end) const {
  std::array<void*, kMaxSlots> pointers;
  const std::span of_group(launches.begin() + group.first, group.count);
  const int64_t of_worker = aligned(std::ranges::max(of_group, {}, &Launch::scratch_bytes).scratch_bytes);
  int64_t before = 0;  // parts of the launches up to this one
  for (int32_t i = 0; i < group.count && before < end; ++i) {
    const Launch& launch = launches[group.first + i];
    const Cut cut(launch, run.options);
    const int64_t parts = cut.parts();
    const int64_t from = cut.edge(std::clamp<int64_t>(begin - before, 0, parts));
    const int64_t to = cut.edge(std::clamp<int64_t>(end - before, 0, parts));
    before += parts;
    if (from == to) continue;
    run.pointers_of(launch, pointers.data());
    launch.fn(pointers.data(), sizes_pool.data() + launch.first_size, from, to, run.scratch + worker * of_worker);
  }
}

int64_t Executable::bytes_of_worker(const Stripes& stripes) const {
  const auto first = launches.begin() + stripes.group.first;
  const int64_t most = std::ranges::max(std::span(first, stripes.group.count), {}, &Launch::scratch_bytes).scratch_bytes;
  return aligned(stripes.bytes) + aligned(most);
}

void Executable::run_stripes(const Stripes& stripes, const Run& run) const {
  struct Context {
    const Executable& executable;
    const Stripes& stripes;
    const Run& run;
    const BlockLoop loop;
    const int64_t bytes_of_worker;
  } context{*this, stripes, run, BlockLoop(stripes, run.options), bytes_of_worker(stripes)};
  const auto body = [](void* data, int worker, int64_t begin, int64_t end) {
    const auto& [executable, stripes, run, loop, bytes] = *static_cast<const Context*>(data);
    for (int64_t number = begin; number < end; ++number) {
      const auto [first, last] = loop.rows_of(number);
      if (first < last) executable.run_block(stripes, run, run.scratch + worker * bytes, first, last);
    }
  };
  parallel_for(context.loop.blocks, context.loop.grain, run.options.threads, body, &context);
}

void Executable::run_block(const Stripes& stripes, const Run& run, std::byte* memory, int64_t begin, int64_t end) const {
  std::array<void*, kMaxSlots> pointers;
  for (int32_t l = stripes.group.first; l < stripes.group.first + stripes.group.count; ++l) {
    const Launch& launch = launches[l];
    run.pointers_of(launch, pointers.data());
    for (int32_t i = 0; i < launch.num_slots; ++i) {
      const Slot& slot = slots[slot_pool[launch.first_slot + i]];
      if (slot.kind != Slot::Kind::stripe) continue;
      // Where row 0 would lie. Whole lines before it, so that every row lies in its lines as it would in full.
      const int64_t before = begin * slot.row_bytes / kAlignment * kAlignment;
      pointers[i] = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(memory + slot.index) - static_cast<uintptr_t>(before));
    }
    const int64_t per_row = launch.iterations / stripes.rows;
    const auto start = run.spent ? Clock::now() : Clock::time_point();
    launch.fn(pointers.data(), sizes_pool.data() + launch.first_size, begin * per_row, end * per_row,
              memory + aligned(stripes.bytes));
    if (run.spent) std::atomic_ref<double>(run.spent[l]).fetch_add(microseconds_since(start), std::memory_order_relaxed);
  }
}

bool Executable::can_fail_after_writing(int output) const {
  const auto is_output = [&](int32_t slot) { return slots[slot].kind == Slot::Kind::output && slots[slot].index == output; };
  const auto touches = [&](const Launch& launch) {
    return std::any_of(slot_pool.begin() + launch.first_slot, slot_pool.begin() + launch.first_slot + launch.num_slots, is_output);
  };
  bool touched = false;
  if (has_jumps()) {
    // An earlier turn of a loop may write, and a moving slot be the output.
    const bool fails = !checks.empty() || !hosts.empty() || has_guarded_loops();
    return fails && std::ranges::any_of(std::views::iota(0, static_cast<int32_t>(slots.size())), is_output);
  }
  for (const Step& step : steps) {
    const bool may_end = step.kind == Step::Kind::check || step.kind == Step::Kind::host || step.kind == Step::Kind::guard;
    if (may_end && touched) return true;
    const LaunchGroup group = launches_of(step);
    touched |= std::any_of(launches.begin() + group.first, launches.begin() + group.first + group.count, touches);
    touched |= step.kind == Step::Kind::copy && is_output(copies[step.index].to);
    if (step.kind == Step::Kind::host) {
      const auto first = slot_pool.begin() + hosts[step.index].first_slot;
      touched |= std::any_of(first, first + hosts[step.index].num_slots(), is_output);
    }
  }
  return false;
}

LaunchGroup Executable::launches_of(const Step& step) const {
  switch (step.kind) {
    case Step::Kind::launch:
    case Step::Kind::call: return {step.index, 1, parts_of(launches[step.index])};
    case Step::Kind::group: return groups[step.index];
    case Step::Kind::stripes: return stripes[step.index].group;
    default: return {};
  }
}

bool Executable::has_guarded_loops() const {
  return std::ranges::any_of(steps, [](const Step& step) {
    return step.kind == Step::Kind::turn || step.kind == Step::Kind::guard;
  });
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
  RunOptions mute = options;
  mute.mute = true;
  Run run(*this, inputs, outputs, mute);
  std::vector<std::vector<double>> times(launches.size());
  std::vector<double> spent(launches.size());
  run.spent = spent.data();
  for (int i = 0; i < runs; ++i) {
    for (std::vector<double>& t : times) t.push_back(0);
    run_steps(run, [&](const Step& step) {
      std::ranges::fill(spent, 0);
      const auto start = Clock::now();
      run_launches(step, run);
      const double whole = microseconds_since(start), of_blocks = std::reduce(spent.begin(), spent.end());
      const LaunchGroup group = launches_of(step);
      for (int32_t l = group.first; l < group.first + group.count; ++l) {
        times[l].back() += whole * (of_blocks > 0 ? spent[l] / of_blocks : share_of(launches[l], group));
      }
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

std::string number(int64_t value) { return std::to_string(value); }

std::string launch_text(const Executable& executable, int32_t index) {
  const Launch& launch = executable.launches[index];
  std::string text = executable.names[index] + "(";
  for (int32_t i = 0; i < launch.num_slots; ++i) {
    text += (i > 0 ? ", s" : "s") + number(executable.slot_pool[launch.first_slot + i]);
  }
  text += ") for " + number(launch.iterations) + " by " + number(launch.grain);
  if (launch.scratch_bytes > 0) text += ", scratch " + number(launch.scratch_bytes);
  if (launch.error_slot >= 0) text += ", errors in s" + number(launch.error_slot);
  return text + "\n";
}

std::string stripes_text(const Stripes& stripes) {
  return "stripes of " + number(stripes.group.count) + ", " + number(stripes.rows) + " rows in blocks of " + number(stripes.block) +
         " within " + number(stripes.segment) + " by " + number(stripes.grain) + ", " + number(stripes.bytes) +
         " bytes for each thread\n";
}

/// Of any step but launches.
std::string step_text(const Executable& executable, const Step& step) {
  const auto slot = [&](int32_t index) { return "s" + number(index); };
  switch (step.kind) {
    case Step::Kind::launch:
    case Step::Kind::call:
    case Step::Kind::group:
    case Step::Kind::stripes: break;
    case Step::Kind::check: {
      const Check& check = executable.checks[step.index];
      return "check " + slot(check.error_slot) + "[" + number(check.entry) + "]: " + check.text;
    }
    case Step::Kind::copy: {
      const Copy& copy = executable.copies[step.index];
      return "copy " + number(copy.bytes) + " to " + slot(copy.to) + " from " + slot(copy.from);
    }
    case Step::Kind::host: {
      const HostCall& host = executable.hosts[step.index];
      std::string text = "host " + std::string(host.function->name());
      for (int32_t i = 0; i < host.num_slots(); ++i) {
        text += (i == 0 ? "(" : ", ") + slot(executable.slot_pool[host.first_slot + i]);
      }
      return text + ")";
    }
    case Step::Kind::unless: return "unless " + slot(step.index) + " go to " + number(step.to);
    case Step::Kind::jump: return "go to " + number(step.to);
    case Step::Kind::point: return slot(step.index) + " is " + slot(step.b);
    case Step::Kind::rotate: return slot(step.index) + " is " + slot(step.b) + ", which takes turns with " + slot(step.c);
    case Step::Kind::begin: return "no turn yet in " + slot(step.index);
    case Step::Kind::turn: return "a turn more in " + slot(step.index);
    case Step::Kind::guard: return "end if a loop may not go on";
  }
  return {};
}

}  // namespace

std::string to_string(const Executable& executable) {
  std::string text;
  for (size_t i = 0; i < executable.slots.size(); ++i) {
    constexpr const char* kKinds[] = {"input ", "output ", "memory at ", "moves", "guard of turns", "stripe at ", "pack "};
    const Slot& slot = executable.slots[i];
    text += "s" + number(i) + ": " + kKinds[static_cast<int>(slot.kind)];
    const bool is_pack = slot.kind == Slot::Kind::pack;
    const bool has_index = slot.kind != Slot::Kind::moving && slot.kind != Slot::Kind::guard && !is_pack;
    text += has_index ? number(slot.index) : "";
    if (is_pack) text += slot.index < 0 ? "of nothing" : "of input " + number(executable.packs[slot.index].input);
    text += (slot.kind == Slot::Kind::stripe ? ", " + number(slot.row_bytes) + " bytes a row" : "") + "\n";
  }
  const bool is_numbered = std::ranges::any_of(executable.steps, [](const Step& step) { return step.to >= 0; });
  for (size_t i = 0; i < executable.steps.size(); ++i) {
    const Step& step = executable.steps[i];
    if (is_numbered) text += number(static_cast<int64_t>(i)) + ": ";
    const LaunchGroup group = executable.launches_of(step);
    if (group.count == 0) text += step_text(executable, step) + "\n";
    const bool is_group = step.kind == Step::Kind::group;
    if (is_group) text += "group of " + number(group.count) + ", " + number(group.parts) + " parts of " + number(kTaskParts) + "\n";
    const bool is_stripes = step.kind == Step::Kind::stripes;
    if (is_stripes) text += stripes_text(executable.stripes[step.index]);
    for (int32_t l = group.first; l < group.first + group.count; ++l) {
      text += (is_group || is_stripes ? "  launch " : step.kind == Step::Kind::call ? "call " : "launch ") + launch_text(executable, l);
    }
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
