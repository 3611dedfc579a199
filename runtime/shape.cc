// Dims as text, and the check that a shape fits in memory.
#include "etch/shape.h"

#include <algorithm>

namespace etch {

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.rank(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(dims[i]);
  }
  return text += ']';
}

bool is_representable(const Shape& shape, int64_t element_size) {
  // Extents of 0 count as 1, so strides and every partial product fit too.
  int64_t bytes = element_size;
  for (int64_t extent : shape) {
    if (extent < 0) return false;
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(extent, 1), &bytes) || bytes > kMaxBytes) return false;
  }
  return true;
}

}  // namespace etch
