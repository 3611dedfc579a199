// Reverse mode over a list of nodes, and what follows from it.
#include "compiler/ir/gradient.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "compiler/ir/events.h"

namespace etch {
namespace {

// ---- What passes through a node -------------------------------------------------------------------------------------

/// Why the node has no gradient in an operand of floats, or empty.
std::string_view why_none(const Node& node, int operand) {
  return node.op.visit([&]<class T>(const T& fields) -> std::string_view {
    constexpr bool kSaysWhy = requires { T::kNoGradient; };
    constexpr bool kHasGradient = requires(const Backward& at) { fields.gradient(at, 0); } ||
                                  requires(const Backward& at) { fields.gradients(at); };
    static_assert(kSaysWhy != kHasGradient, "an op has `gradient`, `gradients` or `kNoGradient` (structural_op.h)");
    if constexpr (std::is_same_v<T, Row>) {
      return fields.why_no_gradient(operand);
    } else if constexpr (kSaysWhy) {
      return T::kNoGradient;
    } else {
      return {};
    }
  });
}

Ex gradient(const AnyOp& op, const Backward& at, int operand) {
  return op.visit([&]<class T>(const T& fields) -> Ex {
    if constexpr (requires { fields.gradient(at, operand); }) {
      return fields.gradient(at, operand);
    } else {
      ETCH_UNREACHABLE("nothing passes through an op without gradient");
    }
  });
}

std::vector<Ex> gradients_of_regions(const AnyOp& op, const Backward& at) {
  return op.visit([&]<class T>(const T& fields) -> std::vector<Ex> {
    if constexpr (requires { fields.gradients(at); }) {
      return fields.gradients(at);
    } else {
      ETCH_UNREACHABLE("an op without regions is differentiated in each operand");
    }
  });
}

bool is_floating(const Nodes& nodes, Value value) { return etch::is_floating(nodes.type(value).dtype); }

/// True if f holds for a result of the node.
template <class F>
bool any_result(const Node& node, F f) {
  for (Value result : results(node)) {
    if (f(result)) return true;
  }
  return false;
}

bool gives_floats(const Nodes& nodes, const Node& node) {
  return any_result(node, [&](Value value) { return is_floating(nodes, value); });
}

bool is_recorded(const std::vector<bool>& recorded, int node) { return recorded.empty() || recorded[node]; }

/// True if a derivative passes from an operand of the node to its results.
bool passes(const Nodes& nodes, const Node& node, int operand) {
  return is_floating(nodes, node.operands[operand]) && gives_floats(nodes, node) &&
         (is_stand_in(node) || why_none(node, operand).empty());
}

/// Why not, after the op's name.
std::string reason(const Nodes& nodes, const Node& node, int operand) {
  const std::string_view why = is_stand_in(node) ? "" : why_none(node, operand);
  if (!why.empty()) return std::string(why);
  const auto dtype = [&](Value value) { return name(nodes.type(value).dtype); };
  if (!is_floating(nodes, node.operands[operand])) return cat("takes ", dtype(node.operands[operand]));
  return cat("gives ", dtype(node.result()));
}

/// Per value, whether a derivative in one of the sources passes to it; the recorded nodes from `begin` to before `end` count.
std::vector<bool> find_active(const Nodes& nodes, std::span<const Value> sources, int begin, int end,
                              const std::vector<bool>& recorded) {
  std::vector<bool> active(nodes.num_values(), false);
  for (Value source : sources) active[source.id] = is_floating(nodes, source);
  for (int n = begin; n < end; ++n) {
    if (!is_recorded(recorded, n)) continue;
    const Node& node = nodes.nodes()[n];
    bool reached = false;
    for (int i = 0; i < static_cast<int>(node.operands.size()) && !reached; ++i) {
      reached = active[node.operands[i].id] && passes(nodes, node, i);
    }
    if (!reached) continue;
    for (Value result : results(node)) active[result.id] = active[result.id] || is_floating(nodes, result);
  }
  return active;
}

int end_of(const Nodes& nodes, std::span<const Value> targets) {
  int end = 0;
  for (Value target : targets) end = std::max(end, nodes.index_of(target) + 1);
  return end;
}

// ---- Reverse mode ---------------------------------------------------------------------------------------------------

/// One walk over the nodes from the last target back.
class ReverseWalk {
 public:
  ReverseWalk(ExMaker& maker, const Derivation& derivation)
      : maker_(maker),
        begin_(derivation.begin),
        end_(end_of(maker.nodes(), derivation.targets)),
        active_(find_active(maker.nodes(), derivation.sources, begin_, end_, derivation.recorded)),
        recorded_(derivation.recorded),
        custom_(derivation.custom),
        cotangents_(active_.size()) {
    std::ranges::copy_if(derivation.groups, std::back_inserter(groups_), [&](NodeRange group) { return group.end > begin_; });
    // As they are entered on the way back: later ones first, outer ones before inner ones.
    std::stable_sort(groups_.begin(), groups_.end(), [](NodeRange a, NodeRange b) {
      return a.end != b.end ? a.end > b.end : a.begin < b.begin;
    });
    for (size_t i = 0; i < derivation.so_far.size(); ++i) {
      if (derivation.so_far[i].id >= 0) cotangents_[derivation.sources[i].id] = {maker, derivation.so_far[i]};
    }
    for (size_t i = 0; i < derivation.targets.size(); ++i) {
      const Value target = derivation.targets[i];
      if (active_[target.id]) add(target, {maker, derivation.cotangents[i]});
    }
  }

