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

void append_node(std::string& text, const Graph& graph, const Node& node) {
  append_values(text, results(node));
  text.append(" = ").append(name(node.op));
  if (!node.operands.empty()) {
    text += '(';
    append_values(text, node.operands);
    text += ')';
  }
  text.append(fields_text(node.op, graph.type(node.result()).dtype));
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

}  // namespace

std::string print(const Graph& graph) {
  std::string text = "graph(";
  for (Value input : graph.inputs()) {
    if (input.id > 0) text += ", ";
    text.append("%").append(std::to_string(input.id)).append(": ").append(to_string(graph.type(input)));
  }
  text += ") {\n";
  for (const Node& node : graph.nodes().subspan(graph.inputs().size())) {
    text += "  ";
    append_node(text, graph, node);
    append_origin(text, graph, node.origin);
    text += '\n';
  }
  text += graph.outputs().empty() ? "  return" : "  return ";
  append_values(text, graph.outputs());
  return text += "\n}\n";
}

std::string print(const Graph& graph, const Node& node) {
  std::string text;
  append_node(text, graph, node);
  return text;
}

}  // namespace etch
