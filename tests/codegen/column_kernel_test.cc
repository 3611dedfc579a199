// Column kernels against the documented order of reductions, bit for bit.
#include <gtest/gtest.h>

#include <cmath>

#include "program.h"
#include "reference.h"

namespace etch {
namespace {

constexpr ReduceKind kNumericKinds[] = {ReduceKind::sum, ReduceKind::prod, ReduceKind::max, ReduceKind::min};

/// Element r of column c of in[outer, rows, columns].
template <class T>
std::vector<T> column_of(TestBuffer& buffer, int64_t outer, int64_t c, int64_t rows, int64_t columns) {
  std::vector<T> column;
  for (int64_t r = 0; r < rows; ++r) column.push_back(buffer.data<T>()[(outer * rows + r) * columns + c]);
  return column;
}

template <class T>
void reduces_columns(ReduceKind kind, int64_t outer, int64_t rows, int64_t columns, bool specials, int64_t split,
                     const BlockSizes& blocks = {}, const Target& target = host_target()) {
  TestBuffer in(dtype_of<T>, outer * rows * columns), out(dtype_of<T>, outer * columns);
  fill_random<T>(in, 1 + rows, specials);
  TestKernel k(KernelKind::column, {outer, rows, columns});
  k.program.blocks = blocks;
  k.target = target;
  int sum = k.reduce(kind, k.load(k.access(in, k.dense())));
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, k.dense({1})), sum);
  k.run(split);
  for (int64_t i = 0; i < outer * columns; ++i) {
    T expected = reference::reduce_column(kind, column_of<T>(in, i / columns, i % columns, rows, columns), blocks.column);
    ASSERT_TRUE(same(out.data<T>()[i], expected)) << name(dtype_of<T>) << " kind " << int(kind) << " " << rows << "x"
                                                  << columns << ": " << +out.data<T>()[i] << " not " << +expected;
  }
}

TEST(ColumnKernel, EveryKindAndDtypeFollowsTheOrder) {
  for (int64_t rows : {0, 1, 2, 5, 100, 511, 512, 513, 1100}) {
    for (int64_t columns : {1, 3, 16, 17, 70}) {
      for (ReduceKind kind : kNumericKinds) {
        reduces_columns<float>(kind, 2, rows, columns, false, 0);
        reduces_columns<double>(kind, 1, rows, columns, false, 64);
        reduces_columns<int32_t>(kind, 2, rows, columns, false, 0);
        reduces_columns<int64_t>(kind, 1, rows, columns, false, 0);
        reduces_columns<uint8_t>(kind, 1, rows, columns, false, 64);
      }
    }
  }
}

TEST(ColumnKernel, RestsOfVectorsOnEveryTarget) {
  for (const char* name : {"sse4", "avx2", "avx512"}) {
    const Target& target = *find_target(name);
    if (!missing_features(target).empty()) continue;
    for (int64_t columns : {1, 7, 16, 31, 63, 100}) {
      for (int64_t rows : {1, 4, 7, 600}) {
        reduces_columns<uint8_t>(ReduceKind::max, 2, rows, columns, false, 5, {}, target);
        reduces_columns<float>(ReduceKind::sum, 2, rows, columns, false, 5, {}, target);
        reduces_columns<double>(ReduceKind::sum, 2, rows, columns, false, 5, {}, target);
      }
    }
  }
}

TEST(ColumnKernel, ManyColumnsAndAnySplit) {
  for (int64_t columns : {1023, 1024, 1025, 5000}) {
    for (int64_t split : {0, 64, 960}) reduces_columns<float>(ReduceKind::sum, 2, 7, columns, false, split);
  }
}

TEST(ColumnKernel, BlocksAndPanelsOfAnySizeFollowTheOrder) {
  for (int32_t block : {1, 3, 8}) {
    for (int32_t panel : {64, 128}) {
      for (int64_t columns : {1, 64, 65, 200, 260}) {
        const BlockSizes blocks{.column = block, .panel = panel};
        reduces_columns<float>(ReduceKind::sum, 2, 17, columns, false, 0, blocks);
        reduces_columns<double>(ReduceKind::prod, 1, 10, columns, true, 64, blocks);
        reduces_columns<uint8_t>(ReduceKind::sum, 1, 9, columns, false, 1, blocks);
      }
    }
  }
}

TEST(ColumnKernel, SpecialFloats) {
  for (ReduceKind kind : kNumericKinds) {
    reduces_columns<float>(kind, 2, 9, 200, true, 0);
    reduces_columns<double>(kind, 2, 9, 200, true, 0);
  }
}

