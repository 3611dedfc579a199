// Row kernels against the documented tree of reductions, bit for bit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "program.h"
#include "reference.h"
#include "runtime/library/wrapping.h"

namespace etch {
namespace {

constexpr ReduceKind kNumericKinds[] = {ReduceKind::sum, ReduceKind::prod, ReduceKind::max, ReduceKind::min};
constexpr int64_t kLengths[] = {0,  1,  2,   3,   15,  16,   17,    31,    32,    33,   63,
                                64, 65, 100, 128, 200, 1000, 16383, 16384, 16385, 40000};

template <class T>
std::vector<T> row_of(TestBuffer& buffer, int64_t row, int64_t n) {
  return std::vector<T>(buffer.data<T>() + row * n, buffer.data<T>() + (row + 1) * n);
}

/// out[row] = reduce(in[row, :]) after an optional expensive function, which makes the accumulators take turns.
template <class T>
void reduces_rows(ReduceKind kind, int64_t n, bool specials, int64_t split, int32_t block = kRowBlock) {
  const int64_t rows = 3;
  TestBuffer in(dtype_of<T>, rows * n), out(dtype_of<T>, rows);
  fill_random<T>(in, 1 + n, specials);
  TestKernel k(KernelKind::row, {rows, n});
  k.program.blocks.row = block;
  int from = k.access(in, {n, 1});
  int sum = k.reduce(kind, k.load(from));
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, {1, 0}), sum);
  k.run(split);
  for (int64_t r = 0; r < rows; ++r) {
    T expected = reference::reduce_row(kind, row_of<T>(in, r, n), block);
    ASSERT_TRUE(same(out.data<T>()[r], expected)) << name(dtype_of<T>) << " kind " << int(kind) << " n=" << n << ": "
                                                  << +out.data<T>()[r] << " not " << +expected;
  }
}

TEST(RowKernel, EveryKindAndDtypeFollowsTheTree) {
  for (int64_t n : kLengths) {
    for (ReduceKind kind : kNumericKinds) {
      reduces_rows<float>(kind, n, false, 0);
      reduces_rows<double>(kind, n, false, 1);
      reduces_rows<int32_t>(kind, n, false, 2);
      reduces_rows<int64_t>(kind, n, false, 0);
      reduces_rows<uint8_t>(kind, n, false, 0);
    }
  }
}

TEST(RowKernel, BlocksOfAnySizeFollowTheTree) {
  for (int32_t block : {1, 2, 7, 31, 64, 100}) {
    for (int64_t n : {0, 1, 7, 8, 63, 64, 65, 200, 201}) {
      reduces_rows<float>(ReduceKind::sum, n, false, 0, block);
      reduces_rows<double>(ReduceKind::prod, n, true, 1, block);
      reduces_rows<uint8_t>(ReduceKind::sum, n, false, 2, block);
      reduces_rows<float>(ReduceKind::max, n, true, 0, block);
    }
  }
}

