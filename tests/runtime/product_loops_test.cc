// The loops of products against plain ones that add the same products in the same order: the bits must be equal, also where
// steps with zeros are left out.
#include "runtime/product_loops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace etch {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Those that this processor can run.
std::vector<const ProductLoopsOfVectors*> all_loops() {
  std::vector<const ProductLoopsOfVectors*> loops{&kProductLoops16};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) loops.push_back(&kProductLoops32);
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    loops.push_back(&kProductLoops64);
  }
  return loops;
}

template <class T>
const ProductLoops<T>& loops_of(const ProductLoopsOfVectors& all) {
  if constexpr (std::is_same_v<T, float>) return all.f32;
  if constexpr (std::is_same_v<T, double>) return all.f64;
  if constexpr (std::is_same_v<T, uint32_t>) return all.i32;
  if constexpr (std::is_same_v<T, uint64_t>) return all.i64;
}

template <class T>
T multiply_add(T x, T y, T sum) {
  if constexpr (std::is_floating_point_v<T>) return std::fma(x, y, sum);
  return x * y + sum;
}

template <class T>
std::vector<T> random_elements(int64_t count, std::mt19937& rng) {
  std::uniform_real_distribution<double> real(-2, 2);
  std::vector<T> result(count);
  for (T& x : result) x = std::is_floating_point_v<T> ? static_cast<T>(real(rng)) : static_cast<T>(rng());
  return result;
}

/// A product of `rows` rows and a panel, with a's steps or its rows beside each other.
template <class T>
struct Product {
  Product(const ProductLoopsOfVectors& loops, int64_t rows, int64_t columns, int64_t depth, bool by_rows, unsigned seed = 7)
      : loops(loops), rows(rows), columns(columns), depth(depth), panel(2 * loops.vector_bytes / sizeof(T)), by_rows(by_rows) {
    std::mt19937 rng(seed);
    a = random_elements<T>(rows * depth, rng);
    b = random_elements<T>(panel * depth, rng);
    sums = random_elements<T>(panel * rows, rng);
  }

  T& a_at(int64_t row, int64_t step) { return a[by_rows ? step * rows + row : row * depth + step]; }
  T& b_at(int64_t step, int64_t column) { return b[step * panel + column]; }
  T& sum_at(int64_t row, int64_t column) { return sums[row * panel + column]; }

  std::vector<T> plain_sums(bool first) {
    std::vector<T> result = sums;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < panel; ++column) {
        T& sum = result[row * panel + column];
        if (first) sum = 0;
        for (int64_t step = 0; step < depth; ++step) sum = multiply_add(a_at(row, step), b_at(step, column), sum);
      }
    }
    return result;
  }

  std::vector<T> tiled_sums(bool first, int64_t reach = 0, int64_t slope = 0) const {
    std::vector<T> result = sums;
    const int64_t one = sizeof(T);
    loops_of<T>(loops).tiles(a.data(), by_rows ? one : one * depth, by_rows ? one * rows : one, b.data(), one * panel, depth,
                             first ? nullptr : result.data(), one * panel, result.data(), one * panel, rows, columns, reach, slope);
    return result;
  }

  /// The sums of the columns that count are equal.
  void check(const char* what) {
    for (bool first : {false, true}) {
      const std::vector<T> expected = plain_sums(first), actual = tiled_sums(first);
      for (int64_t row = 0; row < rows; ++row) {
        ASSERT_EQ(std::memcmp(&expected[row * panel], &actual[row * panel], columns * sizeof(T)), 0)
            << what << ": row " << row << " of " << rows << ", " << columns << " columns, " << depth << " steps, vectors of "
            << loops.vector_bytes << (by_rows ? ", by rows" : "") << (first ? ", from 0" : "");
        ASSERT_EQ(std::memcmp(&sums[row * panel + columns], &actual[row * panel + columns], (panel - columns) * sizeof(T)), 0)
            << what << ": columns behind the last one";
      }
    }
  }

  const ProductLoopsOfVectors& loops;
  const int64_t rows, columns, depth, panel;
  const bool by_rows;
  std::vector<T> a, b, sums;
};

template <class T>
class ProductLoopsOf : public testing::Test {};
using Types = testing::Types<float, double, uint32_t, uint64_t>;
TYPED_TEST_SUITE(ProductLoopsOf, Types);

