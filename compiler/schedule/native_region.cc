// Control flow on small values as one kernel, whose loops carry them in registers.
#include "compiler/schedule/native_region.h"

#include <algorithm>
#include <bit>

#include "compiler/ir/cat.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"
#include "compiler/schedule/costs.h"
#include "compiler/schedule/masked_region.h"
#include "compiler/schedule/partition.h"
#include "compiler/schedule/scalar_draft.h"
#include "compiler/schedule/unroll_axis.h"

namespace etch::schedule {
namespace {

/// Writes a graph down, its regions inside it.
class Lowering {
 public:
  explicit Lowering(ScalarDraft& draft) : draft_(draft) {}

  /// The outputs of a region on these inputs.
  std::vector<Elements> run(const Graph& graph, std::vector<Elements> inputs) {
    std::vector<Elements> values(graph.num_values());
    for (size_t i = 0; i < inputs.size(); ++i) values[graph.inputs()[i].id] = std::move(inputs[i]);
    return values_of(graph, graph.outputs(), std::move(values));
  }

  /// The elements of wanted values, from those that are known.
  std::vector<Elements> values_of(const Graph& graph, std::span<const Value> wanted, std::vector<Elements> values) {
    std::vector<bool> is_known(values.size());
    for (size_t v = 0; v < values.size(); ++v) is_known[v] = !values[v].empty();
    const std::vector<bool> needed = nodes_behind(graph, wanted, is_known);
    for (size_t i = 0; i < graph.nodes().size() && !draft_.is_too_long(); ++i) {
      const Node& node = graph.nodes()[i];
      if (!needed[i] || place(node.op) == Place::input || is_known[node.first_result]) continue;
      std::vector<Elements> operands;
      for (Value operand : node.operands) operands.push_back(values[operand.id]);
      std::vector<Elements> made = results_of(graph, node, operands);
      for (Value result : results(node)) values[result.id] = std::move(made[result.id - node.first_result]);
    }
    std::vector<Elements> made;
    for (Value value : wanted) made.push_back(values[value.id]);
    return made;
  }

  /// The results of a node on the elements of its operands.
  std::vector<Elements> results_of(const Graph& graph, const Node& node, const std::vector<Elements>& operands) {
    const Type& type = graph.type(node.result());
    switch (place(node.op)) {
      case Place::elementwise: return {elementwise(graph, node, operands)};
      case Place::splat: return {Elements(type.size(), draft_.number(*splat_bits(node.op), type.dtype))};
      case Place::index: return {indices(node, type)};
      case Place::view: return {operands[0]};
      case Place::movement: return {moved(graph, node, operands[0])};
      case Place::boxes: return {boxes(graph, node, operands)};
      case Place::reduction: return {reduced(graph, node, operands[0])};
      case Place::region: return is_loop(node) ? loop(graph, node, operands) : choice(graph, node, operands);
      case Place::input:
      case Place::indexed:
      case Place::product:
      case Place::call:
      case Place::host: break;
    }
    ETCH_UNREACHABLE("obstacle_in() lets no such op through");
  }

 private:
  // ---- Elements

  Elements elementwise(const Graph& graph, const Node& node, const std::vector<Elements>& operands) {
    const Type& type = graph.type(node.result());
    std::vector<Walk> walks;
    for (Value operand : node.operands) {
      walks.emplace_back(type.shape, broadcast_strides(graph.type(operand).shape, type.shape));
    }
    Elements made;
    for (int64_t i = 0; i < type.size(); ++i) {
      Elements args;
      for (size_t k = 0; k < operands.size(); ++k) {
        args.push_back(operands[k][walks[k].offset()]);
        walks[k].next();
      }
      made.push_back(draft_.compute(node.op, args, type.dtype));
    }
    return made;
  }

