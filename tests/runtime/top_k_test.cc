// The library function top_k against a stable sort: few of many (a heap), many (a selection), in any pieces.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "runtime/library.h"

namespace etch {
namespace {

constexpr int64_t kRows = 3;

/// Few different values, so that many are equal; of floats NaNs, infinities and both zeros.
template <class T>
T draw(std::mt19937_64& random) {
  const auto pick = static_cast<int>(random() % 12);
  if constexpr (is_floating(dtype_of<T>)) {
    using Limits = std::numeric_limits<T>;
    const T special[] = {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), -T{0}, T{0}};
    if (pick < 5) return special[pick];
    return static_cast<T>(static_cast<float>(random() % 40) / 8 - 2);
  } else {
    if (pick == 0) return std::numeric_limits<T>::min();
    if (pick == 1) return std::numeric_limits<T>::max();
    return static_cast<T>(random());
  }
}

template <class T>
bool ranks_before(T a, T b) {
  if (a != a || b != b) return a != a && b == b;
  return a > b;
}

/// The results of each row as a stable sort gives them.
template <class T>
void expect_selection(const std::vector<T>& x, int64_t n, int64_t k, const std::vector<T>& values,
                      const std::vector<int64_t>& indices) {
  for (int64_t row = 0; row < kRows; ++row) {
    const T* elements = x.data() + row * n;
    std::vector<int64_t> order(n);
    std::iota(order.begin(), order.end(), int64_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return ranks_before(elements[a], elements[b]); });
    for (int64_t j = 0; j < k; ++j) {
      ASSERT_EQ(indices[row * k + j], order[j]) << "row " << row << ", rank " << j;
      ASSERT_EQ(std::memcmp(&values[row * k + j], &elements[order[j]], sizeof(T)), 0) << "row " << row << ", rank " << j;
    }
  }
}

template <class T>
void check(int64_t n, int64_t k, std::mt19937_64& random) {
  const LibraryFunction top_k = library_function(Library::top_k, dtype_of<T>);
  std::vector<T> x(kRows * n), values(kRows * k);
  std::vector<int64_t> indices(kRows * k, -1);
  for (T& element : x) element = draw<T>(random);
  const int64_t sizes[] = {n, k};
  std::vector<uint64_t> scratch((top_k.scratch_bytes(sizes) + 7) / 8);
  void* const buffers[] = {x.data(), values.data(), indices.data()};
  // Rows one by one, and the last two together.
  for (auto [begin, end] : {std::pair<int64_t, int64_t>{1, kRows}, {0, 1}}) {
    top_k.fn(buffers, sizes, begin, end, reinterpret_cast<std::byte*>(scratch.data()));
  }
  expect_selection(x, n, k, values, indices);
}

TEST(TopK, IsTheBeginningOfAStableSort) {
  std::mt19937_64 random(1);
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!is_numeric(dtype)) continue;
    dispatch(dtype, [&]<class T>() {
      if constexpr (is_numeric(dtype_of<T>)) {
        for (int64_t n : {1, 2, 7, 64, 65, 200, 1000, 4097}) {
          for (int64_t k : {int64_t{0}, int64_t{1}, n / 64, n / 64 + 1, n / 2, n - 1, n}) {
            SCOPED_TRACE(std::string(name(dtype)) + " n=" + std::to_string(n) + " k=" + std::to_string(k));
            check<T>(n, k, random);
          }
        }
      }
    });
  }
}

TEST(TopK, HasNoInstanceForBool) { EXPECT_EQ(library_function(Library::top_k, DType::boolean).fn, nullptr); }

TEST(Library, IsCalledByItsName) { EXPECT_EQ(name(Library::top_k), "top_k"); }

}  // namespace
}  // namespace etch