/// out[row] = sum of where(label[row] == first + index, x, other), which looks at one element where `other` is +0.
template <class T>
void sums_the_element_of_a_label(int64_t n, T other, bool dear, bool grouped, const Target& target, int64_t first = 0) {
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min(), kMost = std::numeric_limits<int64_t>::max();
  const std::vector<int64_t> labels = {first, first + n - 1, first + n / 2, first + n / 3, first - 1, first + n, kLeast, kLeast + n / 2, kMost, kMost - n / 3};
  const auto rows = static_cast<int64_t>(labels.size());
  TestBuffer in(dtype_of<T>, rows * n), of_rows(DType::i64, rows), out(dtype_of<T>, rows);
  std::vector<T> specials = {T(-0.0), T(0), T(3)};
  if constexpr (std::is_floating_point_v<T>) specials.insert(specials.end(), {T(NAN), T(INFINITY), T(-INFINITY)});
  for (int64_t i = 0; i < rows * n; ++i) in.data<T>()[i] = specials[static_cast<size_t>(i) % specials.size()];
  std::copy(labels.begin(), labels.end(), of_rows.data<int64_t>());
  TestKernel k(KernelKind::row, {rows, n});
  k.target = target;
  k.program.groups_rows = grouped;
  k.per_row(true);
  const int label = k.load(k.access(of_rows, {1, 0}));
  const int rest = k.param(other);
  k.per_row(false);
  int x = k.load(k.access(in, {n, 1}));
  if (dear) x = k.compute(Op::tanh, dtype_of<T>, {x});
  const int index = k.index({0, 1}, first);
  const bool label_first = n % 2 == 0;
  const int flag = k.compute(Op::equal, DType::boolean, {label_first ? label : index, label_first ? index : label});
  const int sum = k.reduce(ReduceKind::sum, k.compute(Op::where, dtype_of<T>, {flag, x, rest}));
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, {1, 0}), sum);
  k.run();
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<T> row(static_cast<size_t>(n), other);
    const auto at = static_cast<int64_t>(static_cast<uint64_t>(labels[static_cast<size_t>(r)]) - static_cast<uint64_t>(first));
    T element = at >= 0 && at < n ? in.data<T>()[r * n + at] : T(0);
    if (dear) element = std::isinf(static_cast<double>(element)) ? T(std::copysign(1.0, element)) : element == 3 ? T(NAN) : element;
    if (at >= 0 && at < n) row[static_cast<size_t>(at)] = element;
    const T expected = reference::reduce_row(ReduceKind::sum, row, kRowBlock);
    if (dear && element != element) continue;  // tanh of 3 has a test of its own
    ASSERT_TRUE(same(out.data<T>()[r], expected))
        << name(dtype_of<T>) << " n=" << n << " label " << at << ": " << +out.data<T>()[r] << " not " << +expected;
  }
}

TEST(RowKernel, ASumThatTakesOneElementHasTheBitsOfTheSumOfAll) {
  for (const Target& target : targets()) {
    for (int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 64, 100, 257, 16384, 16385, 40000}) {
      for (bool dear : {false, true}) {
        for (bool grouped : {false, true}) {
          if (grouped && n > kMostGroupedRow) continue;
          sums_the_element_of_a_label<float>(n, 0.0f, dear, grouped, target);
          sums_the_element_of_a_label<double>(n, 0.0, dear, grouped, target);
        }
        sums_the_element_of_a_label<float>(n, -0.0f, dear, false, target);
        sums_the_element_of_a_label<float>(n, 0.25f, dear, false, target);
      }
      sums_the_element_of_a_label<int32_t>(n, 0, false, false, target);
      sums_the_element_of_a_label<int64_t>(n, 5, false, false, target);
      for (int64_t first : {-3, 7}) sums_the_element_of_a_label<float>(n, 0.0f, false, false, target, first);
    }
  }
}

TEST(RowKernel, SpecialFloats) {
  for (int64_t n : {1, 2, 7, 16, 40, 200}) {
    for (ReduceKind kind : kNumericKinds) {
      reduces_rows<float>(kind, n, true, 0);
      reduces_rows<double>(kind, n, true, 0);
    }
  }
}

/// Row r has its NaN at place r, the last row has none. With a sum beside it, the row goes in blocks.
template <class T>
void a_nan_wins(ReduceKind kind, int64_t n, bool in_blocks, const Target& target) {
  TestBuffer in(dtype_of<T>, (n + 1) * n), out(dtype_of<T>, n + 1), sums(dtype_of<T>, n + 1);
  fill_random<T>(in, 17 + n);
  for (int64_t r = 0; r < n; ++r) in.data<T>()[r * n + r] = std::numeric_limits<T>::quiet_NaN();
  TestKernel k(KernelKind::row, {n + 1, n});
  k.program.blocks.row = 64;
  const int x = k.load(k.access(in, {n, 1}));
  const int extreme = k.reduce(kind, x), sum = in_blocks ? k.reduce(ReduceKind::sum, x) : -1;
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, {1, 0}), extreme);
  if (in_blocks) k.store(k.access(sums, {1, 0}), sum);
  k.target = target;
  k.run();
  for (int64_t r = 0; r < n; ++r) ASSERT_TRUE(std::isnan(out.data<T>()[r])) << target.vector_bytes << " bytes, n=" << n << " at " << r;
  ASSERT_EQ(out.data<T>()[n], reference::reduce_row(kind, row_of<T>(in, n, n))) << target.vector_bytes << " bytes, n=" << n;
}

