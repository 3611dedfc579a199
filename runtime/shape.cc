// Dims as text, and the check that a shape fits in memory.
#include "etch/shape.h"

#include <algorithm>
#include <ostream>

namespace etch {

namespace detail {

void fail_integer(uint64_t value) {
  throw Error("the integer " + std::to_string(value) + " is beyond int64_t: an unsigned difference below 0?");
}

void fail_index(int64_t index, int rank) {
  throw Error(rank <= 0 ? "a list of axes or extents that is empty has no entry to take"
                        : "index " + std::to_string(index) + " is out of range for a list of " + std::to_string(rank) +
                              " axes or extents");
}

void fail_rank(size_t rank) { throw Error("a shape has at most 8 axes, not " + std::to_string(rank)); }

void fail_product(std::span<const int64_t> dims) {
  throw Error("the number of elements of " + to_string(Dims(dims)) + " is beyond int64_t");
}

}  // namespace detail

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.rank(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(dims[i]);
  }
  return text += ']';
}

std::ostream& operator<<(std::ostream& stream, const Dims& dims) { return stream << to_string(dims); }

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