  void run() {
    size_t next_group = 0;
    for (int i = end_ - 1; i >= begin_; --i) {
      while (!open_.empty() && open_.back().begin > i) close_group();
      for (; next_group < groups_.size() && groups_[next_group].end > i; ++next_group) {
        if (groups_[next_group].begin <= i) open_.push_back({groups_[next_group].begin, num_nodes(), {}});
      }
      if (is_recorded(recorded_, i)) differentiate_node(i);
    }
    while (!open_.empty()) close_group();
  }

  std::optional<Value> cotangent(Value value) const {
    const Ex& cotangent = cotangents_[value.id];
    return cotangent.is_none() ? std::nullopt : std::optional(cotangent.value());
  }

  std::vector<NodeRange> made_groups() && { return std::move(made_groups_); }

 private:
  /// A group of which not all nodes are done, and what it adds to values that were made before it.
  struct OpenGroup {
    int begin;
    int made_begin;  // of the new nodes
    std::map<int32_t, Ex> sums;  // by value
  };

  int num_nodes() const { return static_cast<int>(maker_.nodes().nodes().size()); }

  /// One new node is a group without saying so.
  void make_group(int begin) {
    if (num_nodes() - begin > 1) made_groups_.push_back({begin, num_nodes()});
  }

  bool was_there(Value value, int begin) const {
    const Node& node = maker_.node(value);
    return maker_.nodes().index_of(value) < begin || (place(node.op) == Place::input && node.operands.empty());
  }

  /// What was added to the cotangent of a value, as far as the group at hand knows.
  Ex& sum_of(Value value) {
    const bool leaves = !open_.empty() && was_there(value, open_.back().begin);
    return leaves ? open_.back().sums[value.id] : cotangents_[value.id];
  }

  void add(Value value, const Ex& contribution) {
    Ex& sum = sum_of(value);
    ETCH_CHECK(contribution.type() == maker_.type(value),
               cat("a gradient has type ", to_string(contribution.type()), " and not ", to_string(maker_.type(value))));
    sum = sum.is_none() ? contribution : sum + contribution;
  }

  void close_group() {
    const std::map<int32_t, Ex> sums = std::move(open_.back().sums);
    make_group(open_.back().made_begin);
    open_.pop_back();
    for (const auto& [value, sum] : sums) add({value}, sum);
  }

  /// What the cotangents of a node's results add to those of its operands, or none.
  std::vector<Ex> contributions(int index, const Node& node, const Backward& at) {
    if (is_stand_in(node)) {
      std::optional<std::vector<Ex>> own;
      if (custom_) own = custom_->differentiate(index, at.cotangents, made_groups_);
      return own ? *std::move(own) : std::vector<Ex>{at.cotangents[0]};
    }
    std::vector<Ex> contributions(node.operands.size());
    for (int i = 0; i < static_cast<int>(node.operands.size()); ++i) {
      if (!active_[node.operands[i].id] || !passes(maker_.nodes(), node, i)) continue;
      contributions[i] = gradient(node.op, at, i);
    }
    return contributions;
  }

