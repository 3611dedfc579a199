// The way through the regions of an op: their schedules, and where the values lie that go from one to the next.
#include "compiler/schedule/flow.h"

#include <algorithm>
#include <utility>

#include "compiler/ir/any_op.h"
#include "compiler/ir/placing.h"
#include "etch/buffer.h"
#include "runtime/check.h"
#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

constexpr int kNone = -1;

using PlaceKind = FlowPlace::Kind;
using StepKind = FlowStep::Kind;

int64_t aligned(int64_t bytes) { return round_up(bytes, Buffer::kAlignment); }

}  // namespace

/// Plans one op: places for the ends of each channel, schedules for the regions, and steps.
class FlowPlanner {
 public:
  FlowPlanner(const AnyOp& op, int num_operands, Flows& flows)
      : flows_(flows), options_(flows.options_), channels_(channels_of(op, num_operands)), is_guarded_(is_guarded(op)) {
    for (const NamedRegion& named : regions_of(op)) flow_.regions.push_back({named.name, named.region, {}, {}, {}, 0});
    ETCH_CHECK(flow_.regions.size() == 2, "a flow is planned for two regions");
    int num_results = 0;
    for (const Channel& channel : channels_) num_results = std::max(num_results, channel.result + 1);
    for (int i = 0; i < num_operands + num_results; ++i) flow_.places.push_back({PlaceKind::buffer, i});
    num_operands_ = num_operands;
    for (ScheduledRegion& region : flow_.regions) {
      region.inputs.assign(region.region.graph().inputs().size(), kNone);
      region.outputs.assign(region.region.graph().outputs().size(), kNone);
    }
  }

  ScheduledFlow run() {
    const auto decides = std::ranges::find_if(channels_, &Channel::decides);
    ETCH_CHECK(decides != channels_.end(), "no channel decides which region runs");
    // What decides is an operand where the op chooses once, and comes out of a region where it asks again and again.
    decides->operand >= 0 ? plan_branches(*decides) : plan_loop(*decides);
    for (ScheduledRegion& region : flow_.regions) region.offset = flow_.bytes;
    int64_t most = 0;
    for (const ScheduledRegion& region : flow_.regions) most = std::max(most, aligned(region.schedule.arena_bytes));
    flow_.bytes += most;  // the regions take turns
    return std::move(flow_);
  }

 private:
  // ---- Places and steps

  int result(const Channel& channel) const { return num_operands_ + channel.result; }
  ScheduledRegion& region(Port port) { return flow_.regions[port.region]; }
  const Graph& graph(int r) const { return flow_.regions[r].region.graph(); }
  int64_t bytes_out(Port port) const {
    const Graph& of = graph(port.region);
    return of.type(of.outputs()[port.index]).bytes();
  }

  int add_place(PlaceKind kind, int64_t index = 0) {
    flow_.places.push_back({kind, index});
    return static_cast<int>(flow_.places.size()) - 1;
  }
  /// Memory of the op's own, for its whole run.
  int add_memory(int64_t bytes) {
    const int64_t offset = flow_.bytes;
    flow_.bytes += std::max<int64_t>(aligned(bytes), Buffer::kAlignment);  // no two places are the same
    return add_place(PlaceKind::frame, offset);
  }

  int next_step() const { return static_cast<int>(flow_.steps.size()); }
  FlowStep& add(FlowStep step) { return flow_.steps.emplace_back(step); }
  void add_copy(int to, int from, int64_t bytes) {
    if (to != from) add({.kind = StepKind::copy, .a = to, .b = from, .bytes = bytes});
  }

  void enter(const Channel& channel, int place) {
    for (Port input : channel.inputs) region(input).inputs[input.index] = place;
  }

  // ---- Schedules of regions

  void make_schedule(int r, std::vector<int> overwrites = {}) {
    ScheduleOptions options = options_;
    options.overwrites = std::move(overwrites);
    flow_.regions[r].schedule = schedule::make_schedule(graph(r), options, flows_);
  }

  /// The input that an output of a region is, or -1.
  int same_input(Port output) const {
    const Schedule& schedule = flow_.regions[output.region].schedule;
    const ScheduledBuffer& buffer = schedule.buffers[schedule.outputs[output.index]];
    return buffer.kind == ScheduledBuffer::Kind::input ? buffer.index : kNone;
  }

  /// The earlier output whose memory an output of a region is, or -1.
  int same_output(Port output) const {
    const Schedule& schedule = flow_.regions[output.region].schedule;
    const ScheduledBuffer& buffer = schedule.buffers[schedule.outputs[output.index]];
    const bool is_earlier = buffer.kind == ScheduledBuffer::Kind::output && buffer.index != output.index;
    return is_earlier ? buffer.index : kNone;
  }