TEST(RowKernel, ANanWinsWhereverItStands) {
  for (const Target& target : targets()) {
    for (int64_t n : {1, 9, 63, 64, 65, 128, 200}) {
      for (ReduceKind kind : {ReduceKind::max, ReduceKind::min}) {
        for (bool in_blocks : {false, true}) {
          a_nan_wins<float>(kind, n, in_blocks, target);
          a_nan_wins<double>(kind, n, in_blocks, target);
        }
      }
    }
  }
}

TEST(RowKernel, ZerosKeepTheirSigns) {
  for (int64_t n : {1, 2, 20, 100}) {
    for (ReduceKind kind : kNumericKinds) {
      for (int positive = -1; positive < n; ++positive) {
        std::vector<float> x(n, -0.0f);
        if (positive >= 0) x[positive] = 0.0f;
        TestBuffer in(DType::f32, n), out(DType::f32, 1);
        std::copy(x.begin(), x.end(), in.data<float>());
        TestKernel k(KernelKind::row, {n});
        int sum = k.reduce(kind, k.load(k.access(in, {1})));
        k.next_stage();
        k.per_row(true);
        k.store(k.access(out, {0}), sum);
        k.run();
        ASSERT_TRUE(same(out.data<float>()[0], reference::reduce_row(kind, x)))
            << int(kind) << " n=" << n << " " << positive;
      }
    }
  }
}

TEST(RowKernel, AnyAndAll) {
  for (int64_t n : {0, 1, 16, 63, 64, 65, 300}) {
    for (ReduceKind kind : {ReduceKind::any, ReduceKind::all}) {
      for (int odd = -1; odd < n; odd += 13) {
        std::vector<uint8_t> x(n, kind == ReduceKind::all);
        if (odd >= 0) x[odd] = !x[odd];
        TestBuffer in(DType::boolean, n), out(DType::boolean, 1);
        std::copy(x.begin(), x.end(), in.data<uint8_t>());
        TestKernel k(KernelKind::row, {n});
        int result = k.reduce(kind, k.load(k.access(in, {1})));
        k.next_stage();
        k.per_row(true);
        k.store(k.access(out, {0}), result);
        k.run();
        ASSERT_EQ(out.data<uint8_t>()[0], reference::reduce_row(kind, x)) << n;
      }
    }
  }
}

template <class T>
void finds_positions(int64_t n, bool specials, uint32_t seed, int distinct) {
  TestBuffer in(dtype_of<T>, 2 * n), largest(DType::i64, 2), smallest(DType::i64, 2);
  fill_random<T>(in, seed, specials);
  if (distinct) {
    for (int64_t i = 0; i < 2 * n; ++i) in.data<T>()[i] = static_cast<T>((i * 7919 + seed) % distinct);
  }
  TestKernel k(KernelKind::row, {2, n});
  int x = k.load(k.access(in, {n, 1}));
  int high = k.reduce(ReduceKind::argmax, x), low = k.reduce(ReduceKind::argmin, x);
  k.next_stage();
  k.per_row(true);
  k.store(k.access(largest, {1, 0}), high);
  k.store(k.access(smallest, {1, 0}), low);
  k.run();
  for (int64_t r = 0; r < 2; ++r) {
    auto row = row_of<T>(in, r, n);
    ASSERT_EQ(largest.data<int64_t>()[r], reference::arg_extreme(ReduceKind::argmax, row))
        << name(dtype_of<T>) << " " << n;
    ASSERT_EQ(smallest.data<int64_t>()[r], reference::arg_extreme(ReduceKind::argmin, row))
        << name(dtype_of<T>) << " " << n;
  }
}