  /// Where a value is an operand more than once, what was added so far belongs to the last one: of a loop that is what does
  /// not change, to which later turns add than the first one, of which the value is the state.
  void differentiate_regions(const Node& node, Backward& at) {
    for (auto operand = node.operands.begin(); operand != node.operands.end(); ++operand) {
      const bool is_last = std::find(operand + 1, node.operands.end(), *operand) == node.operands.end();
      at.so_far.push_back(is_last && active_[operand->id] ? sum_of(*operand) : Ex());
    }
    const int begin = num_nodes();
    const std::vector<Ex> gradients = gradients_of_regions(node.op, at);
    make_group(begin);
    for (size_t i = gradients.size(); i-- > 0;) {
      const Value operand = node.operands[i];
      if (!active_[operand.id] || gradients[i].is_none()) continue;
      if (!at.so_far[i].is_none()) sum_of(operand) = Ex();
      add(operand, gradients[i]);
    }
  }

  void differentiate_node(int index) {
    const Node node = maker_.nodes().nodes()[index];  // a copy: nodes move when others are made
    Backward at;
    bool reached = false;
    for (Value result : results(node)) {
      at.results.push_back({maker_, result});
      at.cotangents.push_back(cotangents_[result.id]);
      reached = reached || !at.cotangents.back().is_none();
    }
    if (!reached) return;
    for (Value operand : node.operands) at.operands.push_back({maker_, operand});
    maker_.set_origin(node.origin);
    if (place(node.op) == Place::region) return differentiate_regions(node, at);
    const int begin = num_nodes();
    const std::vector<Ex> contributions = this->contributions(index, node, at);
    make_group(begin);
    for (size_t i = 0; i < contributions.size(); ++i) {
      if (active_[node.operands[i].id] && !contributions[i].is_none()) add(node.operands[i], contributions[i]);
    }
  }

  ExMaker& maker_;
  const int begin_, end_;
  const std::vector<bool> active_;
  const std::vector<bool>& recorded_;
  CustomGradients* const custom_;
  std::vector<Ex> cotangents_;  // by value
  std::vector<NodeRange> groups_;
  std::vector<OpenGroup> open_;
  std::vector<NodeRange> made_groups_;
};

// ---- Graphs ---------------------------------------------------------------------------------------------------------

/// Makes the nodes that some values need in a builder that was started as their graph. `renamed` says what is there.
void copy_needed(GraphBuilder& builder, const Graph& graph, std::span<const Value> wanted,
                 std::vector<Value>& renamed) {
  std::vector<bool> needed(graph.num_values(), false);
  for (Value value : wanted) needed[value.id] = true;
  const auto is_missing = [&](Value value) { return needed[value.id] && renamed[value.id].id < 0; };
  // Operands come before their users.
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    if (!any_result(node, is_missing)) continue;
    ETCH_CHECK(place(node.op) != Place::input, cat("a graph of derivatives needs input %", node.result().id));
    for (Value operand : node.operands) needed[operand.id] = true;
  }
  for (const Node& node : graph.nodes()) {
    if (!any_result(node, is_missing)) continue;
    absl::InlinedVector<Value, 3> operands;
    for (Value operand : node.operands) operands.push_back(renamed[operand.id]);
    const Results made = checked(builder.keep(graph, node, operands, node.origin));
    for (int i = 0; i < made.size(); ++i) {
      Value& name = renamed[node.first_result + i];
      if (name.id < 0) name = made[i];
    }
  }
}

/// Which values the outputs of a graph are made of, as they stand in its nodes.
std::vector<bool> needed_values(const Graph& graph) {
  std::vector<bool> needed(graph.num_values(), false);
  for (Value output : graph.outputs()) needed[output.id] = true;
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    if (!any_result(node, [&](Value value) { return needed[value.id]; })) continue;
    for (Value operand : node.operands) needed[operand.id] = true;
  }
  return needed;
}