TYPED_TEST(ProductLoopsOf, TilesOfAnySizeAddInOrder) {
  for (const ProductLoopsOfVectors* loops : all_loops()) {
    const int64_t panel = 2 * loops->vector_bytes / sizeof(TypeParam);
    for (int64_t rows = 1; rows <= 40; ++rows) {
      for (int64_t columns : {int64_t{1}, int64_t{3}, int64_t{4}, panel / 2, panel / 2 + 1, panel}) {
        if (columns > panel) continue;
        for (int64_t depth : {0, 1, 7, 70}) {
          for (bool by_rows : {false, true}) Product<TypeParam>(*loops, rows, columns, depth, by_rows).check("plain");
        }
      }
    }
  }
}

TYPED_TEST(ProductLoopsOf, TilesOfRowsThatFallIntoOneSetOfTheCacheAddInOrder) {
  constexpr int64_t kDepth = 4096 / sizeof(TypeParam);
  for (const ProductLoopsOfVectors* loops : all_loops()) {
    const int64_t panel = 2 * loops->vector_bytes / sizeof(TypeParam);
    for (int64_t rows : {7, 8, 9, 31}) {
      for (int64_t columns : {int64_t{2}, panel / 2, panel}) Product<TypeParam>(*loops, rows, columns, kDepth, false).check("plain");
    }
  }
}

TYPED_TEST(ProductLoopsOf, BatchesAddAsTilesDo) {
  using T = TypeParam;
  constexpr int64_t kMatrices = 3, kGap = 5;
  constexpr T kOther = 77;
  for (const ProductLoopsOfVectors* loops : all_loops()) {
    const int64_t panel = 2 * loops->vector_bytes / sizeof(T), one = sizeof(T);
    for (int64_t rows : {1, 2, 4, 5, 8, 12, 13, 20}) {
      for (int64_t columns = 1; columns <= panel; ++columns) {
        for (int64_t depth : {0, 1, 4, 9, 70}) {
          for (int64_t row_gap : {int64_t{0}, int64_t{1}}) {
            const int64_t out_row = columns + row_gap, out_next = rows * out_row + kGap;
            std::vector<T> a, b, out(kMatrices * out_next, kOther), expected = out;
            for (int64_t i = 0; i < kMatrices; ++i) {
              Product<T> product(*loops, rows, columns, depth, false, static_cast<unsigned>(i));
              a.insert(a.end(), product.a.begin(), product.a.end());
              b.insert(b.end(), product.b.begin(), product.b.end());
              const std::vector<T> sums = product.plain_sums(true);
              for (int64_t row = 0; row < rows; ++row) {
                std::copy_n(&sums[row * panel], columns, &expected[i * out_next + row * out_row]);
              }
            }
            loops_of<T>(*loops).batch(a.data(), one * rows * depth, one * depth, one, b.data(), one * panel * depth, one * panel, depth,
                                      out.data(), one * out_next, one * out_row, kMatrices, rows, columns);
            ASSERT_EQ(std::memcmp(out.data(), expected.data(), out.size() * sizeof(T)), 0)
                << rows << " rows of " << columns << " columns, " << depth << " steps, vectors of " << loops->vector_bytes
                << ", elements between rows: " << row_gap;
          }
        }
      }
    }
  }
}

TYPED_TEST(ProductLoopsOf, StripsOfAnyLengthAddInOrder) {
  using T = TypeParam;
  constexpr int64_t kGap = 3;
  constexpr T kOther = 77;
  constexpr int64_t one = sizeof(T);
  for (const ProductLoopsOfVectors* loops : all_loops()) {
    const int64_t lanes = loops->vector_bytes / one;
    for (int64_t rows : {1, 5, 6, 7, 20}) {
      for (int64_t columns : {int64_t{1}, lanes, 2 * lanes - 1, 2 * lanes, 2 * lanes + 1, 7 * lanes + 1}) {
        for (int64_t depth : {0, 1, 4, 16, 70}) {
          std::mt19937 rng(11);
          const std::vector<T> a = random_elements<T>(rows * depth, rng);
          const int64_t row = columns + kGap;
          const std::vector<T> b = random_elements<T>(depth * row, rng);
          std::vector<T> out(rows * row, kOther), expected = out;
          for (int64_t i = 0; i < rows * columns; ++i) {
            T sum = 0;
            for (int64_t step = 0; step < depth; ++step) {
              sum = multiply_add(a[i / columns * depth + step], b[step * row + i % columns], sum);
            }
            expected[i / columns * row + i % columns] = sum;
          }
          loops_of<T>(*loops).strips(a.data(), one * depth, one, b.data(), one * row, depth, out.data(), one * row, rows, columns);
          ASSERT_EQ(std::memcmp(out.data(), expected.data(), out.size() * one), 0)
              << rows << " rows of " << columns << " columns, " << depth << " steps, vectors of " << loops->vector_bytes;
        }
      }
    }
  }
}

