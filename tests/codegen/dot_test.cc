// Dot kernels against plain loops that add the same products in the same order: the bits must be equal.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "compiler/codegen/codegen.h"
#include "compiler/codegen/dot_mask.h"
#include "compiler/codegen/kept_bytes.h"
#include "runtime/packs.h"
#include "tests/codegen/program.h"
#include "tests/codegen/scratch.h"

namespace etch {
namespace {

/// How one operand lies in memory. spread: no unit stride; broadcast: one matrix for the whole batch.
enum class Layout { rows, columns, spread, broadcast };

struct Case {
  int64_t batch = 1, m = 1, n = 1, k = 1;
  Layout a = Layout::rows;
  Layout b = Layout::rows;
  int axes = 3;       // of the domain: 4 has an axis for the batch, 5 splits it in two
  int64_t split = 0;  // rows per call; 0: one call
  int64_t columns = 0;  // of a piece; 0: all
  bool in_lanes = false;  // m is 1, and b is the matrix
  BlockSizes blocks = {};
  int64_t pieces = 1, parts = 1;  // k is three axes where these are not 1: so many pieces of so many parts, which divide it

  int64_t lines = 1, stacks = 1;  // rows are three axes where these are not 1: so many stacks of so many lines, which divide m

  bool has_pieces() const { return pieces * parts > 1; }
  bool has_lines() const { return lines * stacks > 1; }
  std::string text() const {
    std::string s;
    for (int64_t v : {batch, m, n, k, int64_t(a), int64_t(b), int64_t(axes), split, columns, int64_t{in_lanes},
                      int64_t{blocks.depth}, int64_t{blocks.dot_rows}, int64_t{blocks.dot_row_bytes}, pieces, parts,
                      lines, stacks}) {
      s += std::to_string(v) + " ";
    }
    return s;
  }
};

struct Strides {
  int64_t batch, outer, inner, elements;
};

Strides strides_of(Layout layout, int64_t batch, int64_t outer, int64_t inner) {
  switch (layout) {
    case Layout::rows: return {outer * inner, inner, 1, batch * outer * inner};
    case Layout::columns: return {outer * inner, 1, outer, batch * outer * inner};
    case Layout::spread: return {outer * inner * 3, inner * 3, 3, batch * outer * inner * 3};
    case Layout::broadcast: break;
  }
  return {0, inner, 1, outer * inner};
}

template <class T>
std::vector<T> random_elements(int64_t count, std::mt19937& rng) {
  std::vector<T> result(count);
  std::uniform_real_distribution<double> real(-2, 2);
  for (T& x : result) {
    if constexpr (std::is_floating_point_v<T>) {
      x = static_cast<T>(real(rng));
    } else {
      x = static_cast<T>((uint64_t{rng()} << 32) | rng());
    }
  }
  return result;
}

template <class T>
T add_product(T sum, T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::fma(x, y, sum);
  } else {
    using U = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<T>>;
    return static_cast<T>(static_cast<U>(sum) + static_cast<U>(x) * static_cast<U>(y));
  }
}

/// Lanes folded in halves.
template <class T>
T folded(std::vector<T> lanes) {
  for (; lanes.size() > 1; lanes.resize(lanes.size() / 2)) {
    for (size_t i = 0; i < lanes.size() / 2; ++i) lanes[i] = add_product(lanes[i], lanes[i + lanes.size() / 2], T{1});
  }
  return lanes[0];
}

/// A program under construction with its sizes and buffers.
class Kernel {
 public:
  explicit Kernel(const Case& c) : case_(c) {
    program.axes.assign(c.axes - 3, Role::batch);
    program.axes.insert(program.axes.end(), c.has_lines() ? 3 : 1, Role::row);
    program.axes.insert(program.axes.end(), {Role::vector, Role::reduce});
    program.blocks = c.blocks;
    program.sums_in_lanes = c.in_lanes;
    if (c.axes == 5) {
      int64_t inner = c.batch % 2 == 0 ? 2 : 1;
      extents = {c.batch / inner, inner};
    } else if (c.axes == 4) {
      extents = {c.batch};
    }
    if (c.has_lines()) extents.insert(extents.end(), {c.stacks, c.lines});
    extents.insert(extents.end(), {c.m / (c.lines * c.stacks), c.n});
    if (c.has_pieces()) {
      program.axes.insert(program.axes.end(), 2, Role::reduce);
      extents.insert(extents.end(), {c.pieces, c.parts});
    }
    extents.push_back(c.k / (c.pieces * c.parts));
  }

