// Graph to text.
#include <algorithm>

#include "compiler/ir/attr_text.h"
#include "compiler/ir/text.h"

namespace etch {
namespace {

void append_values(std::string& text, std::span<const Value> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    text.append(i > 0 ? ", %" : "%").append(std::to_string(values[i].node));
  }
}

void append_node(std::string& text, const Graph& graph, Value value) {
  const Node& node = graph[value];
  text.append("%").append(std::to_string(value.node)).append(" = ").append(name(node.op));
  if (!node.operands.empty()) {
    text += '(';
    append_values(text, node.operands);
    text += ')';
  }
  text.append(attr_text(node.attr, node.type.dtype)).append(" : ").append(to_string(node.type));
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

}  // namespace

std::string print(const Graph& graph) {
  std::string text = "graph(";
  for (Value input : graph.inputs()) {
    if (input.node > 0) text += ", ";
    append_values(text, {&input, 1});
    text.append(": ").append(to_string(graph[input].type));
  }
  text += ") {\n";
  for (int i = static_cast<int>(graph.inputs().size()); i < graph.size(); ++i) {
    text += "  ";
    append_node(text, graph, Value{i});
    append_origin(text, graph, graph.nodes()[i].origin);
    text += '\n';
  }
  text += "  return ";
  append_values(text, graph.outputs());
  if (graph.outputs().empty()) text.pop_back();
  return text += "\n}\n";
}

std::string print(const Graph& graph, Value value) {
  std::string text;
  append_node(text, graph, value);
  return text;
}

}  // namespace etch