TEST(ColumnKernel, AnyAndAll) {
  const int64_t rows = 6, columns = 130;
  for (ReduceKind kind : {ReduceKind::any, ReduceKind::all}) {
    TestBuffer in(DType::boolean, rows * columns), out(DType::boolean, columns);
    for (int64_t i = 0; i < rows * columns; ++i) in.data<uint8_t>()[i] = (i % 7 == 0) != (kind == ReduceKind::all);
    TestKernel k(KernelKind::column, {rows, columns});
    int result = k.reduce(kind, k.load(k.access(in, {columns, 1})));
    k.next_stage();
    k.per_row(true);
    k.store(k.access(out, {0, 1}), result);
    k.run();
    for (int64_t c = 0; c < columns; ++c) {
      ASSERT_EQ(out.data<uint8_t>()[c], reference::reduce_column(kind, column_of<uint8_t>(in, 0, c, rows, columns)));
    }
  }
}

template <class T>
void finds_positions(int64_t rows, int64_t columns, bool specials, int distinct) {
  TestBuffer in(dtype_of<T>, rows * columns), largest(DType::i64, columns), smallest(DType::i64, columns);
  fill_random<T>(in, 3, specials);
  if (distinct) {
    for (int64_t i = 0; i < rows * columns; ++i) in.data<T>()[i] = static_cast<T>((i * 7919) % distinct);
  }
  TestKernel k(KernelKind::column, {rows, columns});
  int x = k.load(k.access(in, {columns, 1}));
  int high = k.reduce(ReduceKind::argmax, x), low = k.reduce(ReduceKind::argmin, x);
  k.next_stage();
  k.per_row(true);
  k.store(k.access(largest, {0, 1}), high);
  k.store(k.access(smallest, {0, 1}), low);
  k.run();
  for (int64_t c = 0; c < columns; ++c) {
    auto column = column_of<T>(in, 0, c, rows, columns);
    ASSERT_EQ(largest.data<int64_t>()[c], reference::arg_extreme(ReduceKind::argmax, column)) << name(dtype_of<T>);
    ASSERT_EQ(smallest.data<int64_t>()[c], reference::arg_extreme(ReduceKind::argmin, column)) << name(dtype_of<T>);
  }
}

TEST(ColumnKernel, PositionsWithTiesAndNans) {
  for (int64_t rows : {1, 2, 50, 700}) {
    for (int distinct : {0, 3}) {
      finds_positions<float>(rows, 37, true, distinct);
      finds_positions<double>(rows, 9, false, distinct);
      finds_positions<int32_t>(rows, 37, false, distinct);
      finds_positions<uint8_t>(rows, 130, false, distinct);
      finds_positions<int64_t>(rows, 10, false, distinct);
    }
  }
}

/// y = (x - mean) * (1 / sum of squares of (x - mean)) with weights per row: values per column go from stage to stage,
/// and a value that changes with the row alone is not per row.
TEST(ColumnKernel, StagesPassValuesPerColumn) {
  for (auto [rows, columns] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {10, 33}, {600, 100}, {40, 3000}}) {
    TestBuffer in(DType::f32, rows * columns), weights(DType::f32, rows), out(DType::f32, rows * columns);
    fill_random<float>(in, 4);
    fill_random<float>(weights, 5);
    TestKernel k(KernelKind::column, {rows, columns});
    int from = k.access(in, {columns, 1}), weight = k.access(weights, {1, 0}), to = k.access(out, {columns, 1});
    int sum = k.reduce(ReduceKind::sum, k.load(from));
    k.next_stage();
    k.per_row(true);
    int mean = k.compute(Op::mul, DType::f32, {sum, k.param(1.0f / rows)});
    k.per_row(false);
    int d = k.compute(Op::sub, DType::f32, {k.load(from), mean});
    int squares = k.reduce(ReduceKind::sum,
                           k.compute(Op::mul, DType::f32, {k.compute(Op::mul, DType::f32, {d, d}), k.load(weight)}));
    k.next_stage();
    k.per_row(true);
    int scale = k.compute(Op::div, DType::f32, {k.param(1.0f), squares});
    k.per_row(false);
    k.store(to, k.compute(Op::mul, DType::f32, {k.compute(Op::sub, DType::f32, {k.load(from), mean}), scale}));
    k.run(64);
    for (int64_t c = 0; c < columns; ++c) {
      auto column = column_of<float>(in, 0, c, rows, columns);
      float m = reference::reduce_column(ReduceKind::sum, column) * (1.0f / rows);
      std::vector<float> weighted;
      for (int64_t r = 0; r < rows; ++r)
        weighted.push_back((column[r] - m) * (column[r] - m) * weights.data<float>()[r]);
      float s = 1.0f / reference::reduce_column(ReduceKind::sum, weighted);
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_TRUE(same(out.data<float>()[r * columns + c], (column[r] - m) * s)) << rows << "x" << columns;
      }
    }
  }
}

