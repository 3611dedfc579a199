// Ops with regions made anew, with fewer or other channels.
#include "compiler/passes/region_edit.h"

#include <algorithm>

#include "compiler/passes/inline_graph.h"
#include "runtime/check.h"

namespace etch {
namespace {

class Editor {
 public:
  Editor(GraphBuilder& builder, const Graph& graph, const Node& node, std::span<const Value> operands,
         const RegionEdit& edit)
      : builder_(builder), graph_(graph), node_(node), operands_(operands), edit_(edit), regions_(regions_of(node.op)),
        of_input_(channels_of_inputs(regions_, edit.channels)) {
    for (const Fate& fate : edit.fates) {
      if (fate.kind == Fate::Kind::outside) bring(fate.outside);
    }
    for (const std::vector<Moved>& moved : edit.moved) {
      for (const Moved& one : moved) bring(one.outside);
    }
  }

  absl::StatusOr<Replacement> run(const std::function<absl::StatusOr<Graph>(Graph)>& improve) {
    std::vector<int> left;  // results
    for (int c = 0; c < num_channels(); ++c) {
      if (channel(c).result >= 0 && stays(c)) left.push_back(channel(c).result);
    }
    std::ranges::sort(left);
    if (left.empty()) return replacement(left, Results(0, 0));
    std::vector<Region> made;
    for (int r = 0; r < static_cast<int>(regions_.size()); ++r) {
      absl::StatusOr<Graph> region = remade(r);
      if (region.ok()) region = improve(*std::move(region));
      if (!region.ok()) return region.status();
      made.emplace_back(*std::move(region));
    }
    absl::StatusOr<Results> results = builder_.emit_all(with_regions(node_.op, made), operands_left(), {}, node_.origin);
    if (!results.ok()) return results.status();
    return replacement(left, *results);
  }

 private:
  int num_channels() const { return static_cast<int>(edit_.channels.size()); }
  const Channel& channel(int c) const { return edit_.channels[c]; }
  bool stays(int c) const { return edit_.fates[c].kind == Fate::Kind::stays; }

  /// The channel that brings this value in, and only that, if it stays.
  int invariant_of(Value outside) const {
    for (int c = 0; c < num_channels(); ++c) {
      if (stays(c) && is_invariant(channel(c)) && operands_[channel(c).operand] == outside) return c;
    }
    return -1;
  }

  /// Adds an operand for a value that has none.
  void bring(Value outside) {
    if (invariant_of(outside) < 0 && std::ranges::find(added_, outside) == added_.end()) added_.push_back(outside);
  }

  absl::InlinedVector<Value, 3> operands_left() const {
    std::vector<bool> goes(operands_.size());
    for (int c = 0; c < num_channels(); ++c) {
      if (channel(c).operand >= 0 && !stays(c)) goes[channel(c).operand] = true;
    }
    absl::InlinedVector<Value, 3> left;
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (!goes[i]) left.push_back(operands_[i]);
    }
    left.insert(left.end(), added_.begin(), added_.end());
    return left;
  }