  Elements indices(const Node& node, const Type& type) {
    Dims strides = Dims::filled(type.shape.rank(), 0);
    strides[index_axis(node.op)] = 1;
    Walk walk(type.shape, strides);
    Elements made;
    for (int64_t i = 0; i < type.size(); ++i, walk.next()) {
      const auto number = [&]<class T>() { return to_bits(oracle::cast<T>(walk.offset())); };
      made.push_back(draft_.number(dispatch(type.dtype, number), type.dtype));
    }
    return made;
  }

  static Elements picked(const Elements& from, const Shape& shape, Walk walk) {
    Elements made;
    for (int64_t i = 0, n = shape.product(); i < n; ++i, walk.next()) made.push_back(from[walk.offset()]);
    return made;
  }

  static Elements moved(const Graph& graph, const Node& node, const Elements& operand) {
    const Shape& shape = graph.type(node.result()).shape;
    const Movement movement = movement_of(node.op, graph.type(node.operands[0]).shape, shape);
    return picked(operand, shape, Walk(shape, movement.strides, movement.offset));
  }

  static Elements boxes(const Graph& graph, const Node& node, const std::vector<Elements>& operands) {
    const Type& type = graph.type(node.result());
    std::vector<Type> types;
    for (Value operand : node.operands) types.push_back(graph.type(operand));
    Elements made(type.size());
    for (const Box& box : boxes_of(node.op, types, type)) {
      const Dims strides = row_major_strides(type.shape);
      int64_t offset = 0;
      for (int axis = 0; axis < strides.rank(); ++axis) offset += strides[axis] * box.start[axis];
      Walk walk(box.shape, strides, offset);
      for (int64_t i = 0, n = box.shape.product(); i < n; ++i, walk.next()) {
        made[walk.offset()] = operands[box.operand][box.splat ? 0 : i];
      }
    }
    return made;
  }

  // ---- Reductions

  Elements reduced(const Graph& graph, const Node& node, const Elements& elements) {
    const Type& operand = graph.type(node.operands[0]);
    const ReduceKind kind = reduction_of(node.op).kind;
    const Geometry geometry = geometry_of(graph, node);
    Elements made;
    for (int64_t outer = 0; outer < geometry.outer; ++outer) {
      for (int64_t inner = 0; inner < geometry.inner; ++inner) {
        Elements row;
        for (int64_t i = 0; i < geometry.n; ++i) {
          row.push_back(elements[(outer * geometry.n + i) * geometry.inner + inner]);
        }
        made.push_back(folded(kind, row, operand.dtype, geometry.inner == 1));
      }
    }
    return made;
  }

  /// The tree of KernelProgram, of one block.
  Id folded(ReduceKind kind, Elements row, DType dtype, bool along_lanes) {
    if (kind == ReduceKind::argmax || kind == ReduceKind::argmin) return index_of_best(kind, row, dtype);
    if (along_lanes) {
      for (size_t half = std::bit_ceil(row.size()) / 2; half > 0; half /= 2) {
        for (size_t i = 0; i + half < row.size(); ++i) row[i] = join(kind, row[i], row[i + half], dtype);
        row.resize(std::min(row.size(), half));
      }
    } else {
      for (size_t i = 1; i < row.size(); ++i) row[0] = join(kind, row[0], row[i], dtype);
    }
    // The zero of a reduction's max and min is +0, the elementwise ops give their first operand's.
    const bool is_extreme = kind == ReduceKind::max || kind == ReduceKind::min;
    if (!is_extreme || !is_floating(dtype)) return row[0];
    return draft_.compute(Op::add, Elements{row[0], draft_.number(0, dtype)}, dtype);
  }

  Id join(ReduceKind kind, Id a, Id b, DType dtype) {
    return draft_.compute(*joining_op(kind), Elements{a, b}, dtype);
  }