  int access(DType dtype, void* data, int64_t batch, int64_t m, int64_t n, int64_t k) {
    Access access;
    access.dtype = dtype;
    access.stride = n == 0 ? Stride::zero : n == 1 ? Stride::one : Stride::other;
    access.uniform = batch == 0 && m == 0 && n == 0 && k == 0;
    program.accesses.push_back(access);
    buffers.push_back(data);
    access_sizes.push_back(0);
    if (case_.axes == 5) access_sizes.insert(access_sizes.end(), {batch * extents[1], batch});
    if (case_.axes == 4) access_sizes.push_back(batch);
    const int64_t line = case_.m / (case_.lines * case_.stacks);
    if (case_.has_lines()) access_sizes.insert(access_sizes.end(), {m * line * case_.lines, m * line});
    access_sizes.insert(access_sizes.end(), {m, n});
    const int64_t part = extents.back();
    if (case_.has_pieces()) access_sizes.insert(access_sizes.end(), {k * part * case_.parts, k * part});
    access_sizes.push_back(k);
    return static_cast<int>(buffers.size()) - 1;
  }

  int instr(InstrKind kind, DType dtype, int stage, std::vector<int> args, int slot = -1, Op op = Op::add) {
    Instr it;
    it.kind = kind;
    it.op = op;
    it.dtype = dtype;
    it.stage = static_cast<int8_t>(stage);
    it.slot = static_cast<int16_t>(slot);
    it.args.assign(args.begin(), args.end());
    program.body.push_back(it);
    return static_cast<int>(program.body.size()) - 1;
  }
  int load(DType dtype, int stage, int access) { return instr(InstrKind::load, dtype, stage, {}, access); }
  int compute(Op op, DType dtype, int stage, std::vector<int> args) {
    return instr(InstrKind::compute, dtype, stage, args, -1, op);
  }
  void store(DType dtype, int value, int access) { instr(InstrKind::store, dtype, 1, {value}, access); }

  void run(const CodegenOptions& options = {}) {
    std::vector<int64_t> sizes = extents;
    const int64_t columns = case_.columns > 0 ? case_.columns : std::max<int64_t>(case_.n, 1);
    if (program.has_tiles()) sizes.push_back(columns);
    sizes.insert(sizes.end(), access_sizes.begin(), access_sizes.end());
    sizes.insert(sizes.end(), params.begin(), params.end());
    const KernelProgram* programs[] = {&program};
    CompileCounts counts;
    auto handles = compile_kernels(programs, options, &counts, true);
    ASSERT_TRUE(handles.ok()) << handles.status();
    const int64_t pieces = case_.in_lanes ? case_.n : (case_.n + columns - 1) / columns;
    const int64_t rows = case_.batch * case_.m * pieces;
    const int64_t step = case_.split == 0 ? std::max<int64_t>(rows, 1) : case_.split;
    TestScratch scratch(*(*handles)[0], kept_bytes(program, sizes, options.target));
    buffers.push_back(pack);
    for (int64_t begin = 0; begin < rows; begin += step) {
      (*handles)[0]->fn()(buffers.data(), sizes.data(), begin, std::min(rows, begin + step), scratch.data());
    }
  }

  KernelProgram program;
  std::vector<int64_t> extents, access_sizes, params;
  std::vector<void*> buffers;
  void* pack = nullptr;  // of b

 private:
  Case case_;
};

/// The operands of a case and the expected product.
template <class T>
struct Operands {
  Operands(const Case& c, std::mt19937& rng)
      : a_strides(strides_of(c.a, c.batch, c.m, c.k)),
        b_strides(strides_of(c.b, c.batch, c.k, c.n)),
        a(random_elements<T>(a_strides.elements, rng)),
        b(random_elements<T>(b_strides.elements, rng)) {}

  T a_at(int64_t batch, int64_t i, int64_t p) const {
    return a[batch * a_strides.batch + i * a_strides.outer + p * a_strides.inner];
  }
  T b_at(int64_t batch, int64_t p, int64_t j) const {
    return b[batch * b_strides.batch + p * b_strides.outer + j * b_strides.inner];
  }

  template <class F>
  std::vector<T> product(const Case& c, F&& prologue) const {
    std::vector<T> result(c.batch * c.m * c.n);
    for (int64_t t = 0; t < c.batch; ++t) {
      for (int64_t i = 0; i < c.m; ++i) {
        for (int64_t j = 0; j < c.n; ++j) {
          std::vector<T> sums(c.in_lanes ? product_lanes(dtype_of<T>) : 1);
          for (int64_t p = 0; p < c.k; ++p) {
            T& sum = sums[p % sums.size()];
            sum = add_product(sum, prologue(a_at(t, i, p)), prologue(b_at(t, p, j)));
          }
          result[(t * c.m + i) * c.n + j] = folded(sums);
        }
      }
    }
    return result;
  }
  std::vector<T> product(const Case& c) const {
    return product(c, [](T x) { return x; });
  }

  int add_a(Kernel& kernel) {
    return kernel.access(dtype_of<T>, a.data(), a_strides.batch, a_strides.outer, 0, a_strides.inner);
  }
  int add_b(Kernel& kernel) {
    return kernel.access(dtype_of<T>, b.data(), b_strides.batch, 0, b_strides.inner, b_strides.outer);
  }

  Strides a_strides, b_strides;
  std::vector<T> a, b;
};

template <class T>
bool same_bits(const std::vector<T>& x, const std::vector<T>& y) {
  return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0);
}

constexpr int kCanaries = 64;