  /// Where an output lies that a region does not write: an input, or an earlier output. -1 if it writes it.
  int place_elsewhere(Port output) {
    if (const int input = same_input(output); input != kNone) return region(output).inputs[input];
    if (const int earlier = same_output(output); earlier != kNone) return region(output).outputs[earlier];
    return kNone;
  }

  /// The outputs in the order of their numbers, so that those that others are the same as come first. Those that a region
  /// does not write lie elsewhere; `own` says where one lies that it does.
  template <class Own>
  void leave(int r, Own own) {
    for (int i = 0; i < static_cast<int>(flow_.regions[r].outputs.size()); ++i) {
      const int elsewhere = place_elsewhere({r, i});
      flow_.regions[r].outputs[i] = elsewhere != kNone ? elsewhere : own(i);
    }
  }

  // ---- One of two regions

  void plan_branches(const Channel& decides) {
    for (const Channel& channel : channels_) {
      if (channel.operand >= 0) enter(channel, channel.operand);
    }
    std::vector<const Channel*> results;
    for (const Channel& channel : channels_) {
      if (channel.result >= 0) results.push_back(&channel);
    }
    const int unless = next_step();
    add({.kind = StepKind::unless, .a = decides.operand});
    add_branch(0, results);
    const int jump = next_step();
    add({.kind = StepKind::jump});
    flow_.steps[unless].to = next_step();
    add_branch(1, results);
    flow_.steps[jump].to = next_step();
  }

  /// Runs a region that writes the results; what it only hands through is copied.
  void add_branch(int r, const std::vector<const Channel*>& results) {
    make_schedule(r);
    std::vector<int> target(flow_.regions[r].outputs.size());
    for (const Channel* channel : results) target[channel->outputs[r].index] = result(*channel);
    leave(r, [&](int output) { return target[output]; });
    add({.kind = StepKind::run, .a = r});
    for (size_t i = 0; i < target.size(); ++i) {
      add_copy(target[i], flow_.regions[r].outputs[i], bytes_out({r, static_cast<int>(i)}));
    }
  }

  // ---- Turn after turn

  static constexpr int kTest = 0, kBody = 1;

  /// What a loop carries, as region kTest takes it in and region kBody gives it for the next turn.
  struct Carried {
    const Channel* channel = nullptr;
    int64_t bytes = 0;
    int current = kNone;  // its place
    int next = kNone;     // where the body writes it; the same where it lies if it may
    int spare = kNone;
    int home = kNone;     // memory that is only its own
  };

  void plan_loop(const Channel& decides) {
    find_carried();
    for (const Channel& channel : channels_) {
      if (channel.operand >= 0 && channel.outputs.empty()) enter(channel, channel.operand);  // not changed
    }
    for (Carried& carried : carried_) {
      carried.current = add_place(PlaceKind::moving);
      enter(*carried.channel, carried.current);
    }
    make_schedule(kTest);
    plan_handed(decides);
    plan_body();
    add_loop(decides);
  }

  void find_carried() {
    for (const Channel& channel : channels_) {
      const bool carries = channel.operand >= 0 && !channel.outputs.empty();
      if (carries) carried_.push_back({.channel = &channel, .bytes = bytes_out(channel.outputs[0])});
    }
  }

  /// What the test hands on lies where it came from, or in the memory of the result, where the test writes it.
  void plan_handed(const Channel& decides) {
    std::vector<int> target(flow_.regions[kTest].outputs.size());
    for (const Channel& channel : channels_) {
      if (channel.result >= 0) target[channel.outputs[0].index] = result(channel);
    }
    target[decides.outputs[0].index] = add_memory(1);
    leave(kTest, [&](int output) { return target[output]; });
    for (const Channel& channel : channels_) {
      if (channel.result >= 0) enter(channel, flow_.regions[kTest].outputs[channel.outputs[0].index]);
    }
  }