  /// The first NaN, else the first of the best.
  Id index_of_best(ReduceKind kind, const Elements& row, DType dtype) {
    const Op better = kind == ReduceKind::argmax ? Op::greater : Op::less;
    const auto logical = [&](Op op, Id a, Id b) { return draft_.compute(op, Elements{a, b}, DType::boolean); };
    Id best = row[0], index = draft_.number(0, DType::i64);
    for (size_t i = 1; i < row.size(); ++i) {
      Id wins = logical(better, row[i], best);
      if (is_floating(dtype)) {
        const Id first_nan = logical(Op::logical_and, logical(Op::not_equal, row[i], row[i]), logical(Op::equal, best, best));
        wins = logical(Op::logical_or, wins, first_nan);
      }
      best = draft_.compute(Op::where, Elements{wins, row[i], best}, dtype);
      index = draft_.compute(Op::where, Elements{wins, draft_.number(i, DType::i64), index}, DType::i64);
    }
    return index;
  }

  // ---- Control flow

  /// The inputs of a region, from what the channels bring.
  static std::vector<Elements> inputs_of(const Region& region, int number, std::span<const Channel> channels,
                                         const std::vector<Elements>& brought) {
    std::vector<Elements> inputs(region.graph().inputs().size());
    for (size_t c = 0; c < channels.size(); ++c) {
      for (const Port& port : channels[c].inputs) {
        if (port.region == number) inputs[port.index] = brought[c];
      }
    }
    return inputs;
  }

  static const Elements& output_of(const std::vector<Elements>& outputs, const Channel& channel, int region) {
    const auto port = std::ranges::find(channel.outputs, region, &Port::region);
    ETCH_CHECK(port != channel.outputs.end(), "a region gives nothing to a channel that needs it");
    return outputs[port->index];
  }

  std::vector<Elements> choice(const Graph& graph, const Node& node, const std::vector<Elements>& operands) {
    const std::vector<Channel> channels = channels_of(node.op, static_cast<int>(operands.size()));
    const std::vector<NamedRegion> regions = regions_of(node.op);
    std::vector<Elements> brought(channels.size());
    Id decides = 0;
    for (size_t c = 0; c < channels.size(); ++c) {
      if (channels[c].operand >= 0) brought[c] = operands[channels[c].operand];
      if (channels[c].decides) decides = brought[c][0];
    }
    constexpr InstrKind kEnds[] = {InstrKind::otherwise, InstrKind::join};
    draft_.control(InstrKind::branch, {decides});
    Id block = 0;
    for (int arm = 0; arm < 2; ++arm) {
      const std::vector<Elements> outputs =
          run(regions[arm].region.graph(), inputs_of(regions[arm].region, arm, channels, brought));
      absl::InlinedVector<int32_t, 3> args;
      for (const Channel& channel : channels) {
        if (channel.result >= 0) append(args, output_of(outputs, channel, arm));
      }
      block = draft_.control(kEnds[arm], std::move(args));
    }
    return draft_.handed(block, graph.result_types(node));
  }

  std::vector<Elements> loop(const Graph& graph, const Node& node, const std::vector<Elements>& operands) {
    const std::vector<Channel> channels = channels_of(node.op, static_cast<int>(operands.size()));
    const std::vector<NamedRegion> regions = regions_of(node.op);
    constexpr int kTest = 0, kBody = 1;
    const auto is_carried = [](const Channel& channel) { return channel.operand >= 0 && !channel.outputs.empty(); };
    std::vector<Elements> brought(channels.size());
    absl::InlinedVector<int32_t, 3> initial;
    std::vector<Type> carried_types;
    for (size_t c = 0; c < channels.size(); ++c) {
      if (channels[c].operand >= 0) brought[c] = operands[channels[c].operand];
      if (!is_carried(channels[c])) continue;
      append(initial, brought[c]);
      carried_types.push_back(graph.type(node.operands[channels[c].operand]));
    }
    const Id begin = draft_.control(InstrKind::loop, std::move(initial), is_guarded(node.op));
    std::vector<Elements> carried = draft_.handed(begin, carried_types);
    for (size_t c = 0, k = 0; c < channels.size(); ++c) {
      if (is_carried(channels[c])) brought[c] = carried[k++];
    }

    const std::vector<Elements> tested =
        run(regions[kTest].region.graph(), inputs_of(regions[kTest].region, kTest, channels, brought));
    absl::InlinedVector<int32_t, 3> leaving;
    for (const Channel& channel : channels) {
      if (channel.decides) append(leaving, output_of(tested, channel, kTest));
    }
    for (size_t c = 0; c < channels.size(); ++c) {
      if (channels[c].result < 0) continue;
      brought[c] = output_of(tested, channels[c], kTest);
      append(leaving, brought[c]);
    }
    draft_.control(InstrKind::leave, std::move(leaving));

    const std::vector<Elements> next =
        run(regions[kBody].region.graph(), inputs_of(regions[kBody].region, kBody, channels, brought));
    absl::InlinedVector<int32_t, 3> args;
    for (const Channel& channel : channels) {
      if (is_carried(channel)) append(args, output_of(next, channel, kBody));
    }
    return draft_.handed(draft_.control(InstrKind::next, std::move(args)), graph.result_types(node));
  }