/// The result of the plain product of a case equals `product`, and nothing after it is written.
template <class T>
void check(const Case& c, std::mt19937& rng, const CodegenOptions& options = {}) {
  constexpr DType dtype = dtype_of<T>;
  Operands<T> operands(c, rng);
  const std::vector<T> expected = operands.product(c);
  std::vector<T> result(expected.size() + kCanaries, T{77});
  Kernel kernel(c);
  int a = kernel.load(dtype, 0, operands.add_a(kernel));
  int b = kernel.load(dtype, 0, operands.add_b(kernel));
  int dot = kernel.instr(InstrKind::dot, dtype, 0, c.in_lanes ? std::vector{b, a} : std::vector{a, b});
  kernel.store(dtype, dot, kernel.access(dtype, result.data(), c.m * c.n, c.n, 1, 0));
  kernel.run(options);
  const std::vector<T> canaries(result.end() - kCanaries, result.end());
  EXPECT_TRUE(same_bits(canaries, std::vector<T>(kCanaries, T{77}))) << c.text();
  result.resize(expected.size());
  EXPECT_TRUE(same_bits(result, expected)) << c.text();
}

constexpr Layout kLayouts[] = {Layout::rows, Layout::columns, Layout::spread, Layout::broadcast};

template <class T>
class DotOf : public testing::Test {};
using Types = testing::Types<float, double, int32_t, int64_t, uint8_t>;
TYPED_TEST_SUITE(DotOf, Types);

TYPED_TEST(DotOf, EveryLayoutOfBothOperands) {
  std::mt19937 rng(1);
  for (Layout a : kLayouts) {
    for (Layout b : kLayouts) {
      check<TypeParam>({3, 17, 35, 21, a, b, 4}, rng);
      check<TypeParam>({2, 37, 131, 67, a, b, 4}, rng);
    }
  }
}

