// The verifier of the way through the regions of an op.
#include "compiler/schedule/verify_flow.h"

#include <algorithm>
#include <compare>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compiler/ir/cat.h"
#include "compiler/schedule/verify_schedule.h"

namespace etch {
namespace {

constexpr int64_t kNowhere = -1;

/// Memory by a number: of a buffer of the op twice its index, else twice the offset in its own memory and one.
int64_t memory_of(const FlowPlace& place) {
  return 2 * place.index + (place.kind == FlowPlace::Kind::frame);
}

/// What is known before a step: where each place lies, and which memory holds a value.
struct State {
  int step = 0;
  std::vector<int64_t> at;   // per place
  std::set<int64_t> filled;

  auto operator<=>(const State&) const = default;
};

/// Walks the steps from every state that can be reached.
class FlowWalk {
 public:
  FlowWalk(const ScheduledFlow& flow, int num_operands) : flow_(flow), num_operands_(num_operands) {}

  std::string run() {
    State first;
    for (const FlowPlace& place : flow_.places) {
      first.at.push_back(place.kind == FlowPlace::Kind::moving ? kNowhere : memory_of(place));
    }
    for (int i = 0; i < num_operands_; ++i) first.filled.insert(2 * int64_t{i});
    reach(first);
    while (!open_.empty() && error_.empty()) {
      const State state = open_.back();
      open_.pop_back();
      if (state.step < size()) {
        walk(state);
      } else {
        end(state);
      }
    }
    return error_;
  }

 private:
  int size() const { return static_cast<int>(flow_.steps.size()); }

  void fail(const State& state, std::string_view what) {
    if (error_.empty()) error_ = cat("step ", state.step, ": ", what);
  }

  void reach(State state) {
    if (state.step < 0 || state.step > size()) return fail(state, "there is no such step");
    if (seen_.insert(state).second) open_.push_back(std::move(state));
  }

  bool is_filled(const State& state, int place) const { return state.filled.contains(state.at[place]); }
  bool is_operand(int64_t memory) const { return memory % 2 == 0 && memory / 2 < num_operands_; }

  /// After the last step every result is there.
  void end(const State& state) {
    for (size_t i = static_cast<size_t>(num_operands_); i < flow_.places.size(); ++i) {
      const bool is_result = flow_.places[i].kind == FlowPlace::Kind::buffer;
      if (is_result && !is_filled(state, static_cast<int>(i))) fail(state, cat("result ", i - num_operands_, " is not there"));
    }
  }

  void write(State& state, int place) {
    const int64_t memory = state.at[place];
    if (memory == kNowhere) return fail(state, cat("p", place, " is written and lies nowhere"));
    if (is_operand(memory)) return fail(state, cat("operand ", memory / 2, " is written"));
    state.filled.insert(memory);
  }

  void walk(const State& before) {
    const FlowStep& step = flow_.steps[before.step];
    State state = before;
    ++state.step;
    switch (step.kind) {
      case FlowStep::Kind::run: run_region(before, flow_.regions[step.a], state); break;
      case FlowStep::Kind::unless: {
        if (!is_filled(before, step.a)) return fail(before, "it asks what nobody wrote");
        State other = before;
        other.step = step.to;
        reach(std::move(other));
        break;
      }
      case FlowStep::Kind::jump: state.step = step.to; break;
      case FlowStep::Kind::copy:
        if (!is_filled(before, step.b)) return fail(before, "it copies what nobody wrote");
        write(state, step.a);
        break;
      case FlowStep::Kind::point: state.at[step.a] = before.at[step.b]; break;
      case FlowStep::Kind::rotate:
        state.at[step.a] = before.at[step.b];
        std::swap(state.at[step.b], state.at[step.c]);
        break;
      case FlowStep::Kind::begin: write(state, step.a); break;
      case FlowStep::Kind::turn:
        if (!is_filled(before, step.a)) return fail(before, "it counts turns that have not begun");
        break;
    }
    if (error_.empty()) reach(std::move(state));
  }

