// cumsum: running sums along an axis, each in the order of its elements.
//
// Buffers: x and sums [before, n, behind]. Sizes: n, behind, exclusive, reverse. An iteration is a panel of kCumsumPanel
// columns, or of what is left of `behind`.
#include <algorithm>

#include "runtime/library.h"
#include "runtime/library/wrapping.h"

namespace etch::library {
namespace {

struct Options {
  int64_t n;
  bool exclusive, reverse;
};

/// Running sums of `kColumns` neighbours, or of fewer, each step `stride` elements from the one before.
template <int64_t kColumns, class T>
void run_columns(const T* x, T* sums, int64_t columns, int64_t stride, const Options& options) {
  T so_far[kColumns];
  const int64_t first = options.reverse ? (options.n - 1) * stride : 0, step = options.reverse ? -stride : stride;
  for (int64_t i = 0, at = first; i < options.n; ++i, at += step) {
    const auto add = [&](int64_t count) {
      for (int64_t c = 0; c < count; ++c) {
        const T value = x[at + c];
        const T next = i == 0 ? value : static_cast<T>(so_far[c] + value);
        sums[at + c] = !options.exclusive ? next : i == 0 ? T{} : so_far[c];
        so_far[c] = next;
      }
    };
    if (columns == kColumns) {
      add(kColumns);
    } else {
      add(columns);
    }
  }
}

template <class T>
void run(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte*) {
  const int64_t behind = sizes[1];
  const Options options{sizes[0], sizes[2] != 0, sizes[3] != 0};
  const int64_t panels = (behind + kCumsumPanel - 1) / kCumsumPanel;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t column = i % panels * kCumsumPanel, start = i / panels * options.n * behind + column;
    const T* x = static_cast<const T*>(buffers[0]) + start;
    T* sums = static_cast<T*>(buffers[1]) + start;
    if (behind == 1) {
      run_columns<1>(x, sums, 1, 1, options);
    } else {
      run_columns<kCumsumPanel>(x, sums, std::min(kCumsumPanel, behind - column), behind, options);
    }
  }
}

int64_t no_scratch(const int64_t*) { return 0; }

}  // namespace

LibraryFunction cumsum(DType dtype) {
  return dispatch(dtype, []<class T>() -> LibraryFunction {
    if constexpr (is_numeric(dtype_of<T>) && computes_itself(dtype_of<T>)) {
      return {run<Wrapping<T>>, no_scratch};
    } else {
      return {};
    }
  });
}

}  // namespace etch::library