TEST(RowKernel, PositionsWithTiesAndNans) {
  for (int64_t n : {1, 2, 15, 16, 17, 64, 65, 129, 1000, 20000}) {
    for (int distinct : {0, 1, 3, 100}) {
      finds_positions<float>(n, false, 1, distinct);
      finds_positions<double>(n, true, 2, distinct);
      finds_positions<float>(n, true, 3, 0);
      finds_positions<int32_t>(n, false, 4, distinct);
      finds_positions<int64_t>(n, false, 5, distinct);
      finds_positions<uint8_t>(n, false, 6, distinct);
    }
  }
}

TEST(RowKernel, PositionOfTheFirstInfinity) {
  for (float value : {-HUGE_VALF, HUGE_VALF}) {
    TestBuffer in(DType::f32, 50), out(DType::i64, 2);
    std::fill_n(in.data<float>(), 50, value);
    TestKernel k(KernelKind::row, {50});
    int x = k.load(k.access(in, {1}));
    int high = k.reduce(ReduceKind::argmax, x), low = k.reduce(ReduceKind::argmin, x);
    k.next_stage();
    k.per_row(true);
    k.store(k.access(out, {0}, 0), high);
    k.store(k.access(out, {0}, 1), low);
    k.run();
    EXPECT_EQ(out.data<int64_t>()[0], 0);
    EXPECT_EQ(out.data<int64_t>()[1], 0);
  }
}

/// An expensive stage keeps the lanes in accumulators that take turns: the same tree.
TEST(RowKernel, ExpensiveStagesFollowTheSameTree) {
  for (int64_t n : {0, 1, 5, 16, 17, 33, 48, 49, 64, 65, 100, 129, 1000, 16384, 16400, 33000}) {
    TestBuffer in(DType::f32, 2 * n), mapped(DType::f32, 2 * n), out(DType::f32, 2);
    fill_random<float>(in, 9);
    TestKernel k(KernelKind::row, {2, n});
    int y = k.compute(Op::exp, DType::f32, {k.load(k.access(in, {n, 1}))});
    k.store(k.access(mapped, {n, 1}), y);
    int sum = k.reduce(ReduceKind::sum, y);
    k.next_stage();
    k.per_row(true);
    k.store(k.access(out, {1, 0}), sum);
    k.run(1);
    for (int64_t r = 0; r < 2; ++r) {
      float expected = reference::reduce_row(ReduceKind::sum, row_of<float>(mapped, r, n));
      ASSERT_EQ(out.data<float>()[r], expected) << n;
    }
  }
}

TEST(RowKernel, ReductionsOfDifferentDtypesShareAStage) {
  for (int64_t n : {1, 7, 8, 9, 40, 65, 1000, 20000}) {
    TestBuffer in(DType::f32, n), narrow(DType::f32, 1), wide(DType::f64, 1), high(DType::f32, 1), at(DType::i64, 1);
    fill_random<float>(in, 10);
    TestKernel k(KernelKind::row, {n});
    int x = k.load(k.access(in, {1}));
    int w = k.compute(Op::cast, DType::f64, {x});
    int sums[] = {k.reduce(ReduceKind::sum, x), k.reduce(ReduceKind::sum, w), k.reduce(ReduceKind::max, x),
                  k.reduce(ReduceKind::argmin, w)};
    k.next_stage();
    k.per_row(true);
    k.store(k.access(narrow, {0}), sums[0]);
    k.store(k.access(wide, {0}), sums[1]);
    k.store(k.access(high, {0}), sums[2]);
    k.store(k.access(at, {0}), sums[3]);
    k.run();
    auto row = row_of<float>(in, 0, n);
    std::vector<double> wide_row(row.begin(), row.end());
    ASSERT_EQ(narrow.data<float>()[0], reference::reduce_row(ReduceKind::sum, row)) << n;
    ASSERT_EQ(wide.data<double>()[0], reference::reduce_row(ReduceKind::sum, wide_row)) << n;
    ASSERT_EQ(high.data<float>()[0], reference::reduce_row(ReduceKind::max, row)) << n;
    ASSERT_EQ(at.data<int64_t>()[0], reference::arg_extreme(ReduceKind::argmin, row)) << n;
  }
}