  void run_region(const State& before, const ScheduledRegion& region, State& after) {
    for (int place : region.inputs) {
      if (!is_filled(before, place)) fail(before, cat(region.name, " reads p", place, ", which nobody wrote"));
    }
    std::set<int64_t> written;
    for (size_t i = 0; i < region.outputs.size(); ++i) {
      const ScheduledBuffer& buffer = region.schedule.buffers[region.schedule.outputs[i]];
      const bool is_own = buffer.kind == ScheduledBuffer::Kind::output && buffer.index == static_cast<int>(i);
      if (!is_own || buffer.bytes == 0) continue;
      const int place = region.outputs[i];
      if (!written.insert(before.at[place]).second) fail(before, cat(region.name, " writes p", place, " twice"));
      for (size_t j = 0; j < region.inputs.size(); ++j) {
        const bool may = region.schedule.overwrites[i] == static_cast<int>(j);
        if (before.at[region.inputs[j]] == before.at[place] && !may) {
          fail(before, cat(region.name, " writes p", place, ", which it reads"));
        }
      }
      write(after, place);
    }
    for (size_t i = 0; i < region.outputs.size(); ++i) {
      if (region.schedule.buffers[region.schedule.outputs[i]].bytes == 0) after.filled.insert(after.at[region.outputs[i]]);
    }
  }

  const ScheduledFlow& flow_;
  const int num_operands_;
  std::set<State> seen_;
  std::vector<State> open_;
  std::string error_;
};

/// Nothing of an op's own memory lies in that of something else, nor behind its end.
std::string check_memory(const ScheduledFlow& flow) {
  int64_t arena_begin = flow.bytes;
  for (const ScheduledRegion& region : flow.regions) {
    arena_begin = std::min(arena_begin, region.offset);
    if (region.offset % 64 != 0 || region.offset + region.schedule.arena_bytes > flow.bytes) {
      return cat("the arena of ", region.name, " lies outside the op's own memory");
    }
  }
  std::set<int64_t> offsets;
  for (const FlowPlace& place : flow.places) {
    if (place.kind != FlowPlace::Kind::frame) continue;
    if (place.index % 64 != 0 || place.index >= arena_begin) return "a place lies in the arena of a region";
    if (!offsets.insert(place.index).second) return "two places lie in one memory";
  }
  return {};
}

/// An operand that a result may lie over is only copied there.
std::string check_overwrites(const ScheduledFlow& flow, int num_operands) {
  for (const ScheduledFlow::Overwrite& pair : flow.overwrites) {
    int uses = 0, copies = 0;
    for (const FlowStep& step : flow.steps) {
      uses += (step.a == pair.operand && step.kind != FlowStep::Kind::run) + (step.b == pair.operand) + (step.c == pair.operand);
      copies += step.kind == FlowStep::Kind::copy && step.b == pair.operand && step.a == num_operands + pair.result;
    }
    for (const ScheduledRegion& region : flow.regions) {
      uses += static_cast<int>(std::ranges::count(region.inputs, pair.operand));
    }
    if (uses != 1 || copies != 1) return cat("result ", pair.result, " may not lie over operand ", pair.operand);
  }
  return {};
}

}  // namespace

absl::Status verify_flow(const ScheduledFlow& flow, int num_operands, int64_t walked_bytes) {
  for (const ScheduledRegion& region : flow.regions) {
    if (absl::Status status = verify(region.schedule, region.region.graph(), walked_bytes); !status.ok()) return status;
  }
  std::string error = check_memory(flow);
  if (error.empty()) error = check_overwrites(flow, num_operands);
  if (error.empty()) error = FlowWalk(flow, num_operands).run();
  if (!error.empty()) return absl::InternalError(cat("the schedule is wrong: the way through regions: ", error));
  return absl::OkStatus();
}

}  // namespace etch
