// The linker: schedule and machine code in, the plain data that runs out.
#include "compiler/link.h"

#include <algorithm>
#include <memory>
#include <span>

#include "compiler/codegen/kept_bytes.h"
#include "compiler/group_launches.h"
#include "compiler/packed_operand.h"
#include "compiler/schedule/grain.h"

namespace etch {
namespace {

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

Slot slot_of(const ScheduledBuffer& buffer) {
  switch (buffer.kind) {
    case ScheduledBuffer::Kind::input: return {Slot::Kind::input, buffer.index};
    case ScheduledBuffer::Kind::output: return {Slot::Kind::output, buffer.index};
    case ScheduledBuffer::Kind::stripe: return {Slot::Kind::stripe, buffer.offset, buffer.row_bytes};
    case ScheduledBuffer::Kind::temporary: break;
  }
  return {Slot::Kind::arena, buffer.offset};
}

/// Lays the kernels of a schedule, and of the regions in it, one after the other.
class Linker {
 public:
  Linker(Executable& executable, const std::vector<KernelHandle>& kernels, const Target& target)
      : executable_(executable), kernels_(kernels), target_(target) {}

  /// @param slots the slot of each buffer of the schedule.
  /// @param arena the offset of the schedule's arena in that of the executable.
  /// @param groups joins equal launches; null in regions, whose slots may move.
  void add(const Schedule& schedule, const std::vector<int32_t>& slots, int64_t arena, LaunchGroups* groups = nullptr) {
    auto stripes = schedule.stripes.begin();
    for (int k = 0; k < static_cast<int>(schedule.kernels.size()); ++k) {
      const ScheduledKernel& kernel = schedule.kernels[k];
      if (stripes != schedule.stripes.end() && k == stripes->first) {
        add_stripes(schedule, *stripes, slots, arena);
        k = (stripes++)->end() - 1;
      } else if (kernel.flow) {
        add_flow(schedule, kernel, slots, arena);
      } else if (kernel.host) {
        add_host(kernel, slots);
      } else if (kernel.call) {
        add_launch(kernel, code_of(kernel), slots, arena);
      } else {
        const CompiledKernel& code = *kernels_[next_++];
        add_launch(kernel, {Step::Kind::launch, code.fn(), code.scratch_bytes()}, slots, arena);
        if (groups) groups->join(kernel, executable_);
      }
    }
  }

  int32_t add_slot(Slot slot) {
    executable_.slots.push_back(slot);
    return static_cast<int32_t>(executable_.slots.size()) - 1;
  }

 private:
  int32_t next_step() const { return static_cast<int32_t>(executable_.steps.size()); }

  void add_launch(const ScheduledKernel& kernel, const Code& code, const std::vector<int32_t>& slots, int64_t arena) {
    Launch launch;
    launch.fn = code.fn;
    launch.first_slot = static_cast<int32_t>(executable_.slot_pool.size());
    launch.num_slots = static_cast<int32_t>(kernel.buffers.size());
    launch.first_size = static_cast<int32_t>(executable_.sizes_pool.size());
    launch.iterations = kernel.iterations;
    launch.grain = grain_of(kernel);
    launch.piece = piece_of(kernel);
    launch.scratch_bytes = code.scratch_bytes;
    if (code.kind == Step::Kind::launch) launch.scratch_bytes += kept_bytes(kernel.program, kernel.sizes, target_);
    for (int buffer : kernel.buffers) executable_.slot_pool.push_back(slots[buffer]);
    executable_.sizes_pool.insert(executable_.sizes_pool.end(), kernel.sizes.begin(), kernel.sizes.end());
    executable_.steps.push_back({code.kind, static_cast<int32_t>(executable_.launches.size())});
    if (!kernel.checks.empty()) add_checks(kernel, launch, arena);
    if (kernel.program.has_guarded_loops()) add_guard(launch);
    if (kernel.program.has_tiles()) add_pack(kernel, launch, slots);
    executable_.launches.push_back(launch);
    executable_.names.push_back(kernel.name);
  }

