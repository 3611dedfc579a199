// Tensors and variables as text.
#include <ostream>

#include "compiler/ir/cat.h"
#include "etch/tensor.h"
#include "frontend/format_array.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"
#include "frontend/user_words.h"
#include "frontend/variable_cell.h"

// operator<< is declared as a friend only, which takes no visibility from the header.
namespace [[gnu::visibility("default")]] etch {

std::string to_string(const Tensor& tensor) {
  const detail::TensorImpl* impl = detail::TensorAccess::get(tensor);
  if (impl == nullptr) return "<no tensor>";
  const std::string type = to_string(impl->type());
  if (impl->kind == detail::TensorImpl::Kind::spec) return cat("<spec ", type, ">");
  if (impl->kind == detail::TensorImpl::Kind::traced) {
    std::string place = detail::at(impl->where);
    std::string_view maker = place.empty() ? "input" : "variable";
    if (impl->op) maker = detail::user_name(name(*impl->op));
    if (!place.empty()) place = " at " + place.substr(0, place.size() - 2);
    return cat("<traced ", type, " of ", maker, place, ">");
  }
  return detail::format_array(impl->dtype, impl->data, impl->shape);
}

std::ostream& operator<<(std::ostream& stream, const Tensor& tensor) { return stream << to_string(tensor); }

std::string to_string(const Variable& variable) {
  detail::VariableCell* cell = detail::VariableAccess::get(variable);
  if (cell == nullptr) return "<no variable>";
  const std::string what = description(*cell);
  if (detail::Trace::current()) return cat("<", what, ">");
  return cat("<", what, cell->type().shape.rank() > 1 ? ":\n" : ": ", to_string(cell->read()), ">");
}

std::ostream& operator<<(std::ostream& stream, const Variable& variable) { return stream << to_string(variable); }

}  // namespace etch
