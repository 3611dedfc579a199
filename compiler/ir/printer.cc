// Graph to text.
#include "compiler/ir/field_text.h"
#include "compiler/ir/text.h"

namespace etch {
namespace {

template <class Values>
void append_values(std::string& text, const Values& values) {
  const char* before = "%";
  for (Value value : values) {
    text.append(before).append(std::to_string(value.id));
    before = ", %";
  }
}

/// Operands that steer the op, or that a loop carries, stand before a semicolon.
void append_operands(std::string& text, const Node& node) {
  if (node.operands.empty()) return;
  const std::span<const Value> operands = node.operands;
  const size_t leading = place(node.op) == Place::region ? num_leading(node.op) : operands.size();
  text += '(';
  append_values(text, operands.first(leading));
  if (leading < operands.size()) text += leading > 0 ? "; " : ";";
  append_values(text, operands.subspan(leading));
  text += ')';
}

void append_types(std::string& text, const Graph& graph, const Node& node) {
  const char* before = " : ";
  for (Value result : results(node)) {
    text.append(before).append(to_string(graph.type(result)));
    before = ", ";
  }
}

/// Names come from users: control characters must not end the comment.
void append_name(std::string& text, std::string_view name) {
  for (char c : name) text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
}

void append_origin(std::string& text, const Graph& graph, const Origin& origin) {
  if (origin.file < 0 && origin.scope < 0) return;
  text += "  //";
  if (origin.file >= 0) {
    text += ' ';
    append_name(text, graph.name_of(origin.file));
    text.append(":").append(std::to_string(origin.line));
  }
  if (origin.scope >= 0) {
    text += " in ";
    append_name(text, graph.name_of(origin.scope));
  }
}

void append_graph(std::string& text, std::string_view name, const Graph& graph, int indent);

void append_node(std::string& text, const Graph& graph, const Node& node, int indent) {
  const std::vector<NamedRegion> regions = regions_of(node.op);
  text.append(indent, ' ');
  append_values(text, results(node));
  text.append(" = ").append(name(node.op));
  append_operands(text, node);
  text.append(fields_text(node.op, graph.type(node.result()).dtype, false));
  append_types(text, graph, node);
  if (!regions.empty()) text += " {";
  append_origin(text, graph, node.origin);
  text += '\n';
  if (regions.empty()) return;
  for (const auto& [name, region] : regions) append_graph(text, name, region.graph(), indent + 2);
  text.append(indent, ' ').append("}\n");
}

/// A graph, or a region inside of one; regions nest a bounded number of times.
void append_graph(std::string& text, std::string_view name, const Graph& graph, int indent) {
  text.append(indent, ' ').append(name).append("(");
  for (Value input : graph.inputs()) {
    if (input.id > 0) text += ", ";
    text.append("%").append(std::to_string(input.id)).append(": ").append(to_string(graph.type(input)));
  }
  text += ") {\n";
  for (const Node& node : graph.nodes().subspan(graph.inputs().size())) append_node(text, graph, node, indent + 2);
  text.append(indent + 2, ' ').append(graph.outputs().empty() ? "return" : "return ");
  append_values(text, graph.outputs());
  text.append("\n").append(indent, ' ').append("}\n");
}

}  // namespace

std::string print(const Graph& graph) {
  std::string text;
  append_graph(text, "graph", graph, 0);
  return text;
}

std::string print(const Graph& graph, const Node& node) {
  std::string text;
  append_values(text, results(node));
  text.append(" = ").append(name(node.op));
  append_operands(text, node);
  text.append(fields_text(node.op, graph.type(node.result()).dtype));
  append_types(text, graph, node);
  return text;
}

}  // namespace etch