  /// The launches of kernels that run block by block, as one step.
  void add_stripes(const Schedule& schedule, const ScheduledStripes& stripes, const std::vector<int32_t>& slots,
                   int64_t arena) {
    const auto first = static_cast<int32_t>(executable_.launches.size());
    const size_t step = executable_.steps.size();
    LaunchGroup group{first, stripes.count, 0};
    for (int k = stripes.first; k < stripes.end(); ++k) {
      const CompiledKernel& code = *kernels_[next_++];
      add_launch(schedule.kernels[k], {Step::Kind::launch, code.fn(), code.scratch_bytes()}, slots, arena);
      group.parts += parts_of(executable_.launches.back());
    }
    executable_.steps.resize(step);
    executable_.steps.push_back({Step::Kind::stripes, static_cast<int32_t>(executable_.stripes.size())});
    const std::span<const ScheduledKernel> kernels(schedule.kernels.data() + stripes.first, stripes.count);
    executable_.stripes.push_back(
        {group, stripes.rows, stripes.segment, stripes.block,
         std::max(stripes.grain, grain_of(kernels, stripes.rows)), stripes.bytes});
  }

  void add_host(const ScheduledKernel& kernel, const std::vector<int32_t>& slots) {
    const ScheduledHost& host = *kernel.host;
    const auto first_slot = static_cast<int32_t>(executable_.slot_pool.size());
    for (int buffer : kernel.buffers) executable_.slot_pool.push_back(slots[buffer]);
    executable_.steps.push_back({Step::Kind::host, static_cast<int32_t>(executable_.hosts.size())});
    executable_.hosts.push_back({host.function, first_slot, host.operands, host.results, host.place});
  }

  /// The last slot of a launch, for its errors, and the checks that look at them when it has run.
  void add_checks(const ScheduledKernel& kernel, Launch& launch, int64_t arena) {
    launch.error_slot = add_slot({Slot::Kind::arena, arena + kernel.errors});
    launch.num_errors = static_cast<int32_t>(kernel.checks.size());
    executable_.slot_pool.push_back(launch.error_slot);
    ++launch.num_slots;
    for (const ScheduledCheck& check : kernel.checks) {
      const auto entry = static_cast<int32_t>(&check - kernel.checks.data());
      executable_.steps.push_back({Step::Kind::check, static_cast<int32_t>(executable_.checks.size())});
      executable_.checks.push_back({launch.error_slot, entry, check.shape, check.extent, check.text});
    }
  }

  /// The last slot of a launch, for the guard of its loops, and the step that ends the run if one of them may not go on.
  void add_guard(Launch& launch) {
    executable_.slot_pool.push_back(add_slot({Slot::Kind::guard}));
    ++launch.num_slots;
    executable_.steps.push_back({Step::Kind::guard});
  }

  /// The last slot of a product in tiles, for the pack of its second operand, if calls may share that.
  void add_pack(const ScheduledKernel& kernel, Launch& launch, const std::vector<int32_t>& slots) {
    int64_t index = -1;
    if (const std::optional<PackedOperand> operand = packed_operand(kernel, target_)) {
      const Slot& slot = executable_.slots[slots[kernel.buffers[operand->access]]];
      if (slot.kind == Slot::Kind::input) index = pack_of({static_cast<int32_t>(slot.index), operand->layout});
    }
    executable_.slot_pool.push_back(add_slot({Slot::Kind::pack, index}));
    ++launch.num_slots;
  }

  /// Products of a call that read an operand alike ask for it once.
  int64_t pack_of(const Pack& pack) {
    std::vector<Pack>& packs = executable_.packs;
    const auto known = std::ranges::find(packs, pack);
    if (known != packs.end()) return known - packs.begin();
    packs.push_back(pack);
    return static_cast<int64_t>(packs.size()) - 1;
  }

  // ---- Regions

  void add_flow(const Schedule& schedule, const ScheduledKernel& kernel, const std::vector<int32_t>& slots,
                int64_t arena) {
    const ScheduledFlow& flow = *kernel.flow;
    const int64_t own = arena + schedule.buffers[kernel.buffers.back()].offset;
    std::vector<int32_t> places;
    for (const FlowPlace& place : flow.places) {
      switch (place.kind) {
        case FlowPlace::Kind::buffer: places.push_back(slots[kernel.buffers[place.index]]); break;
        case FlowPlace::Kind::frame: places.push_back(add_slot({Slot::Kind::arena, own + place.index})); break;
        case FlowPlace::Kind::moving: places.push_back(add_slot({Slot::Kind::moving})); break;
      }
    }
    std::vector<int32_t> begins;     // per step of the flow, and the end: where it stands
    std::vector<int32_t> jumps;      // steps whose `to` is a step of the flow
    for (const FlowStep& step : flow.steps) {
      begins.push_back(next_step());
      if (step.to >= 0) jumps.push_back(next_step());
      add_step(flow, step, places, own);
    }
    begins.push_back(next_step());
    for (int32_t jump : jumps) executable_.steps[jump].to = begins[executable_.steps[jump].to];
  }