/// y = (x - max(x)) / sum(x - max(x)), a softmax without exp: three stages, values per row between them.
TEST(RowKernel, StagesPassValuesPerRow) {
  for (int64_t n : {1, 10, 64, 100, 300, 17000}) {
    const int64_t a = 2, b = 7;
    TestBuffer in(DType::f32, a * b * n), out(DType::f32, a * b * n);
    fill_random<float>(in, 11);
    TestKernel k(KernelKind::row, {a, b, n});
    int from = k.access(in, {b * n, n, 1});
    int high = k.reduce(ReduceKind::max, k.load(from));
    k.next_stage();
    int x = k.load(from);
    int sum = k.reduce(ReduceKind::sum, k.compute(Op::sub, DType::f32, {x, high}));
    k.next_stage();
    k.per_row(true);
    int scale = k.compute(Op::div, DType::f32, {k.param(1.0f), sum});
    k.per_row(false);
    int y = k.compute(Op::mul, DType::f32, {k.compute(Op::sub, DType::f32, {k.load(from), high}), scale});
    k.store(k.access(out, {b * n, n, 1}), y);
    k.run(4);
    for (int64_t r = 0; r < a * b; ++r) {
      auto row = row_of<float>(in, r, n);
      float m = reference::reduce_row(ReduceKind::max, row);
      std::vector<float> shifted;
      for (float v : row) shifted.push_back(v - m);
      float s = 1.0f / reference::reduce_row(ReduceKind::sum, shifted);
      for (int64_t i = 0; i < n; ++i) ASSERT_TRUE(same(out.data<float>()[r * n + i], (row[i] - m) * s)) << n;
    }
  }
}

/// out[row, :] = in[row, :] - reduce(in[row, :]), with exp inside where `dear`.
template <class T>
void reduces_rows_of_groups(ReduceKind kind, int64_t rows, int64_t n, bool dear, const Target& target) {
  TestBuffer in(dtype_of<T>, rows * n), mapped(dtype_of<T>, rows * n), out(dtype_of<T>, rows * n);
  fill_random<T>(in, 3 + n, !dear);
  TestKernel k(KernelKind::row, {rows, n});
  k.program.groups_rows = true;
  const int from = k.access(in, {n, 1});
  int y = k.load(from);
  if (dear) y = k.compute(Op::exp, dtype_of<T>, {y});
  k.store(k.access(mapped, {n, 1}), y);
  const int folded = k.reduce(kind, y);
  k.next_stage();
  k.store(k.access(out, {n, 1}), k.compute(Op::sub, dtype_of<T>, {k.load(from), folded}));
  k.target = target;
  k.run(3);
  for (int64_t r = 0; r < rows; ++r) {
    using Wrapping = library::Wrapping<T>;
    const auto expected = static_cast<Wrapping>(reference::reduce_row(kind, row_of<T>(mapped, r, n)));
    for (int64_t i = 0; i < n; ++i) {
      const auto x = static_cast<Wrapping>(in.data<T>()[r * n + i]);
      ASSERT_TRUE(same(out.data<T>()[r * n + i], static_cast<T>(x - expected)))
          << name(dtype_of<T>) << " kind " << int(kind) << " rows=" << rows << " n=" << n << " row " << r;
    }
  }
}