  absl::StatusOr<Graph> remade(int r) {
    const Graph& region = regions_[r].region.graph();
    GraphBuilder builder;
    for (const std::string& name : region.names()) builder.name(name);
    std::vector<Value> inputs(region.inputs().size()), brought;
    std::vector<Value> of_channel(num_channels());
    for (size_t i = 0; i < inputs.size(); ++i) {
      const int c = of_input_[r][i];
      if (!stays(c)) continue;
      absl::StatusOr<Value> input = builder.input(region.type(region.inputs()[i]), region.node(region.inputs()[i]).origin);
      if (!input.ok()) return input.status();
      inputs[i] = of_channel[c] = *input;
    }
    for (Value outside : added_) {
      absl::StatusOr<Value> input = builder.input(builder_.type(outside));
      if (!input.ok()) return input.status();
      brought.push_back(*input);
    }
    const auto inside = [&](Value outside) {
      const int c = invariant_of(outside);
      return c >= 0 ? of_channel[c] : brought[std::ranges::find(added_, outside) - added_.begin()];
    };
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Fate& fate = edit_.fates[of_input_[r][i]];
      if (fate.kind == Fate::Kind::outside) inputs[i] = inside(fate.outside);
      if (fate.kind == Fate::Kind::same) inputs[i] = of_channel[fate.channel];
      if (fate.kind != Fate::Kind::number) continue;
      absl::StatusOr<Value> number = builder.constant(fate.bits, region.type(region.inputs()[i]));
      if (!number.ok()) return number.status();
      inputs[i] = *number;
    }
    const std::vector<Value> wanted = outputs_left(r);
    const auto moved = [&](const Graph&, const Node& node, std::span<const Value>) -> absl::StatusOr<Replacement> {
      if (edit_.moved.empty()) return Replacement();
      for (const Moved& one : edit_.moved[r]) {
        if (one.inside == node.result()) return Replacement(inside(one.outside));
      }
      return Replacement();
    };
    absl::StatusOr<std::vector<Value>> outputs = inline_graph(builder, region, wanted, inputs, {}, moved);
    if (!outputs.ok()) return outputs.status();
    return std::move(builder).finish(*outputs);
  }

  std::vector<Value> outputs_left(int r) const {
    const Graph& region = regions_[r].region.graph();
    std::vector<bool> left(region.outputs().size());
    for (int c = 0; c < num_channels(); ++c) {
      for (Port output : channel(c).outputs) {
        if (output.region == r) left[output.index] = stays(c);
      }
    }
    std::vector<Value> outputs;
    for (size_t i = 0; i < left.size(); ++i) {
      if (left[i]) outputs.push_back(region.outputs()[i]);
    }
    return outputs;
  }

  absl::StatusOr<Replacement> replacement(const std::vector<int>& left, Results made) {
    std::vector<Value> values(node_.num_results);
    for (size_t i = 0; i < left.size(); ++i) values[left[i]] = made[static_cast<int>(i)];
    for (int c = 0; c < num_channels(); ++c) {
      const Fate& fate = edit_.fates[c];
      if (channel(c).result < 0) continue;
      Value& value = values[channel(c).result];
      if (fate.kind == Fate::Kind::outside) value = fate.outside;
      if (fate.kind == Fate::Kind::same) value = values[channel(fate.channel).result];
      if (fate.kind != Fate::Kind::number) continue;
      const Type& type = graph_.type(results(node_)[channel(c).result]);
      absl::StatusOr<Value> number = builder_.constant(fate.bits, type, node_.origin);
      if (!number.ok()) return number.status();
      value = *number;
    }
    Replacement replacement;
    for (Value value : values) replacement.add(value);
    return replacement;
  }

  GraphBuilder& builder_;
  const Graph& graph_;
  const Node& node_;
  const std::span<const Value> operands_;
  const RegionEdit& edit_;
  const std::vector<NamedRegion> regions_;
  const std::vector<std::vector<int>> of_input_;
  std::vector<Value> added_;  // operands
};

}  // namespace

bool is_invariant(const Channel& channel) {
  return channel.operand >= 0 && channel.result < 0 && channel.outputs.empty() && !channel.decides;
}

std::vector<std::vector<int>> channels_of_inputs(std::span<const NamedRegion> regions, std::span<const Channel> channels) {
  std::vector<std::vector<int>> of_input;
  for (const NamedRegion& region : regions) of_input.emplace_back(region.region.graph().inputs().size());
  for (int c = 0; c < static_cast<int>(channels.size()); ++c) {
    for (Port input : channels[c].inputs) of_input[input.region][input.index] = c;
  }
  return of_input;
}

absl::StatusOr<Replacement> edit_regions(GraphBuilder& builder, const Graph& graph, const Node& node,
                                         std::span<const Value> operands, const RegionEdit& edit,
                                         const std::function<absl::StatusOr<Graph>(Graph)>& improve) {
  return Editor(builder, graph, node, operands, edit).run(improve);
}

}  // namespace etch
