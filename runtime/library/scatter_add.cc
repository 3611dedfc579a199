// scatter_add: rows of updates added to the rows that indices name, each row's in the order of the indices.
//
// Buffers: operand [before, extent, behind], or one element for all; indices [count]; updates [before, count, behind];
// result [before, extent, behind]; an IndexError. Sizes: extent, behind, count, bytes of an index, whether the operand is one
// element. An iteration is a row of the result: whoever owns rows looks at all indices and adds what is theirs.
#include <algorithm>
#include <cstring>

#include "runtime/library.h"
#include "runtime/library/wrapping.h"

namespace etch::library {
namespace {

/// What scatter_add works on.
template <class T, class Index>
struct Rows {
  const T* operand;
  bool splat;
  const Index* indices;
  const T* updates;
  T* result;
  int64_t extent, behind, count;
};

template <class T>
void add_row(T* to, const T* from, int64_t n) {
  constexpr int64_t kBlock = 16;  // a known number, so that the compiler makes vectors of it
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    T sums[kBlock];
    for (int64_t j = 0; j < kBlock; ++j) sums[j] = to[i + j] + from[i + j];
    std::memcpy(to + i, sums, sizeof sums);
  }
  for (; i < n; ++i) to[i] += from[i];
}

/// Rows first .. last, the last one not included, of the part `before` of the result.
template <class T, class Index>
void run_part(const Rows<T, Index>& rows, int64_t before, int64_t first, int64_t last) {
  T* result = rows.result + before * rows.extent * rows.behind;
  const int64_t begin = first * rows.behind, end = last * rows.behind;
  if (rows.splat) {
    std::fill(result + begin, result + end, *rows.operand);
  } else {
    const T* operand = rows.operand + before * rows.extent * rows.behind;
    std::memcpy(result + begin, operand + begin, static_cast<size_t>(end - begin) * sizeof(T));
  }
  const T* updates = rows.updates + before * rows.count * rows.behind;
  for (int64_t i = 0; i < rows.count; ++i) {
    const int64_t row = rows.indices[i];
    if (row < first || row >= last) continue;
    add_row(result + row * rows.behind, updates + i * rows.behind, rows.behind);
  }
}

template <class Index>
void check(const Index* indices, int64_t count, int64_t extent, IndexError* error) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = indices[i];
    if (index < 0 || index >= extent) return report_index(error, i, index);
  }
}

template <class T, class Index>
void run_on(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end) {
  const Rows<T, Index> rows{static_cast<const T*>(buffers[0]),     sizes[4] != 0,
                            static_cast<const Index*>(buffers[1]), static_cast<const T*>(buffers[2]),
                            static_cast<T*>(buffers[3]),           sizes[0],
                            sizes[1],                              sizes[2]};
  if (begin == 0) check(rows.indices, rows.count, rows.extent, static_cast<IndexError*>(buffers[4]));
  for (int64_t row = begin; row < end;) {
    const int64_t before = row / rows.extent, first = row % rows.extent;
    const int64_t last = std::min(rows.extent, first + end - row);
    run_part(rows, before, first, last);
    row += last - first;
  }
}

template <class T>
void run(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte*) {
  if (sizes[3] == 4) return run_on<Wrapping<T>, int32_t>(buffers, sizes, begin, end);
  run_on<Wrapping<T>, int64_t>(buffers, sizes, begin, end);
}

int64_t no_scratch(const int64_t*) { return 0; }

}  // namespace

LibraryFunction scatter_add(DType dtype) {
  return dispatch(dtype, []<class T>() -> LibraryFunction {
    if constexpr (is_numeric(dtype_of<T>) && computes_itself(dtype_of<T>)) {
      return {run<T>, no_scratch};
    } else {
      return {};
    }
  });
}

}  // namespace etch::library