/// Reduces row[r] - column[c]: no row is read along the lanes, so that the accumulators may stay in registers.
void reduces_rows_of_scalars(ReduceKind kind, int64_t rows, int64_t columns, int dear, const Target& target) {
  TestBuffer row(DType::f32, rows), column(DType::f32, columns), out(DType::f32, columns);
  fill_random<float>(row, 8, kind == ReduceKind::max);
  fill_random<float>(column, 9);
  TestKernel k(KernelKind::column, {rows, columns});
  k.target = target;
  k.per_row(true);
  const int c = k.load(k.access(column, {0, 1}));
  k.per_row(false);
  int x = k.compute(Op::sub, DType::f32, {k.load(k.access(row, {1, 0})), c});
  for (int i = 0; i < dear; ++i) x = k.compute(Op::sqrt, DType::f32, {k.compute(Op::abs, DType::f32, {x})});
  const int reduced = k.reduce(kind, x);
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, {0, 1}), reduced);
  k.run(64);
  for (int64_t i = 0; i < columns; ++i) {
    std::vector<float> values;
    for (int64_t r = 0; r < rows; ++r) {
      values.push_back(row.data<float>()[r] - column.data<float>()[i]);
      for (int n = 0; n < dear; ++n) values.back() = std::sqrt(std::abs(values.back()));
    }
    ASSERT_TRUE(same(out.data<float>()[i], reference::reduce_column(kind, values, kColumnBlock)))
        << "kind " << int(kind) << " " << rows << "x" << columns;
  }
}

TEST(ColumnKernel, RowsOfScalarsFollowTheOrder) {
  for (const Target& target : targets()) {
    for (int64_t rows : {1, 5, 513}) {
      for (int64_t columns : {1, 15, 65, 200}) {
        for (ReduceKind kind : kNumericKinds) {
          for (int dear : {0, 4}) reduces_rows_of_scalars(kind, rows, columns, dear, target);
        }
      }
    }
  }
}

template <class T>
void splits_columns(ReduceKind kind, int64_t rows, int64_t columns) {
  const int64_t blocks = (rows + kColumnBlock - 1) / kColumnBlock;
  TestBuffer in(dtype_of<T>, rows * columns), parts(dtype_of<T>, blocks * columns), out(dtype_of<T>, columns);
  fill_random<T>(in, 6);
  TestKernel part(KernelKind::column, {blocks, kColumnBlock, columns});
  part.in_blocks(rows);
  int sum = part.reduce(kind, part.load(part.access(in, {kColumnBlock * columns, columns, 1})));
  part.next_stage();
  part.per_row(true);
  part.store(part.access(parts, {columns, 0, 1}), sum);
  part.run(64);
  TestKernel whole(KernelKind::column, {blocks, columns});
  whole.of_results();
  int total = whole.reduce(kind, whole.load(whole.access(parts, {columns, 1})));
  whole.next_stage();
  whole.per_row(true);
  whole.store(whole.access(out, {0, 1}), total);
  whole.run();
  for (int64_t c = 0; c < columns; ++c) {
    ASSERT_EQ(out.data<T>()[c], reference::reduce_column(kind, column_of<T>(in, 0, c, rows, columns))) << rows;
  }
}

TEST(ColumnKernel, PartialAndCombineGiveTheSameBits) {
  for (int64_t rows : {1, 512, 513, 2000}) {
    for (ReduceKind kind : kNumericKinds) {
      splits_columns<float>(kind, rows, 100);
      splits_columns<double>(kind, rows, 7);
      splits_columns<int64_t>(kind, rows, 20);
    }
  }
}

/// Results of blocks are one block, however many there are.
TEST(ColumnKernel, CombineIsOneBlock) {
  const int64_t blocks = 1500;
  TestBuffer in(DType::f32, blocks), out(DType::f32, 1);
  fill_random<float>(in, 7);
  TestKernel k(KernelKind::column, {blocks, 1});
  k.of_results();
  int total = k.reduce(ReduceKind::sum, k.load(k.access(in, {1, 0})));
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, {0, 0}), total);
  k.run();
  EXPECT_EQ(out.data<float>()[0],
            reference::reduce_column(ReduceKind::sum, column_of<float>(in, 0, 0, blocks, 1), blocks));
}

TEST(ColumnKernel, ReducesTheMiddleOfFourAxes) {
  const int64_t a = 3, b = 2, rows = 20, columns = 19;
  TestBuffer in(DType::f32, a * b * rows * columns), out(DType::f32, a * b * columns);
  fill_random<float>(in, 8);
  TestKernel k(KernelKind::column, {a, b, rows, columns});
  int sum = k.reduce(ReduceKind::sum, k.load(k.access(in, k.dense())));
  k.next_stage();
  k.per_row(true);
  k.store(k.access(out, k.dense({2})), sum);
  k.run(64);
  for (int64_t i = 0; i < a * b * columns; ++i) {
    ASSERT_EQ(out.data<float>()[i],
              reference::reduce_column(ReduceKind::sum, column_of<float>(in, i / columns, i % columns, rows, columns)));
  }
}

}  // namespace
}  // namespace etch