/// The outputs of a graph as a function of any of its values. They do not depend on the `unread` inputs, though an op with
/// regions may take those along; zeros stand for them.
Graph as_function_of(const Graph& graph, std::span<const Value> inputs, std::span<const Value> unread = {}) {
  GraphBuilder builder;
  builder.start_as(graph);
  std::vector<Value> renamed(graph.num_values());
  for (Value input : inputs) {
    const Value made = checked(builder.input(graph.type(input), graph.node(input).origin));
    if (renamed[input.id].id < 0) renamed[input.id] = made;
  }
  if (!unread.empty()) {
    const std::vector<bool> needed = needed_values(graph);
    for (Value input : unread) {
      if (needed[input.id]) renamed[input.id] = checked(builder.constant(0, graph.type(input)));
    }
  }
  copy_needed(builder, graph, graph.outputs(), renamed);
  std::vector<Value> outputs;
  for (Value output : graph.outputs()) outputs.push_back(renamed[output.id]);
  return std::move(builder).finish(outputs);
}

/// A graph with more inputs, to which derivatives are added.
class Extension {
 public:
  explicit Extension(const Graph& graph) : graph_(graph), renamed_(graph.num_values()) {
    builder_.start_as(graph);
    for (Value input : graph.inputs()) {
      renamed_[input.id] = checked(builder_.input(graph.type(input), graph.node(input).origin));
    }
  }

  /// More inputs, of the types of these values of the graph; all of them come before the nodes.
  std::vector<Value> add_inputs_like(std::span<const Value> values) {
    std::vector<Value> inputs;
    for (Value value : values) inputs.push_back(checked(builder_.input(graph_.type(value))));
    return inputs;
  }

  void copy_nodes(std::span<const Value> wanted) { copy_needed(builder_, graph_, wanted, renamed_); }

  std::vector<Value> renamed(std::span<const Value> values) const {
    std::vector<Value> result;
    for (Value value : values) result.push_back(renamed_[value.id]);
    return result;
  }

  GraphBuilder& builder() { return builder_; }

 private:
  const Graph& graph_;
  GraphBuilder builder_;
  std::vector<Value> renamed_;
};

/// The values that are there, and where each of them stands among them.
struct Present {
  explicit Present(std::span<const std::optional<Value>> all) {
    for (const std::optional<Value>& value : all) {
      places.push_back(value ? std::optional(static_cast<int>(values.size())) : std::nullopt);
      if (value) values.push_back(*value);
    }
  }

  std::vector<Value> values;
  std::vector<std::optional<int>> places;
};