TEST(RowKernel, RowsOfAGroupFoldAsEachAlone) {
  for (const Target& target : targets()) {
    for (int64_t rows : {3, 9}) {
      for (int64_t n : {1, 5, 16, 17, 32, 40, 64, 100, 130, 256}) {
        for (ReduceKind kind : kNumericKinds) {
          reduces_rows_of_groups<float>(kind, rows, n, false, target);
          reduces_rows_of_groups<double>(kind, rows, n, false, target);
          if (rows != 9) continue;
          reduces_rows_of_groups<int32_t>(kind, rows, n, false, target);
          reduces_rows_of_groups<uint8_t>(kind, rows, n, false, target);
          reduces_rows_of_groups<float>(kind, rows, n, true, target);
          reduces_rows_of_groups<double>(kind, rows, n, true, target);
        }
      }
    }
  }
}

/// Bytes have no masks with AVX2: the rest of a row goes in vectors that overlap, unless elements may not count twice or
/// are stored where they were loaded.
TEST(RowKernel, RestsOfBytesCountOnce) {
  for (const Target& target : targets()) {
    for (ReduceKind kind : {ReduceKind::min, ReduceKind::sum}) {
      for (int64_t n : {1, 7, 8, 29, 32, 33, 59, 100}) {
        const int64_t rows = 5;
        TestBuffer x(DType::u8, rows * n), twice(DType::u8, rows * n);
        fill_random<uint8_t>(x, 12);
        const std::vector<uint8_t> before(x.data<uint8_t>(), x.data<uint8_t>() + rows * n);
        TestKernel k(KernelKind::row, {rows, n});
        const int at = k.access(x, {n, 1});
        const int loaded = k.load(at);
        const int folded = k.reduce(kind, loaded);
        k.store(k.access(twice, {n, 1}), k.compute(Op::add, DType::u8, {loaded, loaded}));
        k.next_stage();
        k.store(k.access(x, {n, 1}), k.compute(Op::sub, DType::u8, {k.load(at), folded}));
        k.target = target;
        k.run(2);
        for (int64_t r = 0; r < rows; ++r) {
          const uint8_t* row = &before[r * n];
          const auto expected = kind == ReduceKind::min ? *std::min_element(row, row + n)
                                                        : static_cast<uint8_t>(std::accumulate(row, row + n, 0));
          for (int64_t i = 0; i < n; ++i) {
            ASSERT_EQ(twice.data<uint8_t>()[r * n + i], static_cast<uint8_t>(2 * row[i])) << n << " at " << i;
            ASSERT_EQ(x.data<uint8_t>()[r * n + i], static_cast<uint8_t>(row[i] - expected)) << n << " at " << i;
          }
        }
      }
    }
  }
}

/// One stage adds up all channels of a row, the next one reads only the last two of them.
TEST(RowKernel, AStageMayReadAPartOfAGroup) {
  for (int64_t n : {8, 16, 64, 100}) {
    const int64_t rows = 3;
    TestBuffer in(DType::u8, rows * n * 3), out(DType::u8, rows * n);
    fill_random<uint8_t>(in, 13);
    TestKernel k(KernelKind::row, {rows, n});
    std::vector<int> channels;
    for (int64_t c = 0; c < 3; ++c) {
      channels.push_back(k.access(in, {n * 3, 3}, c));
      k.program.accesses.back().group = static_cast<int16_t>(channels[0]);
      k.program.accesses.back().element = static_cast<int8_t>(c);
    }
    const auto add = [&](int a, int b) { return k.compute(Op::add, DType::u8, {a, b}); };
    const int both = add(k.load(channels[0]), k.load(channels[1]));
    const int sum = k.reduce(ReduceKind::sum, add(both, k.load(channels[2])));
    k.next_stage();
    const int last = add(k.load(channels[1]), k.load(channels[2]));
    k.store(k.access(out, {n, 1}), add(last, sum));
    k.run();
    for (int64_t r = 0; r < rows; ++r) {
      const uint8_t* row = in.data<uint8_t>() + r * n * 3;
      const auto total = static_cast<uint8_t>(std::accumulate(row, row + n * 3, 0));
      for (int64_t i = 0; i < n; ++i) {
        const auto expected = static_cast<uint8_t>(row[3 * i + 1] + row[3 * i + 2] + total);
        ASSERT_EQ(out.data<uint8_t>()[r * n + i], expected) << n << " at " << r << ", " << i;
      }
    }
  }
}

