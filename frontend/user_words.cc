// The names and texts of the graph in the words of those who called etch/ops.h.
#include "frontend/user_words.h"

#include "compiler/ir/cat.h"

namespace etch::detail {

std::string_view user_name(std::string_view op) {
  if (op == "max") return "maximum";
  if (op == "min") return "minimum";
  if (op == "broadcast") return "broadcast_to";
  if (op == "constant") return "full";
  return op;
}

std::string in_user_words(std::string message) {
  const size_t end = message.find('(');
  if (end == std::string::npos) return message;
  std::string name(user_name(std::string_view(message).substr(0, end)));
  std::string rest = message.substr(end);
  constexpr std::string_view kKind = " kind=";
  const size_t kind = rest.find(kKind);
  if (name == "reduce" && kind != std::string::npos) {
    const size_t after = rest.find(' ', kind + 1);
    name = rest.substr(kind + kKind.size(), after - kind - kKind.size());
    rest.erase(kind, after - kind);
  }
  return name + rest;
}

}  // namespace etch::detail