TYPED_TEST(DotOf, RandomSizesAndSplits) {
  std::mt19937 rng(2);
  auto size = [&] { return static_cast<int64_t>(1 + rng() % 70); };
  for (int i = 0; i < 150; ++i) {
    Case c{static_cast<int64_t>(1 + rng() % 4), size(), size(), size(), kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
    if (i % 3 == 0) c.axes = 5;
    if (i % 3 == 1) c.axes = 3, c.batch = 1;
    if (i % 2 == 0) c.split = size();
    check<TypeParam>(c, rng);
  }
}

TYPED_TEST(DotOf, ExtentsOfOne) {
  std::mt19937 rng(3);
  for (Layout a : kLayouts) {
    for (Layout b : kLayouts) {
      check<TypeParam>({1, 1, 300, 45, a, b}, rng);
      check<TypeParam>({1, 300, 1, 45, a, b}, rng);
      check<TypeParam>({3, 21, 1, 600, a, b, 4, 7}, rng);
      check<TypeParam>({1, 1, 43, 600, a, b}, rng);
      check<TypeParam>({1, 30, 40, 1, a, b}, rng);
      check<TypeParam>({1, 1, 1, 700, a, b}, rng);
      check<TypeParam>({5, 1, 130, 9, a, b, 4}, rng);
    }
  }
}

TYPED_TEST(DotOf, NoProductsGiveZero) {
  std::mt19937 rng(4);
  check<TypeParam>({1, 19, 37, 0}, rng);
  check<TypeParam>({1, 1, 200, 0}, rng);
  check<TypeParam>({1, 1, 200, 0, Layout::rows, Layout::columns}, rng);
  check<TypeParam>({1, 20, 1, 0}, rng);
  check<TypeParam>({2, 5, 7, 0, Layout::columns, Layout::columns, 4}, rng);
}

TYPED_TEST(DotOf, NoRowsOrColumns) {
  std::mt19937 rng(5);
  check<TypeParam>({1, 19, 0, 5}, rng);
  check<TypeParam>({1, 0, 19, 5}, rng);
  check<TypeParam>({0, 19, 4, 5, Layout::rows, Layout::rows, 4}, rng);
}

TYPED_TEST(DotOf, SeveralBlocksAlongEveryAxis) {
  std::mt19937 rng(6);
  check<TypeParam>({1, 261, 547, 531, Layout::rows, Layout::rows}, rng);
  check<TypeParam>({1, 261, 547, 259, Layout::columns, Layout::columns, 3, 64}, rng);
  check<TypeParam>({1, 1, 1100, 531, Layout::rows, Layout::rows}, rng);
}

/// A kernel that is given a pack reads that, and not what it was made from.
template <class T>
void check_packed(const Case& c, std::mt19937& rng) {
  constexpr DType dtype = dtype_of<T>;
  Operands<T> operands(c, rng);
  const std::vector<T> expected = operands.product(c);
  PackLayout layout;
  layout.steps = c.k;
  layout.columns = c.n;
  layout.step_stride = operands.b_strides.outer;
  layout.column_stride = operands.b_strides.inner;
  layout.panel = panel_columns(dtype, host_target());
  layout.depth = c.has_pieces() ? c.k : c.blocks.depth;
  layout.element_bytes = sizeof(T);
  std::vector<T> pack(layout.bytes() / sizeof(T) + kCanaries, T{77}), result(expected.size());
  write_pack(operands.b.data(), layout, pack.data());
  EXPECT_TRUE(std::all_of(pack.end() - kCanaries, pack.end(), [](T x) { return x == T{77}; })) << c.text();
  std::fill(operands.b.begin(), operands.b.end(), T{55});
  Kernel kernel(c);
  kernel.pack = pack.data();
  int a = kernel.load(dtype, 0, operands.add_a(kernel));
  int b = kernel.load(dtype, 0, operands.add_b(kernel));
  int dot = kernel.instr(InstrKind::dot, dtype, 0, {a, b});
  kernel.store(dtype, dot, kernel.access(dtype, result.data(), c.m * c.n, c.n, 1, 0));
  kernel.run();
  EXPECT_TRUE(same_bits(result, expected)) << c.text();
}

TYPED_TEST(DotOf, APackOfTheSecondOperandIsReadInItsPlace) {
  if constexpr (sizeof(TypeParam) >= 4) {
    std::mt19937 rng(21);
    for (Layout b : {Layout::rows, Layout::columns, Layout::spread}) {
      for (int64_t m : {2, 13, 26, 250}) {
        check_packed<TypeParam>({1, m, 35, 21, Layout::rows, b}, rng);
        check_packed<TypeParam>({1, m, 531, 270, Layout::rows, b, 3, 7}, rng);
        check_packed<TypeParam>({1, m, 300, 600, Layout::columns, b, 3, 0, 128}, rng);
        check_packed<TypeParam>({1, m, 5, 513, Layout::rows, b}, rng);
      }
      Case small{1, 30, 200, 50, Layout::rows, b};
      small.blocks.depth = 16;
      check_packed<TypeParam>(small, rng);
    }
  }
}

TYPED_TEST(DotOf, APackOfStepsInPiecesIsReadInItsPlace) {
  if constexpr (sizeof(TypeParam) >= 4) {
    std::mt19937 rng(22);
    for (Layout b : {Layout::rows, Layout::columns, Layout::spread}) {
      for (int64_t k : {3 * 4 * 5, 3 * 4 * 70, 3 * 4 * 300}) {
        Case c{1, 40, 75, k, Layout::rows, b};
        c.pieces = 3;
        c.parts = 4;
        check_packed<TypeParam>(c, rng);
        c.lines = 2;
        check_packed<TypeParam>(c, rng);
        c.blocks.depth = 16;
        check_packed<TypeParam>(c, rng);
      }
    }
  }
}

// Long lines of long pieces are not copied.
TYPED_TEST(DotOf, LinesThatAreReadInPlaceGiveTheSameBitsOnEveryTarget) {
  std::mt19937 rng(23);
  auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng() % most); };
  for (const Target& target : targets()) {
    for (int i = 0; i < 16; ++i) {
      Case c{size(2), 1, size(70), 1, kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
      c.stacks = size(2);
      c.lines = i % 3 == 0 ? 1 : size(5);
      c.m = c.stacks * c.lines * (12 + size(40));
      c.pieces = i % 4 == 0 ? 1 : size(3);
      c.k = c.pieces * (100 + size(200));
      if (i % 2 == 0) c.split = size(90);
      if (i % 5 == 0) c.blocks.dot_rows = 24;
      check<TypeParam>(c, rng, {.target = target});
    }
  }
}

// Rows of a block that few sets of a cache hold are copied.
TYPED_TEST(DotOf, RowsAPageApartGiveTheSameBitsOnEveryTarget) {
  std::mt19937 rng(24);
  const auto page = static_cast<int64_t>(4096 / sizeof(TypeParam));
  for (const Target& target : targets()) {
    for (int64_t m : {95, 96, 101, 260}) {
      check<TypeParam>({1, m, 99, page, Layout::rows, Layout::rows, 3}, rng, {.target = target});
    }
    Case c{1, 150, 300, page + 3, Layout::rows, Layout::columns, 3, 120};
    c.blocks.depth = 100;
    check<TypeParam>(c, rng, {.target = target});
  }
}

TYPED_TEST(DotOf, SeveralAxesOfSteps) {
  std::mt19937 rng(13);
  auto size = [&] { return static_cast<int64_t>(1 + rng() % 90); };
  for (int i = 0; i < 60; ++i) {
    Case c{static_cast<int64_t>(1 + rng() % 3), size(), size(), 1, kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
    c.pieces = static_cast<int64_t>(1 + rng() % 4);
    c.parts = static_cast<int64_t>(1 + rng() % 4);
    c.k = c.pieces * c.parts * static_cast<int64_t>(1 + rng() % 20);
    if (i % 5 == 0) c.m = 1;
    if (i % 7 == 0) c.n = 1;
    if (i % 2 == 0) c.split = size();
    if (i % 3 == 0) c.blocks.depth = static_cast<int32_t>(1 + rng() % 8);
    check<TypeParam>(c, rng);
  }
}

TYPED_TEST(DotOf, SeveralAxesOfRows) {
  std::mt19937 rng(18);
  auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng() % most); };
  for (int i = 0; i < 60; ++i) {
    Case c{size(3), 1, size(90), size(90), kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
    c.stacks = size(4);
    c.lines = size(4);
    c.m = c.stacks * c.lines * size(30);
    if (i % 2 == 0) c.split = size(90);
    if (i % 3 == 0) {
      c.pieces = size(4);
      c.parts = size(4);
      c.k = c.pieces * c.parts * size(20);
    }
    if (i % 5 == 0) c.blocks.dot_rows = 24;
    if (i % 7 == 0) c.blocks.depth = static_cast<int32_t>(size(8));
    check<TypeParam>(c, rng);
  }
}

