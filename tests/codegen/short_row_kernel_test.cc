// Short row kernels against the documented tree of reductions, bit for bit, on every target that runs here.
#include <gtest/gtest.h>

#include "program.h"
#include "reference.h"

namespace etch {
namespace {

constexpr ReduceKind kNumericKinds[] = {ReduceKind::sum, ReduceKind::prod, ReduceKind::max, ReduceKind::min};

template <class T>
std::vector<T> row_of(TestBuffer& buffer, int64_t row, int64_t n) {
  return std::vector<T>(buffer.data<T>() + row * n, buffer.data<T>() + (row + 1) * n);
}

/// For rows of every short length, whole groups of them, parts of one and both.
void for_shapes(auto body) {
  for (const std::string& name : target_names()) {
    const Target& target = *find_target(name);
    if (!missing_features(target).empty()) continue;
    for (int64_t n = 2; n <= kMostShortRow; ++n) {
      for (int64_t rows : {1, 5, 16, 37}) body(target, rows, n);
    }
  }
}

template <class T>
void reduces_rows(ReduceKind kind) {
  for_shapes([&](const Target& target, int64_t rows, int64_t n) {
    TestBuffer in(dtype_of<T>, rows * n), out(dtype_of<T>, rows);
    fill_random<T>(in, 1 + n, true);
    TestKernel k(KernelKind::short_row, {rows, n});
    k.target = target;
    int result = k.reduce(kind, k.load(k.access(in, {n, 1})));
    k.next_stage();
    k.per_row(true);
    k.store(k.access(out, {1, 0}), result);
    k.run(rows == 37 ? 20 : 0);
    for (int64_t r = 0; r < rows; ++r) {
      T expected = reference::reduce_row(kind, row_of<T>(in, r, n));
      ASSERT_TRUE(same(out.data<T>()[r], expected)) << target.cpu << " " << name(dtype_of<T>) << " kind " << int(kind)
                                                    << " row " << r << " of " << n << ": " << +out.data<T>()[r];
    }
  });
}

TEST(ShortRowKernel, EveryKindAndDtypeFollowsTheTree) {
  for (ReduceKind kind : kNumericKinds) {
    reduces_rows<float>(kind);
    reduces_rows<double>(kind);
    reduces_rows<int32_t>(kind);
    reduces_rows<int64_t>(kind);
    reduces_rows<uint8_t>(kind);
  }
}

template <class T>
void finds_positions(int distinct) {
  for_shapes([&](const Target& target, int64_t rows, int64_t n) {
    TestBuffer in(dtype_of<T>, rows * n), high(DType::i64, rows), low(DType::i64, rows);
    fill_random<T>(in, 2 + n, true);
    std::mt19937 random(static_cast<uint32_t>(n));
    for (int64_t i = 0; distinct > 0 && i < rows * n; ++i) in.data<T>()[i] = static_cast<T>(random() % distinct);
    TestKernel k(KernelKind::short_row, {rows, n});
    k.target = target;
    int x = k.load(k.access(in, {n, 1}));
    int results[] = {k.reduce(ReduceKind::argmax, x), k.reduce(ReduceKind::argmin, x)};
    k.next_stage();
    k.per_row(true);
    k.store(k.access(high, {1, 0}), results[0]);
    k.store(k.access(low, {1, 0}), results[1]);
    k.run();
    for (int64_t r = 0; r < rows; ++r) {
      const std::vector<T> row = row_of<T>(in, r, n);
      ASSERT_EQ(high.data<int64_t>()[r], reference::arg_extreme(ReduceKind::argmax, row)) << target.cpu << " " << n;
      ASSERT_EQ(low.data<int64_t>()[r], reference::arg_extreme(ReduceKind::argmin, row)) << target.cpu << " " << n;
    }
  });
}

TEST(ShortRowKernel, PositionsWithTiesAndNans) {
  for (int distinct : {0, 1, 3}) {
    finds_positions<float>(distinct);
    finds_positions<double>(distinct);
    finds_positions<int32_t>(distinct);
    finds_positions<uint8_t>(distinct);
  }
}

/// y = (x - max(x)) / sum(x - max(x)) + its own weight of the row + a common weight of the element.
TEST(ShortRowKernel, StagesPassValuesPerRow) {
  for_shapes([&](const Target& target, int64_t rows, int64_t n) {
    TestBuffer in(DType::f32, 3 * rows * n), of_rows(DType::f32, rows), of_elements(DType::f32, n),
        out(DType::f32, 3 * rows * n);
    fill_random<float>(in, 3);
    fill_random<float>(of_rows, 4);
    fill_random<float>(of_elements, 5);
    TestKernel k(KernelKind::short_row, {3, rows, n});
    k.target = target;
    int from = k.access(in, {rows * n, n, 1});
    int high = k.reduce(ReduceKind::max, k.load(from));
    k.next_stage();
    int sum = k.reduce(ReduceKind::sum, k.compute(Op::sub, DType::f32, {k.load(from), high}));
    k.next_stage();
    k.per_row(true);
    int scale = k.compute(Op::div, DType::f32, {k.param(1.0f), sum});
    int weight = k.load(k.access(of_rows, {0, 1, 0}));
    k.per_row(false);
    int y = k.compute(Op::mul, DType::f32, {k.compute(Op::sub, DType::f32, {k.load(from), high}), scale});
    y = k.compute(Op::add, DType::f32, {y, weight});
    y = k.compute(Op::add, DType::f32, {y, k.load(k.access(of_elements, {0, 0, 1}))});
    k.store(k.access(out, {rows * n, n, 1}), y);
    k.run(4);
    for (int64_t r = 0; r < 3 * rows; ++r) {
      auto row = row_of<float>(in, r, n);
      const float largest = reference::reduce_row(ReduceKind::max, row);
      for (float& x : row) x -= largest;
      const float factor = 1.0f / reference::reduce_row(ReduceKind::sum, row);
      for (int64_t i = 0; i < n; ++i) {
        const float expected = row[i] * factor + of_rows.data<float>()[r % rows] + of_elements.data<float>()[i];
        ASSERT_TRUE(same(out.data<float>()[r * n + i], expected)) << target.cpu << " row " << r << " of " << n;
      }
    }
  });
}

TEST(ShortRowKernel, AStageReadsWhatAnEarlierOneKeptWhereALaterOneStores) {
  for_shapes([&](const Target& target, int64_t rows, int64_t n) {
    TestBuffer in(DType::f32, rows * n), out(DType::f32, rows * n);
    fill_random<float>(in, 6);
    TestKernel k(KernelKind::short_row, {rows, n});
    k.target = target;
    int square = k.load(k.access(in, {n, 1}));
    square = k.compute(Op::mul, DType::f32, {square, square});
    int kept = k.access(out, {n, 1});
    int sum = k.reduce(ReduceKind::sum, square);
    k.store(kept, square);
    k.next_stage();
    k.store(kept, k.compute(Op::sub, DType::f32, {k.load(kept), sum}));
    k.run();
    for (int64_t r = 0; r < rows; ++r) {
      auto row = row_of<float>(in, r, n);
      for (float& x : row) x *= x;
      const float total = reference::reduce_row(ReduceKind::sum, row);
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(out.data<float>()[r * n + i], row[i] - total) << target.cpu << " " << n;
    }
  });
}

TEST(ShortRowKernel, RowsMayLieApartAndBeWrittenWhereTheyAreRead) {
  for_shapes([&](const Target& target, int64_t rows, int64_t n) {
    const int64_t step = n + 3;
    TestBuffer x(DType::f64, rows * step);
    fill_random<double>(x, 7);
    const TestBuffer before = x;
    TestKernel k(KernelKind::short_row, {rows, n});
    k.target = target;
    const int slot = k.access(x, {step, 1});
    int sum = k.reduce(ReduceKind::sum, k.load(slot));
    k.next_stage();
    int y = k.compute(Op::div, DType::f64, {k.load(slot), sum});
    k.store(k.access(x, {step, 1}), y);
    k.run();
    TestBuffer expected = before;
    for (int64_t r = 0; r < rows; ++r) {
      double* row = expected.data<double>() + r * step;
      const double total = reference::reduce_row(ReduceKind::sum, std::vector<double>(row, row + n));
      for (int64_t i = 0; i < n; ++i) row[i] /= total;
    }
    ASSERT_EQ(x.bytes(), expected.bytes()) << target.cpu << " " << rows << " rows of " << n;
  });
}

}  // namespace
}  // namespace etch
