// Tensors compared by their bytes.
#include <cstring>

#include "frontend/tensor_impl.h"
#include "tests/files/files.h"

namespace etch::data {

bool same_bits(const Tensor& a, const Tensor& b) {
  const auto& x = *etch::detail::TensorAccess::get(a);
  const auto& y = *etch::detail::TensorAccess::get(b);
  return x.type() == y.type() && (x.bytes() == 0 || std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())) == 0);
}

}  // namespace etch::data
