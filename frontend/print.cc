// Tensors as text.
#include <ostream>

#include "compiler/ir/cat.h"
#include "etch/tensor.h"
#include "frontend/format_array.h"
#include "frontend/tensor_impl.h"
#include "frontend/user_words.h"

// operator<< is declared as a friend only, which takes no visibility from the header.
namespace [[gnu::visibility("default")]] etch {

std::string to_string(const Tensor& tensor) {
  const detail::TensorImpl* impl = detail::TensorAccess::get(tensor);
  if (impl == nullptr) return "<no tensor>";
  const std::string type = to_string(impl->type());
  if (impl->kind == detail::TensorImpl::Kind::spec) return cat("<spec ", type, ">");
  if (impl->kind == detail::TensorImpl::Kind::traced) {
    std::string place = detail::at(impl->where);
    if (!place.empty()) place = " at " + place.substr(0, place.size() - 2);
    return cat("<traced ", type, " of ", impl->op ? detail::user_name(name(*impl->op)) : "input", place, ">");
  }
  return detail::format_array(impl->dtype, impl->data, impl->shape);
}

std::ostream& operator<<(std::ostream& stream, const Tensor& tensor) { return stream << to_string(tensor); }

}  // namespace etch
