// Nodes by names: a slash makes a scope, a colon names a result of several.
#include "frontend/summary/graph_def.h"

#include <map>
#include <vector>

#include "compiler/ir/any_op.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/field_text.h"
#include "frontend/concrete.h"
#include "frontend/summary/event.pb.h"

namespace etch::detail {
namespace {

/// TensorFlow's number of a dtype (tensorflow/core/framework/types.proto).
int type_number(DType dtype) {
  const int64_t bits = 8 * size_of(dtype);
  if (dtype == DType::bf16) return 14;
  switch (info(dtype).kind) {
    case DTypeKind::floating: return bits == 16 ? 19 : bits == 32 ? 1 : 2;
    case DTypeKind::signed_integer: return bits == 8 ? 6 : bits == 16 ? 5 : bits == 32 ? 3 : 9;
    case DTypeKind::unsigned_integer: return bits == 8 ? 4 : bits == 16 ? 17 : bits == 32 ? 22 : 23;
    case DTypeKind::boolean: break;
  }
  return 10;
}

/// A name of letters, digits and `_.-/`, as readers take it: `args[0].x` becomes `args_0_.x`.
std::string readable(std::string_view name) {
  constexpr std::string_view kOthers = "_.-/";
  std::string text;
  for (char c : name) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    text += is_plain || kOthers.find(c) != std::string_view::npos ? c : '_';
  }
  while (text.size() > 1 && text.back() == '_') text.pop_back();
  return text.empty() ? "_" : text;
}

class Drawing {
 public:
  explicit Drawing(const Concrete& concrete) : concrete_(concrete), graph_(concrete.trace.graph) {
    def_.mutable_versions()->set_producer(1);
  }

  std::string draw() {
    Names names(static_cast<size_t>(graph_.num_values()));
    add_inputs(names);
    add_nodes(graph_, "", names);
    add_outputs(names);
    return def_.SerializeAsString();
  }

 private:
  using Names = std::vector<std::string>;  // of values

  void add_inputs(Names& names) {
    const auto add = [&](int32_t input, const std::string& name, std::string_view op) {
      const Value value = graph_.inputs()[static_cast<size_t>(input)];
      names[static_cast<size_t>(value.id)] = add_node(graph_, graph_.node(value), unique(readable(name)), op).name();
    };
    int32_t next = 0;
    for (const ArgReader::Leaf& leaf : concrete_.leaves) {
      if (leaf.is_tensor && leaf.text != "no tensor") add(next++, leaf.path, "Argument");
    }
    for (const Capture& capture : concrete_.trace.captures) add(capture.input(), "captures/capture", "Capture");
    for (const UsedVariable& use : concrete_.trace.variables) {
      if (use.input >= 0) add(use.input, cat("variables/", use.cell->name()), "Variable");
    }
  }

  void add_outputs(const Names& names) {
    const auto add = [&](int32_t output, const std::string& name, std::string_view op) {
      const Value value = graph_.outputs()[static_cast<size_t>(output)];
      event_file::NodeDef& node = *def_.add_node();
      node.set_name(unique(readable(name)));
      node.set_op(std::string(op));
      node.add_input(names[static_cast<size_t>(value.id)]);
      set_type(node, {&graph_.type(value), 1});
    };
    for (size_t i = 0; i < concrete_.num_results(); ++i) add(static_cast<int32_t>(i), "result", "Result");
    for (const UsedVariable& use : concrete_.trace.variables) {
      if (use.is_assigned()) add(use.output, cat("assign/", use.cell->name()), "NewValue");
    }
  }

  /// Those behind the inputs. @param prefix a scope with its slash, or nothing.
  void add_nodes(const Graph& graph, const std::string& prefix, Names& names) {
    for (const Node& node : graph.nodes().subspan(graph.inputs().size())) {
      std::string base = prefix;
      if (node.origin.scope >= 0) base += readable(graph.name_of(node.origin.scope)) + "/";
      const std::string name = unique(base + std::string(etch::name(node.op)));
      const std::vector<NamedRegion> regions = regions_of(node.op);
      const std::string drawn = regions.empty() ? add_op(graph, node, name, names) : add_regions(graph, node, name, regions, names);
      int port = 0;
      for (Value result : results(node)) {
        names[static_cast<size_t>(result.id)] = port == 0 ? drawn : cat(drawn, ":", port);
        ++port;
      }
    }
  }