  void add_step(const ScheduledFlow& flow, const FlowStep& step, const std::vector<int32_t>& places, int64_t own) {
    std::vector<Step>& steps = executable_.steps;
    switch (step.kind) {
      case FlowStep::Kind::run: return add_region(flow.regions[step.a], places, own);
      case FlowStep::Kind::unless: steps.push_back({Step::Kind::unless, places[step.a], -1, -1, step.to}); return;
      case FlowStep::Kind::jump: steps.push_back({Step::Kind::jump, 0, -1, -1, step.to}); return;
      case FlowStep::Kind::copy:
        steps.push_back({Step::Kind::copy, static_cast<int32_t>(executable_.copies.size())});
        executable_.copies.push_back({places[step.a], places[step.b], step.bytes});
        return;
      case FlowStep::Kind::point: steps.push_back({Step::Kind::point, places[step.a], places[step.b]}); return;
      case FlowStep::Kind::rotate:
        steps.push_back({Step::Kind::rotate, places[step.a], places[step.b], places[step.c]});
        return;
      case FlowStep::Kind::begin: steps.push_back({Step::Kind::begin, places[step.a]}); return;
      case FlowStep::Kind::turn: steps.push_back({Step::Kind::turn, places[step.a]}); return;
    }
  }

  void add_region(const ScheduledRegion& region, const std::vector<int32_t>& places, int64_t own) {
    const int64_t arena = own + region.offset;
    std::vector<int32_t> slots;
    for (const ScheduledBuffer& buffer : region.schedule.buffers) {
      switch (buffer.kind) {
        case ScheduledBuffer::Kind::input: slots.push_back(places[region.inputs[buffer.index]]); break;
        case ScheduledBuffer::Kind::output: slots.push_back(places[region.outputs[buffer.index]]); break;
        case ScheduledBuffer::Kind::temporary:
          slots.push_back(add_slot({Slot::Kind::arena, arena + buffer.offset}));
          break;
        case ScheduledBuffer::Kind::stripe: slots.push_back(add_slot(slot_of(buffer))); break;
      }
    }
    add(region.schedule, slots, arena);
  }

  Executable& executable_;
  const std::vector<KernelHandle>& kernels_;
  const Target& target_;
  size_t next_ = 0;
};

/// The i-th output, which stands in this buffer.
Output output_of(const ScheduledBuffer& buffer, int i) {
  if (buffer.kind == ScheduledBuffer::Kind::input) return {buffer.bytes, Output::SameAs::input, buffer.index};
  const bool is_earlier = buffer.kind == ScheduledBuffer::Kind::output && buffer.index != i;
  if (is_earlier) return {buffer.bytes, Output::SameAs::output, buffer.index};
  return {buffer.bytes};
}

/// See Executable.
bool is_one_launch(const Executable& executable) {
  if (executable.steps.size() != 1 || executable.launches.size() != 1) return false;
  const Step::Kind kind = executable.steps.front().kind;
  if (kind != Step::Kind::launch && kind != Step::Kind::call) return false;
  const auto is_callers = [](const Slot& slot) { return slot.kind == Slot::Kind::input || slot.kind == Slot::Kind::output; };
  return executable.launches.front().num_errors == 0 && std::ranges::all_of(executable.slots, is_callers);
}

}  // namespace

Executable link(const Schedule& schedule, std::vector<KernelHandle> kernels, const Target& target, bool group) {
  Executable executable;
  executable.arena_bytes = schedule.arena_bytes;
  Linker linker(executable, kernels, target);
  std::vector<int32_t> slots;
  for (const ScheduledBuffer& buffer : schedule.buffers) slots.push_back(linker.add_slot(slot_of(buffer)));
  LaunchGroups groups(schedule);
  linker.add(schedule, slots, 0, group ? &groups : nullptr);
  for (size_t i = 0; i < schedule.outputs.size(); ++i) {
    executable.outputs.push_back(output_of(schedule.buffers[schedule.outputs[i]], static_cast<int>(i)));
    executable.outputs.back().overwrites = schedule.overwrites[i];
  }
  executable.needs_scratch = !executable.stripes.empty() ||
                             std::ranges::any_of(executable.launches, [](const Launch& l) { return l.scratch_bytes > 0; });
  executable.is_one_launch = is_one_launch(executable);
  executable.code = std::make_shared<std::vector<KernelHandle>>(std::move(kernels));
  return executable;
}

}  // namespace etch