std::vector<Value> joined(std::initializer_list<std::span<const Value>> lists) {
  std::vector<Value> all;
  for (std::span<const Value> list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

}  // namespace

Gradients make_gradients(ExMaker& maker, const Derivation& derivation) {
  ETCH_CHECK(derivation.targets.size() == derivation.cotangents.size(),
             cat(derivation.targets.size(), " targets have ", derivation.cotangents.size(), " cotangents"));
  ReverseWalk walk(maker, derivation);
  walk.run();
  Gradients gradients;
  for (Value source : derivation.sources) gradients.values.push_back(walk.cotangent(source));
  gradients.groups = std::move(walk).made_groups();
  return gradients;
}

GradientGraph differentiate(const Graph& graph, std::span<const Value> targets, std::span<const Value> sources,
                            const DifferentiateOptions& options) {
  Extension extension(graph);
  const std::vector<Value> cotangents = extension.add_inputs_like(targets);
  std::vector<Value> so_far(options.so_far.size()), begun;
  for (size_t i = 0; i < so_far.size(); ++i) {
    if (!options.so_far[i]) continue;
    so_far[i] = extension.add_inputs_like(sources.subspan(i, 1))[0];
    begun.push_back(so_far[i]);
  }
  extension.copy_nodes(joined({targets, sources, options.given}));
  Emitter emitter(extension.builder());
  std::vector<std::optional<Value>> gradients =
      make_gradients(emitter, {.targets = extension.renamed(targets),
                               .cotangents = cotangents,
                               .sources = extension.renamed(sources),
                               .so_far = so_far})
          .values;
  for (size_t i = 0; i < sources.size() && options.zeros; ++i) {
    if (!gradients[i]) gradients[i] = constant(emitter, 0, graph.type(sources[i])).value();
  }
  const Present present(gradients);
  const std::vector<Value> inputs =
      joined({extension.renamed(graph.inputs()), extension.renamed(options.given), cotangents, begun});
  const Graph whole = std::move(extension.builder()).finish(present.values);
  return {as_function_of(whole, inputs), present.places};
}

GradientGraph differentiate_forward(const Graph& graph, std::span<const Value> targets,
                                    std::span<const Value> sources) {
  Extension extension(graph);
  const std::vector<Value> tangents = extension.add_inputs_like(sources);
  const std::vector<Value> cotangents = extension.add_inputs_like(targets);
  extension.copy_nodes(joined({targets, sources}));
  Emitter emitter(extension.builder());
  const std::vector<std::optional<Value>> gradients =
      make_gradients(emitter, {extension.renamed(targets), cotangents, extension.renamed(sources)}).values;
  const Present reverse(gradients);
  std::vector<Value> weights;
  for (size_t i = 0; i < sources.size(); ++i) {
    if (gradients[i]) weights.push_back(tangents[i]);
  }
  const Present forward(make_gradients(emitter, {reverse.values, weights, cotangents}).values);
  const std::vector<Value> inputs = joined({extension.renamed(graph.inputs()), tangents});
  const Graph whole = std::move(extension.builder()).finish(forward.values);
  return {as_function_of(whole, inputs, cotangents), forward.places};
}

bool has_gradient(const Nodes& nodes, std::span<const Value> targets, Value source, const std::vector<bool>& recorded) {
  const std::vector<bool> active = find_active(nodes, {&source, 1}, 0, end_of(nodes, targets), recorded);
  return std::ranges::any_of(targets, [&](Value target) { return active[target.id]; });
}

std::vector<BrokenEdge> broken_edges(const Nodes& nodes, std::span<const Value> targets, Value source,
                                     const std::vector<bool>& recorded) {
  const int end = end_of(nodes, targets);
  const std::vector<bool> active = find_active(nodes, {&source, 1}, 0, end, recorded);
  std::vector<bool> leads(nodes.num_values(), false);  // to a target
  for (Value target : targets) leads[target.id] = true;
  std::vector<BrokenEdge> edges;
  for (int i = end - 1; i >= 0; --i) {
    const Node& node = nodes.nodes()[i];
    if (!any_result(node, [&](Value value) { return leads[value.id]; })) continue;
    for (int operand = static_cast<int>(node.operands.size()) - 1; operand >= 0; --operand) {
      const Value value = node.operands[operand];
      leads[value.id] = true;
      if (!active[value.id]) continue;
      if (!is_recorded(recorded, i)) {
        edges.push_back({i, operand, "was not recorded"});
      } else if (!passes(nodes, node, operand)) {
        edges.push_back({i, operand, reason(nodes, node, operand)});
      }
    }
  }
  std::reverse(edges.begin(), edges.end());
  return edges;
}

std::string why_no_gradient(const Nodes& nodes, std::span<const Value> targets, Value source,
                            const std::vector<bool>& recorded) {
  if (!is_floating(nodes, source)) {
    return cat("it is of ", name(nodes.type(source).dtype), ", and only floats have gradients");
  }
  std::string text;
  BrokenEdge last{-1, 0, ""};
  for (BrokenEdge& edge : broken_edges(nodes, targets, source, recorded)) {
    if (edge.node == last.node && edge.reason == last.reason) continue;  // both operands for one reason
    last = edge;
    const Node& node = nodes.nodes()[edge.node];
    text += cat(text.empty() ? "" : "; ", name(node.op));
    if (node.origin.file >= 0) text += cat(" (", nodes.name_of(node.origin.file), ":", node.origin.line, ")");
    text += cat(" ", edge.reason);
  }
  return text.empty() ? "no target depends on it" : text;
}

}  // namespace etch
