// What work and memory cost, in additions of f32 per element: the one scale on which fusion, layout, code generation and
// threads weigh. What an op costs stands in its row of ops.def (cost_of).
#pragma once

#include <algorithm>
#include <cstdint>

#include "compiler/schedule/kernel.h"

namespace etch::cost {

/// From here on an op is dear, and so is a body that does so much per element: it is emitted once, for its code is long to
/// compile and hides what memory costs.
inline constexpr int kDear = 12;

/// A body that does no more waits for memory.
inline constexpr int kStreaming = 3;

/// Streaming an element to or from memory.
inline constexpr int64_t kTouch = 2;

/// Work that may be done again for an element rather than storing it and loading it.
inline constexpr int64_t kRepeated = 2 * kTouch;

/// Taking a vector at a small stride apart, and fetching its lanes one by one, beyond a dense vector.
inline constexpr int64_t kShuffles = 6;
inline constexpr int64_t kLanes = 16;

/// True if the lanes of a vector find their elements too far apart for whole loads and shuffles.
constexpr bool goes_lane_by_lane(int64_t stride) { return stride_class(stride) == Stride::other; }

/// What a vector at this stride costs beyond a dense one.
constexpr int64_t of_stride(int64_t stride) {
  if (goes_lane_by_lane(stride)) return kLanes;
  return small_step(stride_class(stride)) > 0 ? kShuffles : 0;
}

/// Loading an element once more.
constexpr int64_t of_load(DType dtype, int64_t stride) {
  return stride == 0 ? 0 : std::max<int64_t>(1, size_of(dtype) * 3 / 4) + of_stride(stride);
}

/// Keeping a value in memory that is written later in any case: a store and a load of so many bytes, in the cache.
constexpr int64_t of_keeping(DType dtype) { return 1 + 2 * size_of(dtype); }

/// Keeping it in memory of its own, which is written and read for nothing else.
inline constexpr int64_t kOwnMemory = 3 * of_keeping(DType::f32);

/// What a body written out for each index of a short axis may come to: its values stay in registers, and it compiles fast.
inline constexpr int64_t kMostUnrolled = 100;

}  // namespace etch::cost