TYPED_TEST(DotOf, PiecesOfColumnsGiveTheSameBits) {
  std::mt19937 rng(14);
  auto size = [&] { return static_cast<int64_t>(1 + rng() % 90); };
  for (int i = 0; i < 60; ++i) {
    Case c{static_cast<int64_t>(1 + rng() % 3), size(), size(), size(), kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
    c.columns = size();
    if (i % 2 == 0) c.split = size();
    if (i % 3 == 1) c.axes = 3, c.batch = 1;
    check<TypeParam>(c, rng);
  }
}

TYPED_TEST(DotOf, CopiesOfTheSecondOperandServeAllBlocksOfRows) {
  std::mt19937 rng(22);
  for (Layout b : kLayouts) {
    for (int64_t k : {23, 40, 129, 150}) {  // up to 16 blocks of steps are kept
      for (int64_t n : {40, 700}) {
        Case c{2, 61, n, k, kLayouts[rng() % 4], b, 4};
        c.blocks.depth = 8;
        c.blocks.dot_rows = 24;
        if (k % 2 == 0) c.split = 50;
        check<TypeParam>(c, rng);
      }
    }
  }
}

TEST(Dot, OnlyProductsOfSeveralBlocksOfRowsAndStepsKeepCopies) {
  KernelProgram program;
  program.axes = {Role::row, Role::vector, Role::reduce};
  program.body.resize(1);
  program.body[0].kind = InstrKind::dot;
  program.body[0].dtype = DType::f32;
  const auto blocks = [&](int64_t rows, int64_t steps) {
    const std::vector<int64_t> sizes{rows, 512, steps};
    return kept_bytes(program, sizes, host_target()) / (int64_t{512} * 258 * 4);
  };
  EXPECT_EQ(blocks(1000, 1000), 3);
  EXPECT_EQ(blocks(241, 257), 1);
  EXPECT_EQ(blocks(240, 1000), 0);
  EXPECT_EQ(blocks(1000, 256), 0);
  EXPECT_EQ(blocks(1000, 4096), 15);
  EXPECT_EQ(blocks(1000, 4097), 0);
}

TYPED_TEST(DotOf, RowsAboutAPageApart) {
  std::mt19937 rng(23);
  const auto page = static_cast<int64_t>(4096 / sizeof(TypeParam));
  for (int64_t k : {page - 20, page - 1, page, page + 1, page + 20}) check<TypeParam>({1, 26, 100, k}, rng);
}

TYPED_TEST(DotOf, FewRowsByAWideMatrixGiveTheSameBitsOnEveryTarget) {
  for (const Target& target : targets()) {
    std::mt19937 rng(19);
    auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng() % most); };
    for (int i = 0; i < 24; ++i) {
      Case c{size(3), 1 + size(26), 2100 / static_cast<int64_t>(sizeof(TypeParam)) + size(70), size(70), kLayouts[rng() % 4], Layout::rows, 4};
      if (i % 2 == 0) c.columns = size(300);
      if (i % 3 == 0) c.split = size(60);
      if (i % 4 == 0) c.blocks.dot_rows = 24, c.blocks.dot_row_bytes = 256;
      check<TypeParam>(c, rng, {.target = target});
    }
  }
}

TYPED_TEST(DotOf, FewColumnsGiveTheSameBitsOnEveryTarget) {
  for (const Target& target : targets()) {
    std::mt19937 rng(20);
    auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng() % most); };
    for (int i = 0; i < 24; ++i) {
      Case c{size(3), size(40), size(33), size(300), kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
      if (i % 2 == 0) c.split = size(60);
      check<TypeParam>(c, rng, {.target = target});
    }
    check<TypeParam>({1, 19, 5, 9000}, rng, {.target = target});
  }
}

TYPED_TEST(DotOf, BatchesOfSmallMatricesGiveTheSameBitsOnEveryTarget) {
  for (const Target& target : targets()) {
    std::mt19937 rng(24);
    auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng() % most); };
    for (int i = 0; i < 24; ++i) {
      Case c{1 + size(6), 1 + size(30), 1 + size(20), size(30), kLayouts[rng() % 4], Layout::rows, 4};
      if (i % 3 == 0) c.axes = 5;
      if (i % 2 == 0) c.split = i % 4 == 0 ? c.m : size(40);  // whole matrices, or parts
      check<TypeParam>(c, rng, {.target = target});
    }
  }
}