TYPED_TEST(ProductLoopsOf, TilesWalkStepsInPiecesInOrder) {
  using T = TypeParam;
  constexpr int64_t kRowBytes = 5 * sizeof(T), kStepBytes = sizeof(T);
  for (const ProductLoopsOfVectors* loops : all_loops()) {
    for (const auto& [depth, pieces] : {std::pair<int64_t, int64_t>{1, 3}, {3, 5}, {70, 2}, {100, 1}}) {
      for (int64_t rows : {1, 12, 31}) {
        const int64_t distance = depth + 17;  // of pieces; rows overlap like the windows of a picture
        Product<T> gathered(*loops, rows, 2 * loops->vector_bytes / int64_t{sizeof(T)} - 1, pieces * depth, false);
        std::mt19937 rng(5);
        const std::vector<T> picture = random_elements<T>(rows * 5 + pieces * distance, rng);
        for (int64_t row = 0; row < rows; ++row) {
          for (int64_t step = 0; step < gathered.depth; ++step) {
            gathered.a_at(row, step) = picture[row * 5 + step / depth * distance + step % depth];
          }
        }
        const std::vector<T> expected = gathered.tiled_sums(false);
        std::vector<T> actual = gathered.sums;
        const int64_t row_bytes = gathered.panel * int64_t{sizeof(T)};
        loops_of<T>(*loops).tiles_of_pieces(picture.data(), kRowBytes, kStepBytes, distance * kStepBytes, gathered.b.data(), row_bytes,
                                            depth, pieces, actual.data(), row_bytes, actual.data(), row_bytes, rows,
                                            gathered.columns);
        EXPECT_EQ(std::memcmp(expected.data(), actual.data(), expected.size() * sizeof(T)), 0)
            << rows << " rows, " << pieces << " pieces of " << depth;
      }
    }
  }
}

TYPED_TEST(ProductLoopsOf, CopiesPutElementsWhereTilesReadThem) {
  using T = TypeParam;
  std::mt19937 rng(3);
  const std::vector<T> from = random_elements<T>(100 * 100, rng);
  const T other = 77;
  for (const ProductLoopsOfVectors* all : all_loops()) {
    const ProductLoops<T>& loops = loops_of<T>(*all);
    const int64_t lanes = all->vector_bytes / sizeof(T), panel = 2 * lanes;
    for (int64_t lines : {1, 3}) {
      for (int64_t length : {1, 15, 16, 50}) {
        for (int64_t stride : {1, 2}) {
          std::vector<T> to(lines * kProductLeading + lanes, other);
          loops.copy_a(from.data(), 100, stride, lines, length, to.data());
          for (int64_t i = 0; i < lines * length; ++i) {
            ASSERT_EQ(to[i / length * kProductLeading + i % length], from[i / length * 100 + i % length * stride]);
          }
          for (int64_t i = 0; i < lines; ++i) ASSERT_EQ(to[i * kProductLeading + length + lanes], other);
        }
      }
    }
    for (int64_t columns : {int64_t{1}, lanes, lanes + 1, panel, panel + 3, 3 * panel - 1}) {
      for (int64_t depth : {1, 4, 9}) {
        const int64_t panels = (columns + panel - 1) / panel, next_panel = (depth + 1) * panel;
        std::vector<T> to(panels * next_panel, other), transposed = to;
        loops.copy_b(from.data(), 100, columns, depth, to.data(), next_panel);
        for (int64_t i = 0; i < panels; ++i) {
          loops.transpose_b(from.data() + i * panel * 100, 100, 1, std::min(panel, columns - i * panel), depth,
                            transposed.data() + i * next_panel);
        }
        for (int64_t i = 0; i < panels * next_panel; ++i) {
          const int64_t step = i % next_panel / panel, column = i / next_panel * panel + i % panel;
          ASSERT_EQ(to[i], step == depth ? other : column < columns ? from[step * 100 + column] : T{0});
          ASSERT_EQ(transposed[i], step == depth ? other : column < columns ? from[column * 100 + step] : T{0});
        }
      }
    }
  }
}