  std::string add_op(const Graph& graph, const Node& node, const std::string& name, const Names& names) {
    event_file::NodeDef& drawn = add_node(graph, node, name, etch::name(node.op));
    for (Value operand : node.operands) drawn.add_input(names[static_cast<size_t>(operand.id)]);
    return name;
  }

  /// What regions take comes from the op's operands; the op itself takes what they give.
  std::string add_regions(const Graph& graph, const Node& node, const std::string& scope, std::span<const NamedRegion> regions,
                          const Names& names) {
    const std::vector<Channel> channels = channels_of(node.op, static_cast<int>(node.operands.size()));
    std::vector<std::string> given;
    std::vector<bool> is_taken(node.operands.size());
    for (size_t r = 0; r < regions.size(); ++r) {
      const Graph& inside = regions[r].region.graph();
      const std::string prefix = cat(scope, "/", regions[r].name, "/");
      Names inner(static_cast<size_t>(inside.num_values()));
      for (size_t i = 0; i < inside.inputs().size(); ++i) {
        const Value input = inside.inputs()[i];
        event_file::NodeDef& drawn = add_node(inside, inside.node(input), unique(prefix + "input"), "Input");
        const int operand = operand_of(channels, static_cast<int>(r), static_cast<int>(i));
        if (operand >= 0) {
          drawn.add_input(names[static_cast<size_t>(node.operands[static_cast<size_t>(operand)].id)]);
          is_taken[static_cast<size_t>(operand)] = true;
        }
        inner[static_cast<size_t>(input.id)] = drawn.name();
      }
      add_nodes(inside, prefix, inner);
      for (Value output : inside.outputs()) given.push_back(inner[static_cast<size_t>(output.id)]);
    }
    event_file::NodeDef& drawn = add_node(graph, node, unique(scope + "/results"), etch::name(node.op));
    for (size_t i = 0; i < node.operands.size(); ++i) {
      if (!is_taken[i]) drawn.add_input(names[static_cast<size_t>(node.operands[i].id)]);
    }
    for (const std::string& input : given) drawn.add_input(input);
    return drawn.name();
  }

  /// The operand that an input of a region sees first, or -1.
  static int operand_of(std::span<const Channel> channels, int region, int input) {
    for (const Channel& channel : channels) {
      for (const Port& port : channel.inputs) {
        if (port.region == region && port.index == input) return channel.operand;
      }
    }
    return -1;
  }

  event_file::NodeDef& add_node(const Graph& graph, const Node& node, const std::string& name, std::string_view op) {
    event_file::NodeDef& drawn = *def_.add_node();
    drawn.set_name(name);
    drawn.set_op(std::string(op));
    const Types types = graph.result_types(node);
    set_type(drawn, types);
    if (node.origin.file >= 0) {
      (*drawn.mutable_attr())["place"].set_s(cat(graph.name_of(node.origin.file), ":", node.origin.line));
    }
    const bool is_input = place(node.op) == Place::input;
    if (is_input || types.empty()) return drawn;
    const std::string fields = fields_text(node.op, types[0].dtype, false);
    if (!fields.empty()) (*drawn.mutable_attr())["fields"].set_s(fields.substr(1));
    return drawn;
  }

  /// The shapes are those that TensorBoard writes at edges.
  static void set_type(event_file::NodeDef& drawn, std::span<const Type> types) {
    if (types.empty()) return;
    (*drawn.mutable_attr())["dtype"].set_type(type_number(types[0].dtype));
    auto& shapes = *(*drawn.mutable_attr())["_output_shapes"].mutable_list();
    for (const Type& type : types) {
      event_file::TensorShapeProto& shape = *shapes.add_shape();
      for (int64_t extent : type.shape) shape.add_dim()->set_size(extent);
    }
  }

  std::string unique(const std::string& base) {
    int& count = counts_[base];
    std::string name = count == 0 ? base : cat(base, "_", count);
    ++count;
    if (name != base && counts_[name]++ > 0) return unique(base);  // somebody is called so
    return name;
  }

  const Concrete& concrete_;
  const Graph& graph_;
  event_file::GraphDef def_;
  std::map<std::string, int> counts_;
};

}  // namespace

std::string graph_def(const Concrete& concrete) { return Drawing(concrete).draw(); }

}  // namespace etch::detail