// Tiles of fewer rows than they have room for touch no sums but those of these rows.
TYPED_TEST(DotOf, LastRowsOfABlockLeaveTheNextPanelAlone) {
  std::mt19937 rng(21);
  for (const Target& target : targets()) {
    for (const int64_t m : {227, 238, 239, 479}) check<TypeParam>({1, m, 70, 530}, rng, {.target = target});
  }
}

TYPED_TEST(DotOf, SumsInLanes) {
  std::mt19937 rng(15);
  auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng() % most); };
  for (int i = 0; i < 120; ++i) {
    Case c{size(3), 1, size(90), size(90), kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
    c.in_lanes = true;
    if (i % 2 == 0) c.split = size(90);
    if (i % 3 == 1) c.axes = 3, c.batch = 1;
    if (i % 11 == 0) c.n = 1;
    if (i % 13 == 0) c.k = size(600);
    if (i % 29 == 0) c.n = 900 + size(600);
    check<TypeParam>(c, rng);
  }
}

// Eight rows of it go at a time, and what is left of them in others.
TYPED_TEST(DotOf, SumsInLanesOfAMatrixThatNoCacheHolds) {
  std::mt19937 rng(25);
  Case c{1, 1, (17 << 20) / (1100 * static_cast<int64_t>(sizeof(TypeParam))), 1100, Layout::rows, Layout::rows, 4};
  c.in_lanes = true;
  check<TypeParam>(c, rng);
}

TYPED_TEST(DotOf, SumsInLanesOfNoProducts) {
  std::mt19937 rng(16);
  for (const Layout layout : kLayouts) {
    Case c{2, 1, 37, 0, Layout::rows, layout, 4};
    c.in_lanes = true;
    check<TypeParam>(c, rng);
  }
}