template <class T>
class ZerosInProducts : public testing::Test {};
using Floats = testing::Types<float, double>;
TYPED_TEST_SUITE(ZerosInProducts, Floats);

/// Calls body with a product whose first operand has zeros of both signs in all steps but from..to, which vary by row.
template <class T, class Body>
void with_zeros(Body body) {
  for (const ProductLoopsOfVectors* loops : all_loops()) {
    for (int64_t rows : {1, 5, 31}) {
      for (int64_t columns : {2, 2 * loops->vector_bytes / int(sizeof(T))}) {
        for (auto [from, to] : {std::pair{0, 0}, {0, 3}, {0, 65}, {100, 200}, {64, 130}, {199, 200}}) {
          for (bool by_rows : {false, true}) {
            Product<T> product(*loops, rows, columns, 200, by_rows);
            for (int64_t row = 0; row < rows; ++row) {
              for (int64_t step = 0; step < 200; ++step) {
                const bool is_kept = step >= from && (step < to || (to > from && step == to + row % 7));
                if (!is_kept) product.a_at(row, step) = (row + step) % 3 == 0 ? T{-0.0} : T{0.0};
              }
            }
            body(product);
          }
        }
      }
    }
  }
}

TYPED_TEST(ZerosInProducts, AreLeftOutWithTheSameBits) {
  with_zeros<TypeParam>([](Product<TypeParam>& product) { product.check("finite"); });
}

TYPED_TEST(ZerosInProducts, TimesWhatIsNotFiniteAreNaN) {
  for (int64_t step : {2, 66, 199}) {
    for (double value : {kInfinity, -kInfinity, std::nan("")}) {
      with_zeros<TypeParam>([&](Product<TypeParam>& product) {
        product.b_at(step, 1) = static_cast<TypeParam>(value);
        product.check("not finite");
        for (TypeParam sum : {product.tiled_sums(true)[1], product.tiled_sums(false)[1]}) ASSERT_FALSE(std::isfinite(sum));
      });
    }
  }
}

TYPED_TEST(ZerosInProducts, MakeSumsOfMinusZeroPlusZero) {
  with_zeros<TypeParam>([](Product<TypeParam>& product) {
    for (TypeParam& sum : product.sums) sum = TypeParam{-0.0};
    product.check("sums of -0");
    // A row whose first steps add +0, and whose other ones add -0.
    for (TypeParam& x : product.b) x = std::abs(x);
    for (int64_t step = 0; step < product.depth; ++step) product.a_at(0, step) = step < 64 ? TypeParam{0.0} : TypeParam{-0.0};
    product.check("a row of zeros");
  });
}

/// A product that underflows leaves a sum of -0, which a product of +0 behind it makes +0.
TYPED_TEST(ZerosInProducts, BehindSumsThatUnderflowedAreAdded) {
  const TypeParam tiny = std::numeric_limits<TypeParam>::denorm_min();
  for (double sign : {1, -1}) {
    with_zeros<TypeParam>([&](Product<TypeParam>& product) {
      for (TypeParam& x : product.a) x *= tiny;
      for (TypeParam& x : product.b) x = static_cast<TypeParam>(-sign) * std::abs(x) / 8;
      product.check("underflow");
    });
  }
}

TYPED_TEST(ZerosInProducts, RowsThatNobodySeesMayBeLeftOut) {
  for (const ProductLoopsOfVectors* loops : all_loops()) {
    for (int64_t rows : {1, 5, 24, 31}) {
      for (auto [reach, slope] : {std::pair{-10, 1}, {10, -1}, {-1, 0}, {0, 0}, {-40, 1}}) {
        const int64_t panel = 2 * loops->vector_bytes / sizeof(TypeParam);
        Product<TypeParam> product(*loops, rows, panel, 20, false);
        const auto expected = product.plain_sums(true), actual = product.tiled_sums(true, reach, slope);
        for (int64_t row = 0; row < rows; ++row) {
          if (reach + row * slope < 0) continue;
          ASSERT_EQ(std::memcmp(&expected[row * product.panel], &actual[row * product.panel], product.panel * sizeof(TypeParam)), 0)
              << row << " of " << rows;
        }
        if (reach < 0 && reach + (rows - 1) * slope < 0) {
          ASSERT_EQ(actual, product.sums) << "no row is seen";
        }
      }
    }
  }
}

}  // namespace
}  // namespace etch