/// Blocks in one kernel, their results combined in another: the bits of one row kernel.
template <class T>
void splits_rows(ReduceKind kind, int64_t n) {
  const int64_t rows = 2, blocks = (n + kRowBlock - 1) / kRowBlock;
  TestBuffer in(dtype_of<T>, rows * n), parts(dtype_of<T>, rows * blocks), out(dtype_of<T>, rows);
  fill_random<T>(in, 12);
  TestKernel part(KernelKind::row, {rows, blocks, kRowBlock});
  part.in_blocks(n);
  int sum = part.reduce(kind, part.load(part.access(in, {n, kRowBlock, 1})));
  part.next_stage();
  part.per_row(true);
  part.store(part.access(parts, {blocks, 1, 0}), sum);
  part.run(1);
  TestKernel whole(KernelKind::column, {rows, blocks, 1});
  whole.of_results();
  int total = whole.reduce(kind, whole.load(whole.access(parts, {blocks, 1, 0})));
  whole.next_stage();
  whole.per_row(true);
  whole.store(whole.access(out, {1, 0, 0}), total);
  whole.run();
  for (int64_t r = 0; r < rows; ++r) {
    ASSERT_EQ(out.data<T>()[r], reference::reduce_row(kind, row_of<T>(in, r, n))) << name(dtype_of<T>) << " " << n;
  }
}

TEST(RowKernel, PartialAndCombineGiveTheSameBits) {
  for (int64_t n : {int64_t{1}, int64_t{100}, kRowBlock, kRowBlock + 1, 3 * kRowBlock - 7}) {
    for (ReduceKind kind : kNumericKinds) {
      splits_rows<float>(kind, n);
      splits_rows<double>(kind, n);
      splits_rows<int32_t>(kind, n);
      splits_rows<uint8_t>(kind, n);
    }
  }
}

TEST(RowKernel, StridedAndBroadcastOperands) {
  const int64_t rows = 4, n = 150;
  TestBuffer in(DType::f32, rows * n), weights(DType::f32, n), out(DType::f32, rows);
  fill_random<float>(in, 13);
  fill_random<float>(weights, 14);
  TestKernel k(KernelKind::row, {rows, n});
  int x = k.load(k.access(in, {1, rows}));  // rows of the transpose
  int w = k.load(k.access(weights, {0, 1}));
  int sum = k.reduce(ReduceKind::sum, k.compute(Op::mul, DType::f32, {x, w}));
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, {1, 0}), sum);
  k.run();
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<float> row;
    for (int64_t i = 0; i < n; ++i) row.push_back(in.data<float>()[i * rows + r] * weights.data<float>()[i]);
    ASSERT_EQ(out.data<float>()[r], reference::reduce_row(ReduceKind::sum, row));
  }
}

TEST(RowKernel, ReducesAConstant) {
  TestBuffer out(DType::f32, 2);
  TestKernel k(KernelKind::row, {2, 37});
  int sum = k.reduce(ReduceKind::sum, k.param(0.1f));
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, {1, 0}), sum);
  k.run();
  EXPECT_EQ(out.data<float>()[1], reference::reduce_row(ReduceKind::sum, std::vector<float>(37, 0.1f)));
}

}  // namespace
}  // namespace etch