TYPED_TEST(DotOf, SumsInLanesOfSeveralAxesOfSteps) {
  std::mt19937 rng(17);
  auto size = [&](uint64_t most) { return static_cast<int64_t>(1 + rng() % most); };
  for (int i = 0; i < 60; ++i) {
    Case c{size(3), 1, size(90), 1, kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
    c.in_lanes = true;
    c.pieces = size(4);
    c.parts = size(4);
    c.k = c.pieces * c.parts * size(30);
    if (i % 5 == 0) c.n = 1;
    if (i % 2 == 0) c.split = size(90);
    check<TypeParam>(c, rng);
  }
}

TYPED_TEST(DotOf, BlocksOfAnySizeGiveTheSameBits) {
  std::mt19937 rng(12);
  auto size = [&] { return static_cast<int64_t>(1 + rng() % 90); };
  for (int i = 0; i < 60; ++i) {
    Case c{static_cast<int64_t>(1 + rng() % 3), size(), size(), size(), kLayouts[rng() % 4], kLayouts[rng() % 4], 4};
    if (i % 5 == 0) c.m = 1;
    if (i % 2 == 0) c.split = size();
    c.blocks.depth = static_cast<int32_t>(1 + rng() % 40);
    c.blocks.dot_rows = static_cast<int32_t>(24 * (1 + rng() % 2));
    c.blocks.dot_row_bytes = static_cast<int32_t>(256 * (1 + rng() % 2));
    check<TypeParam>(c, rng);
  }
}

TEST(Dot, SumStartsFromPositiveZero) {
  float a = 0, b = -1, result = 1;
  Kernel kernel({});
  int x = kernel.load(DType::f32, 0, kernel.access(DType::f32, &a, 1, 1, 0, 1));
  int y = kernel.load(DType::f32, 0, kernel.access(DType::f32, &b, 1, 0, 1, 1));
  int dot = kernel.instr(InstrKind::dot, DType::f32, 0, {x, y});
  kernel.store(DType::f32, dot, kernel.access(DType::f32, &result, 1, 1, 1, 0));
  kernel.run();
  EXPECT_EQ(result, 0);
  EXPECT_FALSE(std::signbit(result));
}

TEST(Dot, EpilogueAddsBiasOfColumnsAndRowsAndClamps) {
  std::mt19937 rng(7);
  for (const Case& c : {Case{1, 31, 45, 20}, Case{1, 250, 70, 300}, Case{1, 1, 301, 17}, Case{1, 29, 1, 10},
                        Case{1, 45, 1, 333}}) {
    Operands<float> operands(c, rng);
    std::vector<float> expected = operands.product(c), result(expected.size());
    std::vector<float> columns = random_elements<float>(c.n, rng), rows = random_elements<float>(c.m, rng);
    float floor = 0.25f;
    for (int64_t i = 0; i < c.m; ++i) {
      for (int64_t j = 0; j < c.n; ++j) {
        float& x = expected[i * c.n + j];
        x = std::max(x + columns[j] + rows[i], floor);
      }
    }
    Kernel kernel(c);
    constexpr DType f32 = DType::f32;
    int a = kernel.load(f32, 0, operands.add_a(kernel));
    int b = kernel.load(f32, 0, operands.add_b(kernel));
    int dot = kernel.instr(InstrKind::dot, f32, 0, {a, b});
    int of_columns = kernel.load(f32, 1, kernel.access(f32, columns.data(), 0, 0, 1, 0));
    int of_rows = kernel.load(f32, 1, kernel.access(f32, rows.data(), 0, 1, 0, 0));
    kernel.program.num_params = 1;
    uint32_t bits;
    std::memcpy(&bits, &floor, 4);
    kernel.params = {bits};
    int param = kernel.instr(InstrKind::param, f32, 1, {}, 0);
    int sum = kernel.compute(Op::add, f32, 1, {kernel.compute(Op::add, f32, 1, {dot, of_columns}), of_rows});
    int clamped = kernel.compute(Op::max, f32, 1, {sum, param});
    kernel.store(f32, clamped, kernel.access(f32, result.data(), 0, c.n, 1, 0));
    kernel.run();
    EXPECT_TRUE(same_bits(result, expected)) << c.text();
  }
}

TEST(Dot, EpilogueStoresTheResultInTwoDtypesAndLayouts) {
  std::mt19937 rng(8);
  const Case c{1, 41, 75, 33};
  Operands<float> operands(c, rng);
  const std::vector<float> product = operands.product(c);
  std::vector<double> wide(product.begin(), product.end()), wide_result(product.size());
  std::vector<float> transposed(product.size()), transposed_result(product.size());
  std::vector<uint8_t> positive(product.size()), positive_result(product.size());
  for (int64_t i = 0; i < c.m; ++i) {
    for (int64_t j = 0; j < c.n; ++j) {
      transposed[j * c.m + i] = product[i * c.n + j];
      positive[i * c.n + j] = product[i * c.n + j] > 0;
    }
  }
  Kernel kernel(c);
  int a = kernel.load(DType::f32, 0, operands.add_a(kernel));
  int b = kernel.load(DType::f32, 0, operands.add_b(kernel));
  int dot = kernel.instr(InstrKind::dot, DType::f32, 0, {a, b});
  int zero = kernel.instr(InstrKind::param, DType::f32, 1, {}, 0);
  kernel.program.num_params = 1;
  kernel.params = {0};
  int as_double = kernel.compute(Op::cast, DType::f64, 1, {dot});
  int is_positive = kernel.compute(Op::greater, DType::boolean, 1, {dot, zero});
  kernel.store(DType::f64, as_double, kernel.access(DType::f64, wide_result.data(), 0, c.n, 1, 0));
  kernel.store(DType::f32, dot, kernel.access(DType::f32, transposed_result.data(), 0, 1, c.m, 0));
  kernel.store(DType::boolean, is_positive, kernel.access(DType::boolean, positive_result.data(), 0, c.n, 1, 0));
  kernel.run();
  EXPECT_TRUE(same_bits(wide_result, wide));
  EXPECT_TRUE(same_bits(transposed_result, transposed));
  EXPECT_TRUE(same_bits(positive_result, positive));
}

TEST(Dot, PrologueComputesBothOperands) {
  std::mt19937 rng(9);
  for (Layout a_layout : kLayouts) {
    for (Layout b_layout : kLayouts) {
      const Case c{2, 29, 47, 270, a_layout, b_layout, 4};
      Operands<float> operands(c, rng);
      const std::vector<float> expected = operands.product(c, [](float x) { return std::max(x, 0.5f) - 0.75f; });
      std::vector<float> result(expected.size());
      constexpr DType f32 = DType::f32;
      Kernel kernel(c);
      int a = kernel.load(f32, 0, operands.add_a(kernel));
      int b = kernel.load(f32, 0, operands.add_b(kernel));
      int floor = kernel.instr(InstrKind::param, f32, 0, {}, 0);
      int shift = kernel.instr(InstrKind::param, f32, 0, {}, 1);
      kernel.program.num_params = 2;
      kernel.params = {0x3f000000, 0x3f400000};
      int clamped_a = kernel.compute(Op::max, f32, 0, {a, floor});
      int clamped_b = kernel.compute(Op::max, f32, 0, {b, floor});
      int shifted_a = kernel.compute(Op::sub, f32, 0, {clamped_a, shift});
      int shifted_b = kernel.compute(Op::sub, f32, 0, {clamped_b, shift});
      int dot = kernel.instr(InstrKind::dot, f32, 0, {shifted_a, shifted_b});
      kernel.store(f32, dot, kernel.access(f32, result.data(), c.m * c.n, c.n, 1, 0));
      kernel.run();
      EXPECT_TRUE(same_bits(result, expected)) << c.text();
    }
  }
}

TEST(Dot, IndexInTheEpilogue) {
  std::mt19937 rng(10);
  const Case c{1, 23, 39, 5};
  Operands<int64_t> operands(c, rng);
  std::vector<int64_t> expected = operands.product(c), result(expected.size());
  for (int64_t i = 0; i < c.m; ++i) {
    for (int64_t j = 0; j < c.n; ++j) {
      int64_t& x = expected[i * c.n + j];
      x = static_cast<int64_t>(static_cast<uint64_t>(x) + static_cast<uint64_t>(7 + 100 * i - 3 * j));
    }
  }
  constexpr DType i64 = DType::i64;
  Kernel kernel(c);
  int a = kernel.load(i64, 0, operands.add_a(kernel));
  int b = kernel.load(i64, 0, operands.add_b(kernel));
  int dot = kernel.instr(InstrKind::dot, i64, 0, {a, b});
  int index = kernel.instr(InstrKind::index, i64, 1, {}, 0);
  int sum = kernel.compute(Op::add, i64, 1, {dot, index});
  kernel.store(i64, sum, kernel.access(i64, result.data(), 0, c.n, 1, 0));
  kernel.program.indices = {Stride::other};
  kernel.access_sizes.insert(kernel.access_sizes.end(), {7, 100, -3, 0});
  kernel.run();
  EXPECT_TRUE(same_bits(result, expected));
}

/// where(i * row_step + offset <op> j, sum, -3), or the other way round.
struct Mask {
  Op op = Op::greater_equal;
  bool shows_true = true;
  int64_t row_step = 1, offset = 0;
  int64_t added = 0;  // to the row's term, a number of the kernel

  bool shows(int64_t i, int64_t j) const {
    const int64_t row = i * row_step + offset + added;
    const bool holds = op == Op::greater ? row > j : op == Op::greater_equal ? row >= j : op == Op::less ? row < j : row <= j;
    return holds == shows_true;
  }
};

TEST(Dot, SumsThatAMaskHidesAreLeftOutWithTheSameBits) {
  std::mt19937 rng(19);
  constexpr DType f32 = DType::f32, i64 = DType::i64;
  for (const Op op : {Op::greater, Op::greater_equal, Op::less, Op::less_equal}) {
    for (const Mask mask : {Mask{op}, Mask{op, false}, Mask{op, true, -1, 60}, Mask{op, false, 3, -100}, Mask{op, true, 0, 50},
                            Mask{op, true, 1, 0, 17}, Mask{op, false, 1, 0, std::numeric_limits<int64_t>::max() - 1000}}) {
      for (Case c : {Case{2, 70, 90, 33, Layout::rows, Layout::columns, 4, 29}, Case{1, 261, 300, 300},
                     Case{1, 261, 300, 300, Layout::rows, Layout::columns}, Case{1, 2, 3, 4}}) {
        if (c.m * c.n > 5000) c.blocks.depth = 100;
        Operands<float> operands(c, rng);
        std::vector<float> expected = operands.product(c), result(expected.size());
        for (int64_t e = 0; e < static_cast<int64_t>(expected.size()); ++e) {
          if (!mask.shows(e / c.n % c.m, e % c.n)) expected[e] = -3;
        }
        Kernel kernel(c);
        int a = kernel.load(f32, 0, operands.add_a(kernel));
        int b = kernel.load(f32, 0, operands.add_b(kernel));
        int dot = kernel.instr(InstrKind::dot, f32, 0, {a, b});
        int row = kernel.instr(InstrKind::index, i64, 1, {}, 0), column = kernel.instr(InstrKind::index, i64, 1, {}, 1);
        int number = kernel.instr(InstrKind::param, i64, 1, {}, 0);
        if (mask.added != 0) row = kernel.compute(Op::add, i64, 1, {row, number});
        int hidden = kernel.instr(InstrKind::param, f32, 1, {}, 1);
        int holds = kernel.compute(op, DType::boolean, 1, {row, column});
        int seen = kernel.compute(Op::where, f32, 1, mask.shows_true ? std::vector{holds, dot, hidden} : std::vector{holds, hidden, dot});
        kernel.store(f32, seen, kernel.access(f32, result.data(), c.m * c.n, c.n, 1, 0));
        kernel.program.indices = {Stride::other, Stride::other};
        kernel.program.num_params = 2;
        kernel.params = {mask.added, 0xc0400000};
        const std::vector<int64_t> batch(c.axes - 3);
        for (const auto& [offset, m, n] : {std::tuple{mask.offset, mask.row_step, int64_t{0}}, {int64_t{0}, int64_t{0}, int64_t{1}}}) {
          kernel.access_sizes.push_back(offset);
          kernel.access_sizes.insert(kernel.access_sizes.end(), batch.begin(), batch.end());
          kernel.access_sizes.insert(kernel.access_sizes.end(), {m, n, 0});
        }
        EXPECT_TRUE(codegen::seen_sums(kernel.program, dot).has_value());
        kernel.run();
        EXPECT_TRUE(same_bits(result, expected)) << c.text() << name(op) << " " << mask.row_step << " " << mask.offset;
        // Sums that are stored as they are, too, are all seen.
        kernel.store(f32, dot, 2);
        EXPECT_FALSE(codegen::seen_sums(kernel.program, dot).has_value());
      }
    }
  }
}

}  // namespace
}  // namespace etch
