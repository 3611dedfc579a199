// cumsum: running sums along an axis, each in the order of its elements.
//
// Buffers: x and sums [before, n, behind]. Sizes: n, behind, exclusive, reverse. An iteration is a panel of kCumsumPanel
// columns, or of what is left of `behind`.
#include <algorithm>
#include <type_traits>

#include "runtime/library.h"
#include "runtime/library/wrapping.h"
#include "runtime/rounding.h"

namespace etch::library {
namespace {

struct Options {
  int64_t n;
  bool exclusive, reverse;
};

/// Running sums of neighbours, kColumns or fewer, each step `stride` elements from the one before. Where their number is
/// known the compiler makes vectors of them.
template <int64_t kColumns, class T>
void run_columns(const T* __restrict x, T* __restrict sums, int64_t columns, int64_t stride, const Options& options) {
  T so_far[kColumns];
  const int64_t first = options.reverse ? (options.n - 1) * stride : 0, step = options.reverse ? -stride : stride;
  const auto run = [&](auto count, auto exclusive) {
    for (int64_t c = 0; c < count; ++c) {
      so_far[c] = x[first + c];
      sums[first + c] = exclusive ? T{} : so_far[c];
    }
    for (int64_t i = 1, at = first + step; i < options.n; ++i, at += step) {
      for (int64_t c = 0; c < count; ++c) {
        const T next = static_cast<T>(so_far[c] + x[at + c]);
        sums[at + c] = exclusive ? so_far[c] : next;
        so_far[c] = next;
      }
    }
  };
  using Known = std::integral_constant<int64_t, kColumns>;
  if (options.n == 0) return;
  if (columns < kColumns) return run(columns, options.exclusive);
  if (options.exclusive) return run(Known(), std::true_type());
  run(Known(), std::false_type());
}

template <class T>
void run(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte*) {
  const int64_t behind = sizes[1];
  const Options options{sizes[0], sizes[2] != 0, sizes[3] != 0};
  const int64_t panels = ceil_div(behind, kCumsumPanel);
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