  ScalarDraft& draft_;
};

/// What keeps a node from being native, or empty.
std::string obstacle_of(const Graph& graph, const Node& node);

/// What keeps a region from it.
std::string obstacle_in(const Graph& graph) {
  std::vector<bool> is_known(graph.num_values());
  for (Value input : graph.inputs()) is_known[input.id] = true;
  return obstacle_to(graph, graph.outputs(), is_known);
}

std::string obstacle_of(const Graph& graph, const Node& node) {
  for (Value result : results(node)) {
    if (graph.type(result).size() <= kMostNativeElements) continue;
    return cat(name(node.op), " gives ", to_string(graph.type(result)), ", more than ", kMostNativeElements, " elements");
  }
  for (Value operand : node.operands) {
    if (graph.type(operand).size() <= kMostNativeElements) continue;
    return cat(name(node.op), " takes ", to_string(graph.type(operand)), ", more than ", kMostNativeElements, " elements");
  }
  switch (place(node.op)) {
    case Place::indexed:
    case Place::product:
    case Place::call: return cat(name(node.op), " works on memory");
    case Place::host: return cat(to_string(host_of(node.op)), " acts on the host");
    case Place::reduction:
      if (reduction_of(node.op).axes.rank() > 1 || geometry_of(graph, node).n == 0) return cat(name(node.op), " works on memory");
      return {};
    case Place::region:
      for (const NamedRegion& region : regions_of(node.op)) {
        std::string obstacle = obstacle_in(region.region.graph());
        if (!obstacle.empty()) return obstacle;
      }
      return {};
    case Place::elementwise:
      if (cost_of(node.op) >= cost::kDear && graph.type(node.result()).size() > kMostDearElements) {
        return cat(name(node.op), " of ", to_string(graph.type(node.result())), " is dear to write out for each element");
      }
      return {};
    case Place::input:
    case Place::splat:
    case Place::index:
    case Place::view:
    case Place::movement:
    case Place::boxes: break;
  }
  return {};
}

std::string why_not_native(const Graph& graph, const Node& node, ScheduledKernel& kernel) {
  if (std::string obstacle = obstacle_of(graph, node); !obstacle.empty()) return obstacle;
  ScalarDraft draft(node);
  std::vector<Elements> operands;
  for (Value operand : node.operands) operands.push_back(operand_elements(graph, operand, draft));
  const std::vector<Elements> made = Lowering(draft).results_of(graph, node, operands);
  if (draft.is_too_long()) return cat("there are more than ", kMostScalarInstrs, " instructions");
  for (Value result : results(node)) {
    const Elements& elements = made[result.id - node.first_result];
    for (size_t i = 0; i < elements.size(); ++i) {
      draft.store(result.id, static_cast<int64_t>(i), graph.type(result).dtype, elements[i]);
    }
  }
  kernel = draft.finish();
  const size_t accesses = kernel.program.accesses.size();
  if (accesses == 0) return "its results are empty";
  return accesses <= kMostNativeAccesses ? "" : cat("it reads and writes more than ", kMostNativeAccesses, " elements");
}

}  // namespace

bool is_loop(const Node& node) {
  const std::vector<Channel> channels = channels_of(node.op, static_cast<int>(node.operands.size()));
  return std::ranges::any_of(channels, [](const Channel& channel) { return channel.decides && channel.operand < 0; });
}

std::vector<bool> nodes_behind(const Graph& graph, std::span<const Value> wanted, const std::vector<bool>& is_known) {
  std::vector<bool> needed(graph.nodes().size());
  for (Value value : wanted) needed[graph.index_of(value)] = true;
  for (size_t i = needed.size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    if (!needed[i] || (!is_known.empty() && is_known[node.first_result])) continue;
    for (Value operand : node.operands) needed[graph.index_of(operand)] = true;
  }
  return needed;
}

std::string obstacle_to(const Graph& graph, std::span<const Value> wanted, const std::vector<bool>& is_known) {
  const std::vector<bool> needed = nodes_behind(graph, wanted, is_known);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!needed[i]) continue;
    const bool is_unknown = place(node.op) == Place::input && !is_known[node.first_result];
    if (is_unknown) return cat("it needs more of ", to_string(graph.type(node.result())), " than a row");
    const bool stands = place(node.op) != Place::input && is_known[node.first_result];
    std::string obstacle = stands ? "" : obstacle_of(graph, node);
    if (!obstacle.empty()) return obstacle;
  }
  return {};
}