  /// A carried value that enters the body once, unchanged by the test, is best written where it lies. The schedule says
  /// whether it can be. Its memory, or one of two that take turns, is that of a result which it will be.
  void plan_body() {
    const std::vector<int>& inputs = flow_.regions[kBody].inputs;
    std::vector<int> overwrites(flow_.regions[kBody].outputs.size(), kNone);
    for (const Carried& carried : carried_) {
      if (std::ranges::count(inputs, carried.current) != 1) continue;
      const auto input = std::ranges::find(inputs, carried.current) - inputs.begin();
      overwrites[carried.channel->outputs[0].index] = static_cast<int>(input);
    }
    make_schedule(kBody, overwrites);
    std::vector<int> target(flow_.regions[kBody].outputs.size());
    for (Carried& carried : carried_) {
      const Port output = carried.channel->outputs[0];
      if (is_unchanged(carried)) continue;
      carried.home = own_memory(carried);
      if (flow_.regions[kBody].schedule.overwrites[output.index] != kNone) {
        place_in_memory(carried);
      } else {
        carried.next = add_place(PlaceKind::moving);
        carried.spare = add_place(PlaceKind::moving);
      }
      target[output.index] = carried.next;
    }
    leave(kBody, [&](int output) { return target[output]; });
  }

  /// True if the body hands on what it took.
  bool is_unchanged(const Carried& carried) {
    const int input = same_input(carried.channel->outputs[0]);
    return input != kNone && flow_.regions[kBody].inputs[input] == carried.current;
  }

  int own_memory(const Carried& carried) {
    for (const Channel& channel : channels_) {
      if (channel.result < 0) continue;
      const bool is_taken = std::ranges::any_of(carried_, [&](const Carried& c) { return c.home == result(channel); });
      const bool is_value = flow_.regions[kTest].outputs[channel.outputs[0].index] == carried.current;
      if (is_value && !is_taken) return result(channel);
    }
    return add_memory(carried.bytes);
  }

  /// The value has one place for the whole run of the loop.
  void place_in_memory(Carried& carried) {
    const int moving = carried.current;
    carried.current = carried.next = carried.home;
    if (flow_.places[carried.home].kind == PlaceKind::buffer) {
      flow_.overwrites.push_back({carried.channel->operand, carried.home - num_operands_});
    }
    for (ScheduledRegion& region : flow_.regions) {
      std::ranges::replace(region.inputs, moving, carried.home);
      std::ranges::replace(region.outputs, moving, carried.home);
    }
  }

  void add_loop(const Channel& decides) {
    for (const Carried& carried : carried_) begin(carried);
    const int turns = is_guarded_ ? add_memory(sizeof(int64_t)) : kNone;
    if (is_guarded_) add({.kind = StepKind::begin, .a = turns});
    const int first = next_step();
    add({.kind = StepKind::run, .a = kTest});
    const int unless = next_step();
    add({.kind = StepKind::unless, .a = flow_.regions[kTest].outputs[decides.outputs[0].index]});
    if (is_guarded_) add({.kind = StepKind::turn, .a = turns});
    add({.kind = StepKind::run, .a = kBody});
    for (const Carried& carried : carried_) {
      if (carried.next == kNone) continue;
      add_copy(carried.next, flow_.regions[kBody].outputs[carried.channel->outputs[0].index], carried.bytes);
    }
    for (const Carried& carried : carried_) {
      if (carried.spare == kNone) continue;
      add({.kind = StepKind::rotate, .a = carried.current, .b = carried.next, .c = carried.spare});
    }
    add({.kind = StepKind::jump, .to = first});
    flow_.steps[unless].to = next_step();
    for (const Channel& channel : channels_) {
      if (channel.result < 0) continue;
      add_copy(result(channel), flow_.regions[kTest].outputs[channel.outputs[0].index], bytes_out(channel.outputs[0]));
    }
  }

  void begin(const Carried& carried) {
    const int initial = carried.channel->operand;
    if (carried.current == carried.home) return add_copy(carried.home, initial, carried.bytes);
    add({.kind = StepKind::point, .a = carried.current, .b = initial});
    if (carried.next == kNone) return;  // never changed
    add({.kind = StepKind::point, .a = carried.next, .b = carried.home});
    add({.kind = StepKind::point, .a = carried.spare, .b = add_memory(carried.bytes)});
  }

  Flows& flows_;
  const ScheduleOptions& options_;
  const std::vector<Channel> channels_;
  const bool is_guarded_;
  int num_operands_ = 0;
  std::vector<Carried> carried_;
  ScheduledFlow flow_;
};

Flows::Flows(const ScheduleOptions& options) : options_(options) {
  options_.shared_outputs.clear();
  options_.overwrites.clear();
}

std::shared_ptr<const ScheduledFlow> Flows::of(const AnyOp& op, int num_operands) {
  if (const auto known = known_.find(op); known != known_.end()) return known->second;
  auto flow = std::make_shared<const ScheduledFlow>(FlowPlanner(op, num_operands, *this).run());
  return known_[op] = std::move(flow);
}

}  // namespace etch::schedule
