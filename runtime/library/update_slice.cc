// update_slice: a tensor with another one in the place of a stretch of an axis.
//
// Buffers: operand [before, extent, behind]; update [before, count, behind]; index, one element; result like the operand, which
// may be the same memory. Sizes: before, extent, count, behind, bytes of the index. The one iteration does it all.
#include <algorithm>
#include <cstring>

#include "runtime/library.h"

namespace etch::library {
namespace {

int64_t index_at(const void* index, int64_t bytes) {
  if (bytes == sizeof(int64_t)) return *static_cast<const int64_t*>(index);
  return *static_cast<const int32_t*>(index);
}

template <int64_t kBytes>
void run(void* const* buffers, const int64_t* sizes, int64_t, int64_t, std::byte*) {
  const int64_t before = sizes[0], row = sizes[1] * sizes[3] * kBytes, part = sizes[2] * sizes[3] * kBytes;
  const auto* operand = static_cast<const std::byte*>(buffers[0]);
  const auto* update = static_cast<const std::byte*>(buffers[1]);
  auto* result = static_cast<std::byte*>(buffers[3]);
  const int64_t start = std::clamp<int64_t>(index_at(buffers[2], sizes[4]), 0, sizes[1] - sizes[2]) * sizes[3] * kBytes;
  // What has no elements may have no memory, which memcpy does not take.
  if (result != operand && before * row > 0) std::memcpy(result, operand, static_cast<size_t>(before * row));
  for (int64_t i = 0; i < before && part > 0; ++i) std::memcpy(result + i * row + start, update + i * part, static_cast<size_t>(part));
}

int64_t no_scratch(const int64_t*) { return 0; }

}  // namespace

LibraryFunction update_slice(DType dtype) {
  switch (size_of(dtype)) {
    case 1: return {run<1>, no_scratch};
    case 2: return {run<2>, no_scratch};
    case 4: return {run<4>, no_scratch};
    default: return {run<8>, no_scratch};
  }
}

}  // namespace etch::library