std::vector<Elements> elements_of(const Graph& graph, std::span<const Value> wanted, std::vector<Elements> known,
                                  ScalarDraft& draft) {
  return Lowering(draft).values_of(graph, wanted, std::move(known));
}

Elements operand_elements(const Graph& graph, Value operand, ScalarDraft& draft) {
  const Value source = storage_of(graph, operand);
  if (is_known(graph, operand)) {
    return Lowering(draft).results_of(graph, graph.node(source), {})[0];
  }
  const Type& type = graph.type(operand);
  Elements elements;
  for (int64_t i = 0; i < type.size(); ++i) elements.push_back(draft.load(source.id, i, type.dtype));
  return elements;
}

bool is_known(const Graph& graph, Value operand) {
  const Place kind = place(graph.node(storage_of(graph, operand)).op);
  return kind == Place::splat || kind == Place::index;
}

std::optional<ScheduledKernel> native_kernel(const Graph& graph, const Node& node, std::string* why_not) {
  ScheduledKernel kernel;
  std::string why = why_not_native(graph, node, kernel);
  if (why.empty()) return kernel;
  if (why_not) *why_not = std::move(why);
  return std::nullopt;
}

NativeKernels::NativeKernels(const Graph& graph, NativeOptions options) {
  std::vector<bool> is_used(graph.num_values());
  for (const Node& node : graph.nodes()) {
    for (Value operand : node.operands) is_used[operand.id] = true;
  }
  for (Value output : graph.outputs()) is_used[output.id] = true;
  for (const Node& node : graph.nodes()) {
    if (place(node.op) != Place::region) continue;
    Entry& entry = entries_[node.first_result];
    if (options.small_values) entry.kernel = native_kernel(graph, node, &entry.why_not);
    if (entry.kernel || !options.lanes) continue;
    std::string why_no_lanes;
    entry.kernel = masked_kernel(graph, node, is_used, &why_no_lanes);
    if (!why_no_lanes.empty()) entry.why_not = why_no_lanes;
  }
}

const ScheduledKernel* NativeKernels::kernel(const Node& node) const {
  const auto found = entries_.find(node.first_result);
  return found != entries_.end() && found->second.kernel ? &*found->second.kernel : nullptr;
}

std::string_view NativeKernels::why_not(const Node& node) const {
  const auto found = entries_.find(node.first_result);
  return found == entries_.end() ? std::string_view() : found->second.why_not;
}

}  // namespace etch::schedule
