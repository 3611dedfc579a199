// Loop kernels against plain loops: dtypes, strides, ranks, lengths, splits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "compiler/ir/oracle.h"
#include "program.h"

namespace etch {
namespace {

/// Calls f(indices) for every element of the domain, in order.
void for_each_index(const std::vector<int64_t>& extents, const std::function<void(const std::vector<int64_t>&)>& f) {
  int64_t count = 1;
  for (int64_t e : extents) count *= e;
  std::vector<int64_t> indices(extents.size());
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i;
    for (int axis = static_cast<int>(extents.size()) - 1; axis >= 0; --axis) {
      indices[axis] = rest % extents[axis];
      rest /= extents[axis];
    }
    f(indices);
  }
}

int64_t dot(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  int64_t sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

int64_t product(const std::vector<int64_t>& extents) {
  int64_t count = 1;
  for (int64_t e : extents) count *= e;
  return count;
}

constexpr int64_t kLengths[] = {1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 64, 65, 100, 127, 129, 1000};

template <class T>
void copies_any_length() {
  for (int64_t n : kLengths) {
    TestBuffer in(dtype_of<T>, n), out(dtype_of<T>, n);
    fill_random<T>(in, 1, true);
    TestKernel k(KernelKind::loop, {n});
    int from = k.access(in, {1}), to = k.access(out, {1});
    k.store(to, k.load(from));
    k.run();
    ASSERT_EQ(in.bytes(), out.bytes()) << name(dtype_of<T>) << " n=" << n;
  }
}

TEST(LoopKernel, CopiesAnyLengthOfEveryDtype) {
  copies_any_length<float>();
  copies_any_length<double>();
  copies_any_length<int32_t>();
  copies_any_length<int64_t>();
  copies_any_length<uint8_t>();
  copies_any_length<bool>();
}

/// Loads and stores with these strides along the last axis of [rows, n].
template <class T>
void strides_of_the_vector_axis(const Target& target, int64_t load_step, int64_t store_step, int64_t n) {
  const int64_t rows = 3;
  int64_t in_elements = 1 + (rows - 1) * n * std::abs(load_step) + n * std::abs(load_step);
  TestBuffer in(dtype_of<T>, in_elements), out(dtype_of<T>, rows * n * store_step);
  fill_random<T>(in, 2);
  std::memset(out.data<char>(), 0, out.bytes().size());
  TestBuffer expected = out;
  int64_t offset = load_step < 0 ? (n - 1) * -load_step : 0;
  TestKernel k(KernelKind::loop, {rows, n});
  std::vector<int64_t> load_strides{n * std::abs(load_step), load_step}, store_strides{n * store_step, store_step};
  int from = k.access(in, load_strides, offset), to = k.access(out, store_strides);
  k.store(to, k.load(from));
  k.target = target;
  k.run();
  for_each_index({rows, n}, [&](const auto& at) {
    expected.data<T>()[dot(at, store_strides)] = in.data<T>()[offset + dot(at, load_strides)];
  });
  ASSERT_EQ(expected.bytes(), out.bytes())
      << name(dtype_of<T>) << " " << load_step << " " << store_step << " n=" << n << " on " << target.cpu;
}

TEST(LoopKernel, EveryStrideOfLoadsAndStores) {
  for (const Target& target : targets()) {
    for (int64_t n : {1, 5, 16, 40, 131}) {
      for (int64_t load_step : {0, 1, 2, 3, 4, 7, -1, -3}) {
        for (int64_t store_step : {1, 2, 3, 4, 5}) {
          strides_of_the_vector_axis<float>(target, load_step, store_step, n);
          strides_of_the_vector_axis<double>(target, load_step, store_step, n);
          strides_of_the_vector_axis<int64_t>(target, load_step, store_step, n);
          strides_of_the_vector_axis<uint8_t>(target, load_step, store_step, n);
          strides_of_the_vector_axis<bool>(target, load_step, store_step, n);
        }
      }
    }
  }
}

/// Stores to all `step` elements of [n, step], in an order that is not theirs.
template <class T>
void interleaves(const Target& target, int64_t step, int64_t n, int64_t split) {
  TestBuffer in(dtype_of<T>, n * step), out(dtype_of<T>, n * step);
  fill_random<T>(in, 3);
  TestKernel k(KernelKind::loop, {n});
  std::vector<int> loads, stores;
  for (int64_t i = 0; i < step; ++i) loads.push_back(k.load(k.access(in, {1}, i * n)));
  for (int64_t i = 0; i < step; ++i) stores.push_back(k.access(out, {step}, (i + 1) % step));
  for (int64_t i = 0; i < step; ++i) {
    Access& access = k.program.accesses[stores[i]];
    access.group = static_cast<int16_t>(stores[step - 1]);
    access.element = static_cast<int8_t>((i + 1) % step);
    k.store(stores[i], loads[i]);
  }
  k.target = target;
  k.run(split);
  for (int64_t i = 0; i < step * n; ++i) {
    const int64_t from = (i % step + step - 1) % step;
    ASSERT_EQ(out.data<T>()[i], in.data<T>()[from * n + i / step])
        << name(dtype_of<T>) << " step=" << step << " n=" << n << " at " << i;
  }
}

/// Loads [columns, rows] across the lanes, `step` elements from row to row, and stores [rows, columns], or the other way
/// round. With `work` the body is emitted once, over scratch memory.
template <class T>
void goes_across(const Target& target, int64_t rows, int64_t columns, int64_t step, bool stores, bool work, int64_t split,
                 bool streams = false) {
  const int64_t far = rows * step + 3;
  TestBuffer across(dtype_of<T>, columns * far), dense(dtype_of<T>, rows * columns);
  TestBuffer &in = stores ? dense : across, &out = stores ? across : dense;
  fill_random<T>(in, 4);
  std::memset(out.data<char>(), 0, out.bytes().size());
  TestBuffer expected = out;
  const std::vector<int64_t> across_strides{step, far}, dense_strides{columns, 1};
  const auto &from_strides = stores ? dense_strides : across_strides, &to_strides = stores ? across_strides : dense_strides;
  TestKernel k(KernelKind::loop, {rows, columns});
  k.program.blocks.tile = 48;
  k.streams = streams;
  const int from = k.access(in, from_strides), to = k.access(out, to_strides);
  k.program.accesses[stores ? to : from].next_row = static_cast<int8_t>(step);
  int value = k.load(from);
  // Twelve times not, or the negative, is the value again.
  for (int i = 0; work && i < 12; ++i) value = k.compute(std::is_same_v<T, bool> ? Op::logical_not : Op::neg, dtype_of<T>, {value});
  k.store(to, value);
  k.target = target;
  k.run(split);
  for_each_index({rows, columns}, [&](const auto& at) {
    expected.data<T>()[dot(at, to_strides)] = in.data<T>()[dot(at, from_strides)];
  });
  ASSERT_EQ(expected.bytes(), out.bytes()) << name(dtype_of<T>) << " [" << rows << "," << columns << "] step=" << step
                                           << " stores=" << stores << " work=" << work << " split=" << split << " on "
                                           << target.cpu;
}

template <class T>
void goes_across(const Target& target) {
  for (auto [rows, columns] : {std::pair{16, 16}, {7, 40}, {33, 50}, {19, 131}, {1101, 17}}) {
    for (bool work : {false, true}) {
      for (int64_t split : {0, 170}) {
        goes_across<T>(target, rows, columns, 1, true, work, split);
        for (int64_t step : {1, 2, 3}) goes_across<T>(target, rows, columns, step, false, work, split);
      }
    }
  }
}

/// Adds 1 to n elements that begin at `offset`, in rows that lie `gap` elements apart, past the caches.
template <class T>
void streams(const Target& target, int64_t rows, int64_t n, int64_t offset, int64_t gap, int64_t split, bool in_place) {
  TestBuffer in(dtype_of<T>, offset + rows * (n + gap)), other(dtype_of<T>, offset + rows * (n + gap));
  fill_random<T>(in, 6, true);
  std::memcpy(other.data<char>(), in.data<char>(), in.bytes().size());
  TestBuffer expected = in;
  TestBuffer& out = in_place ? in : other;
  TestKernel k(KernelKind::loop, {rows, n});
  const std::vector<int64_t> strides{n + gap, 1};
  const int from = k.access(in, strides, offset), to = k.access(out, strides, offset);
  k.store(to, k.compute(Op::add, dtype_of<T>, {k.load(from), k.param<T>(1)}));
  k.target = target;
  k.streams = 1;
  k.run(split);
  for_each_index({rows, n}, [&](const auto& at) {
    T& element = expected.data<T>()[offset + dot(at, strides)];
    element = static_cast<T>(element + 1);
  });
  ASSERT_EQ(expected.bytes(), out.bytes()) << name(dtype_of<T>) << " rows=" << rows << " n=" << n << " offset=" << offset
                                           << " gap=" << gap << " split=" << split << " on " << target.cpu;
}

TEST(LoopKernel, WhatGoesPastTheCachesArrivesWhole) {
  for (const Target& target : targets()) {
    for (auto [rows, n] : {std::pair{1, 512}, {1, 1000}, {5, 128}, {3, 77}}) {
      for (auto [offset, gap, split] : {std::tuple{0, 0, 0}, {0, 64, 64}, {16, 0, 100}, {3, 5, 0}}) {
        for (bool in_place : {false, true}) {
          streams<float>(target, rows, n, offset, gap, split, in_place);
          streams<double>(target, rows, n, offset, gap, split, in_place);
          streams<uint8_t>(target, rows, n, offset, gap, split, in_place);
          streams<int16_t>(target, rows, n, offset, gap, split, in_place);
        }
      }
    }
    for (bool work : {false, true}) {
      goes_across<float>(target, 64, 128, 1, false, work, 0, true);
      goes_across<uint8_t>(target, 128, 256, 1, false, work, 1000, true);
    }
  }
}

TEST(LoopKernel, LanesThatGoAcrossRows) {
  for (const Target& target : targets()) {
    goes_across<float>(target);
    goes_across<double>(target);
    goes_across<int16_t>(target);
    goes_across<uint8_t>(target);
    goes_across<bool>(target);
  }
}

/// Each of n lanes loads the elements `wanted` of a row of its own and stores them, in another order, to `count` elements
/// beside each other.
template <class T>
void short_rows(const Target& target, const std::vector<int64_t>& wanted, int64_t n, int64_t split) {
  const int64_t far = wanted.back() + 6, count = static_cast<int64_t>(wanted.size()), wide = count + 5;
  TestBuffer in(dtype_of<T>, n * far), out(dtype_of<T>, n * wide);
  fill_random<T>(in, 5);
  std::memset(out.data<char>(), 0, out.bytes().size());
  TestBuffer expected = out;
  TestKernel k(KernelKind::loop, {n});
  std::vector<int> loads, stores;
  for (int64_t element : wanted) loads.push_back(k.access(in, {far}, 2 + element));
  for (int64_t i = 0; i < count; ++i) stores.push_back(k.access(out, {wide}, 3 + i));
  std::vector<int> values;
  for (int64_t i = 0; i < count; ++i) {
    Access &load = k.program.accesses[loads[i]], &store = k.program.accesses[stores[i]];
    load.group = static_cast<int16_t>(loads[0]);
    load.element = static_cast<int8_t>(wanted[i]);
    store.group = static_cast<int16_t>(stores[0]);
    store.element = static_cast<int8_t>(i);
    values.push_back(k.load(loads[i]));
  }
  for (int64_t i = 0; i < count; ++i) k.store(stores[i], values[count - 1 - i]);
  k.target = target;
  k.run(split);
  for (int64_t lane = 0; lane < n; ++lane) {
    for (int64_t i = 0; i < count; ++i) {
      expected.data<T>()[lane * wide + 3 + i] = in.data<T>()[lane * far + 2 + wanted[count - 1 - i]];
    }
  }
  ASSERT_EQ(expected.bytes(), out.bytes()) << name(dtype_of<T>) << " count=" << count << " n=" << n << " split=" << split
                                           << " on " << target.cpu;
}

template <class T>
void short_rows(const Target& target) {
  const std::vector<std::vector<int64_t>> all_wanted = {
      {0, 1}, {0, 1, 2, 3, 4}, {0, 3, 6, 9, 12}, {0, 1, 2, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {0, 4, 5, 6, 10, 14, 17, 20}};
  for (const std::vector<int64_t>& wanted : all_wanted) {
    for (int64_t n : {1, 7, 8, 16, 29, 100}) {
      for (int64_t split : {0, 13}) short_rows<T>(target, wanted, n, split);
    }
  }
}

TEST(LoopKernel, LanesWithShortRowsOfTheirOwn) {
  for (const Target& target : targets()) {
    short_rows<float>(target);
    short_rows<double>(target);
    short_rows<int16_t>(target);
    short_rows<uint8_t>(target);
    short_rows<bool>(target);
  }
}

TEST(LoopKernel, StoresOfAllElementsInterleave) {
  for (const Target& target : targets()) {
    for (int64_t step : {2, 3, 4}) {
      for (int64_t n : {1, 7, 64, 200}) {
        for (int64_t split : {0, 33}) {
          interleaves<float>(target, step, n, split);
          interleaves<double>(target, step, n, split);
          interleaves<int32_t>(target, step, n, split);
          interleaves<uint8_t>(target, step, n, split);
          interleaves<bool>(target, step, n, split);
        }
      }
    }
  }
}

/// x = x + x where it lies: what a vector has written it may not read again.
template <class T>
void adds_in_place(const Target& target, int64_t n, int64_t step) {
  TestBuffer x(dtype_of<T>, 5 * n * step);
  fill_random<T>(x, 7);
  std::vector<T> before(x.data<T>(), x.data<T>() + x.elements());
  TestKernel k(KernelKind::loop, {5, n});
  const int from = k.access(x, {n * step, step}), to = k.access(x, {n * step, step});
  const int value = k.load(from);
  k.store(to, k.compute(Op::add, dtype_of<T>, {value, value}));
  k.target = target;
  k.run();
  for (size_t i = 0; i < before.size(); ++i) {
    const T expected = i % step == 0 ? static_cast<T>(before[i] + before[i]) : before[i];
    ASSERT_EQ(x.data<T>()[i], expected) << name(dtype_of<T>) << " n=" << n << " at " << i;
  }
}

TEST(LoopKernel, RestsInPlaceAreComputedOnce) {
  for (const Target& target : targets()) {
    for (int64_t n : {3, 8, 9, 31, 61}) {
      for (int64_t step : {1, 3, 6}) {
        adds_in_place<float>(target, n, step);
        adds_in_place<int64_t>(target, n, step);
        adds_in_place<uint8_t>(target, n, step);
      }
    }
  }
}

TEST(LoopKernel, EveryRankWithBroadcastsAndAnySplit) {
  const std::vector<std::vector<int64_t>> shapes = {{37},
                                                    {5, 19},
                                                    {1, 70},
                                                    {9, 1},
                                                    {3, 4, 21},
                                                    {2, 3, 5, 18},
                                                    {2, 1, 3, 2, 9},
                                                    {2, 2, 2, 2, 2, 5},
                                                    {1, 2, 2, 2, 2, 2, 3},
                                                    {2, 1, 2, 2, 2, 1, 2, 17}};
  for (const auto& shape : shapes) {
    for (int64_t split : {0, 1, 5, 16, 64}) {
      TestKernel k(KernelKind::loop, shape);
      TestBuffer a(DType::f32, product(shape)), b(DType::f32, product(shape)), c(DType::f32, 1),
          out(DType::f32, product(shape));
      fill_random<float>(a, 3);
      fill_random<float>(b, 4);
      fill_random<float>(c, 5);
      std::vector<int64_t> dense = k.dense(), rows = k.dense({k.program.rank() - 1}), none(shape.size());
      int la = k.load(k.access(a, dense)), lb = k.load(k.access(b, rows)), lc = k.load(k.access(c, none));
      int to = k.access(out, dense);
      k.store(to, k.compute(Op::sub, DType::f32, {k.compute(Op::mul, DType::f32, {la, lb}), lc}));
      k.run(split);
      for_each_index(shape, [&](const auto& at) {
        float product = a.data<float>()[dot(at, dense)] * b.data<float>()[dot(at, rows)];
        ASSERT_EQ(out.data<float>()[dot(at, dense)], product - c.data<float>()[0])
            << shape.size() << " split " << split;
      });
    }
  }
}

TEST(LoopKernel, IndexIsAffineInTheDomain) {
  std::vector<int64_t> shape{3, 4, 37};
  TestKernel k(KernelKind::loop, shape);
  TestBuffer out(DType::i64, product(shape));
  int to = k.access(out, k.dense());
  k.store(to, k.index({1000, -7, 3}, 5));
  k.run(64);
  for_each_index(shape, [&](const auto& at) {
    ASSERT_EQ(out.data<int64_t>()[dot(at, k.dense())], 5 + 1000 * at[0] - 7 * at[1] + 3 * at[2]);
  });
}

/// Indices whose lanes fit in 32 bits, cross their end, lie far behind it, wrap round on the way, or go backwards.
TEST(LoopKernel, AnIndexIsCastToFloatsAsTheIntegerItIs) {
  const int64_t far = int64_t{1} << 31, farther = int64_t{1} << 53, step = int64_t{1} << 60;
  for (const Target& target : targets()) {
    for (auto [offset, stride] : std::vector<std::pair<int64_t, int64_t>>{
             {0, 1}, {far - 9, 1}, {farther - 3, 1}, {16'777'210, 3}, {70, -1}, {far + 20, -1}, {0, step}, {5, 0}}) {
      const int64_t n = stride == step ? 7 : 37;
      TestBuffer f32(DType::f32, 2 * n), f64(DType::f64, 2 * n);
      TestKernel k(KernelKind::loop, {2, n});
      const int index = k.index({0, stride}, offset);
      const int one = k.compute(Op::cast, DType::f32, {index}), two = k.compute(Op::cast, DType::f64, {index});
      k.store(k.access(f32, k.dense()), one);
      k.store(k.access(f64, k.dense()), two);
      k.target = target;
      k.run();
      for (int64_t i = 0; i < 2 * n; ++i) {
        const int64_t value = offset + i % n * stride;
        ASSERT_EQ(f32.data<float>()[i], static_cast<float>(value)) << offset << " + " << stride << " * " << i % n;
        ASSERT_EQ(f64.data<double>()[i], static_cast<double>(value)) << offset << " + " << stride << " * " << i % n;
      }
    }
  }
}

/// Rows of a picture, with a number for each channel: any period, length and split, on every target.
TEST(LoopKernel, AnAccessRepeatsAlongTheLanes) {
  for (const Target& target : targets()) {
    for (auto [period, times] : std::vector<std::pair<int64_t, int64_t>>{{1, 3}, {3, 1}, {3, 64}, {5, 37}, {32, 32}}) {
      const int64_t n = period * times;
      for (int64_t split : {int64_t{0}, int64_t{7}, n + 1}) {
        TestBuffer x(DType::f32, 4 * n), each(DType::f32, period + 1), out(DType::f32, 4 * n);
        fill_random<float>(x, 3);
        fill_random<float>(each, 4);
        TestKernel k(KernelKind::loop, {4, n});
        const int all = k.access(x, k.dense()), some = k.access(each, {0, 1}, 1);
        k.repeat(some, period);
        k.store(k.access(out, k.dense()), k.compute(Op::sub, DType::f32, {k.load(all), k.load(some)}));
        k.target = target;
        k.run(split);
        for (int64_t i = 0; i < 4 * n; ++i) {
          const float expected = x.data<float>()[i] - each.data<float>()[1 + i % n % period];
          ASSERT_TRUE(same(out.data<float>()[i], expected)) << period << " * " << times << " at " << i;
        }
      }
    }
  }
}

TEST(LoopKernel, WhatIsFetchedAheadMayLieBehindTheBuffer) {
  constexpr int64_t rows = 4, n = 255, count = 1100;  // more bytes than the caches near by hold
  for (const Target& target : targets()) {
    TestBuffer in(DType::f32, count * rows * n), out(DType::f32, count * n);
    fill_random<float>(in, 3);
    TestKernel k(KernelKind::loop, {count, n});
    int sum = -1;
    for (int64_t r = 0; r < rows; ++r) {
      const int access = k.access(in, {rows * n, 1}, r * n);
      k.program.accesses[access].ahead = true;
      const int x = k.load(access);
      sum = r == 0 ? x : k.compute(Op::add, DType::f32, {sum, x});
    }
    k.store(k.access(out, k.dense()), sum);
    k.target = target;
    k.run();
    for (int64_t i = 0; i < count * n; ++i) {
      const float* x = in.data<float>() + i / n * rows * n + i % n;
      ASSERT_TRUE(same(out.data<float>()[i], ((x[0] + x[n]) + x[2 * n]) + x[3 * n])) << target.cpu << " at " << i;
    }
  }
}

TEST(LoopKernel, ParamsAreDataOfEveryDtype) {
  TestKernel k(KernelKind::loop, {21});
  TestBuffer f(DType::f32, 21), d(DType::f64, 21), i(DType::i32, 21), l(DType::i64, 21), u(DType::u8, 21),
      t(DType::boolean, 21);
  k.store(k.access(f, {1}), k.param(1.5f));
  k.store(k.access(d, {1}), k.param(-0.1));
  k.store(k.access(i, {1}), k.param(int32_t{-7}));
  k.store(k.access(l, {1}), k.param(int64_t{1} << 40));
  k.store(k.access(u, {1}), k.param(uint8_t{200}));
  k.store(k.access(t, {1}), k.param(true));
  k.run();
  for (int n = 0; n < 21; ++n) {
    ASSERT_EQ(f.data<float>()[n], 1.5f);
    ASSERT_EQ(d.data<double>()[n], -0.1);
    ASSERT_EQ(i.data<int32_t>()[n], -7);
    ASSERT_EQ(l.data<int64_t>()[n], int64_t{1} << 40);
    ASSERT_EQ(u.data<uint8_t>()[n], 200);
    ASSERT_EQ(t.data<uint8_t>()[n], 1);
  }
}

TEST(LoopKernel, SeveralDtypesAndOutputsInOneKernel) {
  const int64_t n = 203;
  TestBuffer x(DType::f32, n), y(DType::i32, n), below(DType::boolean, n), wide(DType::f64, n), picked(DType::i32, n);
  fill_random<float>(x, 6, true);
  fill_random<int32_t>(y, 7);
  TestKernel k(KernelKind::loop, {n});
  int lx = k.load(k.access(x, {1})), ly = k.load(k.access(y, {1}));
  int zero = k.param(0.0f);
  int is_below = k.compute(Op::less, DType::boolean, {lx, zero});
  k.store(k.access(below, {1}), is_below);
  k.store(k.access(wide, {1}), k.compute(Op::cast, DType::f64, {lx}));
  int negated = k.compute(Op::neg, DType::i32, {ly});
  k.store(k.access(picked, {1}), k.compute(Op::where, DType::i32, {is_below, ly, negated}));
  k.run(64);
  for (int64_t i = 0; i < n; ++i) {
    float v = x.data<float>()[i];
    ASSERT_EQ(below.data<uint8_t>()[i], v < 0 ? 1 : 0);
    ASSERT_TRUE(same(wide.data<double>()[i], static_cast<double>(v)));
    int32_t w = y.data<int32_t>()[i];
    ASSERT_EQ(picked.data<int32_t>()[i], v < 0 ? w : static_cast<int32_t>(0u - static_cast<uint32_t>(w)));
  }
}

/// tanh(x + row) * column in the place of x, and a flag beside it, `split` elements at a time, which may go past the caches. `row` and
/// `column` lie along one axis each.
template <class T>
std::string dear_body(const Target& target, int64_t rows, int64_t n, int64_t split) {
  TestBuffer x(dtype_of<T>, rows * n), row(dtype_of<T>, n), column(dtype_of<T>, rows), flags(DType::boolean, rows * n);
  fill_random<T>(x, 3, true);
  fill_random<T>(row, 4);
  fill_random<T>(column, 5);
  TestKernel k(KernelKind::loop, rows == 1 ? std::vector<int64_t>{n} : std::vector<int64_t>{rows, n});
  const auto along = [&](int64_t of_row, int64_t of_element) {
    return rows == 1 ? std::vector<int64_t>{of_element} : std::vector<int64_t>{of_row, of_element};
  };
  k.target = target;
  k.streams = split == 5 ? 1 : 0;
  const int sum = k.compute(Op::add, dtype_of<T>, {k.load(k.access(x, along(n, 1))), k.load(k.access(row, along(0, 1)))});
  const int factor = k.load(k.access(column, along(1, 0)));
  const int result = k.compute(Op::mul, dtype_of<T>, {k.compute(Op::tanh, dtype_of<T>, {sum}), factor});
  k.store(k.access(flags, along(n, 1)), k.compute(Op::less, DType::boolean, {result, factor}));
  k.store(k.access(x, along(n, 1)), result);
  k.run(split);
  return x.bytes() + flags.bytes();
}

TEST(LoopKernel, RestsOfDearBodiesHaveTheBitsOfWholeVectors) {
  for (const Target& target : targets()) {
    for (int64_t rows : {1, 3}) {
      for (int64_t n : {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 70}) {
        // One by one, each element is a rest.
        EXPECT_EQ(dear_body<float>(target, rows, n, 0), dear_body<float>(target, rows, n, 1)) << target.cpu << " n=" << n;
        EXPECT_EQ(dear_body<float>(target, rows, n, 0), dear_body<float>(target, rows, n, 5)) << target.cpu << " n=" << n;
        EXPECT_EQ(dear_body<double>(target, rows, n, 0), dear_body<double>(target, rows, n, 1)) << target.cpu << " n=" << n;
      }
    }
  }
}

/// A dear op of n elements of x, in a kernel of its own.
void apply(const Target& target, Op op, TestBuffer& x, TestBuffer& y, int64_t n) {
  TestKernel k(KernelKind::loop, {n});
  k.store(k.access(y, {1}), k.compute(op, DType::f32, {k.load(k.access(x, {1}))}));
  k.target = target;
  k.run();
}

/// where(x < 0, tanh(exp(x)), log(tanh(exp(x)))) + exp(x): dear ops that follow from each other, values and a flag that
/// outlive them, and a result that takes the place of x.
TEST(LoopKernel, ChainsOfDearOpsGiveTheBitsOfSingleOps) {
  for (const Target& target : targets()) {
    for (int64_t n : {1, 7, 64, 255, 256, 257, 1000}) {
      for (int64_t step : {1, 2, 6}) {
        TestBuffer x(DType::f32, n), all(DType::f32, n * step), e(DType::f32, n), t(DType::f32, n), l(DType::f32, n);
        fill_random<float>(x, 9);
        for (int64_t i = 0; i < n; ++i) all.data<float>()[i * step] = x.data<float>()[i];
        apply(target, Op::exp, x, e, n);
        apply(target, Op::tanh, e, t, n);
        apply(target, Op::log, t, l, n);
        TestKernel k(KernelKind::loop, {n});
        const int in = k.load(k.access(all, {step}));
        const int below = k.compute(Op::less, DType::boolean, {in, k.param(0.0f)});
        const int exp = k.compute(Op::exp, DType::f32, {in});
        const int tanh = k.compute(Op::tanh, DType::f32, {exp});
        const int log = k.compute(Op::log, DType::f32, {tanh});
        const int chosen = k.compute(Op::where, DType::f32, {below, tanh, log});
        k.store(k.access(all, {step}), k.compute(Op::add, DType::f32, {chosen, exp}));
        k.target = target;
        k.run(300);
        for (int64_t i = 0; i < n; ++i) {
          const float expected = (x.data<float>()[i] < 0 ? t : l).data<float>()[i] + e.data<float>()[i];
          ASSERT_TRUE(same(all.data<float>()[i * step], expected)) << n << " step " << step << " at " << i;
        }
      }
    }
  }
}

/// Values at which casts go wrong: the ends of all ranges, halves between neighbours of the short floats, what only one
/// rounding gets right, and random bits.
template <class T>
std::vector<T> telling_values() {
  std::vector<T> values;
  auto add = [&](auto value) {
    for (auto v : {value, -value}) values.push_back(oracle::cast<T>(static_cast<long double>(v)));
  };
  for (int power : {-1074, -150, -149, -140, -134, -133, -126, -30, -26, -25, -24, -15, -14, -2, -1, 0, 1, 7, 8, 11, 15,
                    16, 23, 24, 31, 32, 52, 53, 62, 63, 64, 127, 128, 1023}) {
    const long double base = std::ldexp(1.0L, power);
    add(base);
    // The last bits of i64 and of the floats, and what lies just beside the halves between those of the 16-bit floats.
    for (int bit : {1, 7, 8, 9, 10, 11, 12, 23, 24, 25, 52, 53, 62, 63}) {
      const long double part = std::ldexp(base, -bit);
      for (int tail : {24, 40, 52, 61, 63}) {
        add(base + part);
        add(base + part + std::ldexp(base, -tail));
        add(base + part - std::ldexp(base, -tail));
        add(base + 3 * part);
      }
    }
  }
  if constexpr (is_floating(dtype_of<T>)) {
    using Limits = std::numeric_limits<T>;
    for (T v : {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), Limits::max(), Limits::denorm_min()}) {
      values.push_back(v);
    }
  }
  std::mt19937_64 random(7);
  for (int i = 0; i < 500; ++i) {
    const uint64_t bits = random() >> random() % 64;
    values.push_back(std::is_same_v<T, bool> ? from_bits<T>(bits & 1) : from_bits<T>(bits));
  }
  return values;
}

void expect_casts_as_the_oracle(const Target& target) {
  for (int from = 0; from < kNumDTypes; ++from) {
    dispatch(DType(from), [&]<class T>() {
      const std::vector<T> values = telling_values<T>();
      const auto n = static_cast<int64_t>(values.size());
      TestBuffer in(DType(from), n);
      std::copy(values.begin(), values.end(), in.data<T>());
      for (int to = 0; to < kNumDTypes; ++to) {
        dispatch(DType(to), [&]<class U>() {
          TestBuffer out(DType(to), n);
          TestKernel k(KernelKind::loop, {n});
          int x = k.load(k.access(in, {1}));
          k.store(k.access(out, {1}), k.compute(Op::cast, DType(to), {x}));
          k.target = target;
          k.run();
          for (int64_t i = 0; i < n; ++i) {
            const U got = out.data<U>()[i], want = oracle::cast<U>(values[i]);
            if (got != got && want != want) continue;
            ASSERT_EQ(to_bits(got), to_bits(want)) << name(DType(from)) << " " << std::hex << to_bits(values[i]) << " to "
                                                   << name(DType(to));
          }
        });
      }
    });
  }
}

TEST(LoopKernel, CastsBetweenAllDtypesAsTheOracleOnEveryTarget) {
  for (const std::string& name : target_names()) {
    const Target& target = *find_target(name);
    if (!missing_features(target).empty()) continue;
    SCOPED_TRACE(name);
    expect_casts_as_the_oracle(target);
  }
}

TEST(LoopKernel, CastsCallNoFunction) {
  for (const std::string& name : target_names()) {
    for (int from = 0; from < kNumDTypes; ++from) {
      for (int to = 0; to < kNumDTypes; ++to) {
        TestBuffer in(DType(from), 64), out(DType(to), 64);
        TestKernel k(KernelKind::loop, {64});
        k.store(k.access(out, {1}), k.compute(Op::cast, DType(to), {k.load(k.access(in, {1}))}));
        const auto text = print_code(k.program, {.target = *find_target(name)}, CodeStage::assembly, "kernel");
        ASSERT_TRUE(text.ok()) << text.status();
        EXPECT_EQ(text->find("\tcall"), text->npos)
            << name << ": " << etch::name(DType(from)) << " to " << etch::name(DType(to)) << "\n" << *text;
      }
    }
  }
}

TEST(LoopKernel, NoIterationsTouchNoMemory) {
  TestKernel k(KernelKind::loop, {4, 0});
  TestBuffer in(DType::f32, 0), out(DType::f32, 0);
  k.store(k.access(out, {0, 1}), k.load(k.access(in, {0, 0})));
  k.run();
  const KernelProgram* programs[] = {&k.program};
  auto kernels = compile_kernels(programs, {}, nullptr);
  ASSERT_TRUE(kernels.ok());
  void* nothing[] = {nullptr, nullptr};
  (*kernels)[0]->fn()(nothing, k.sizes().data(), 0, 0, nullptr);
}

TEST(LoopKernel, LoopsOfTwelveAxesArePrinted) {
  std::vector<int64_t> extents(12, 2), strides(12, 4);
  TestBuffer in(DType::f32, 64), out(DType::f32, 64);
  TestKernel k(KernelKind::loop, extents);
  int from = k.access(in, strides), to = k.access(out, strides);
  k.store(to, k.load(from));
  absl::StatusOr<std::string> text = print_code(k.program, {}, CodeStage::loops, "deep");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_NE(text->find("for i10 in 0..n10:\n"), text->npos) << *text;
  EXPECT_NE(text->find("for i11 in 0..n11:  # vectors\n"), text->npos) << *text;
  EXPECT_NE(text->find("v0 = b0[.. + 4*i11]"), text->npos) << *text;
}

TEST(LoopKernel, TransposesBlocksOfAnySize) {
  for (auto [rows, columns] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {3, 200}, {65, 33}, {128, 128}, {257, 130}}) {
    for (int64_t split : {int64_t{0}, int64_t{64}}) {
      TestBuffer in(DType::f32, rows * columns), out(DType::f32, rows * columns);
      fill_random<float>(in, 8);
      TestKernel k(KernelKind::loop, {columns, rows});
      int x = k.load(k.access(in, {1, columns}));
      k.store(k.access(out, {rows, 1}), x);
      k.run(split);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          ASSERT_EQ(out.data<float>()[c * rows + r], in.data<float>()[r * columns + c]) << rows << "x" << columns;
        }
      }
    }
  }
}

}  // namespace
}  // namespace etch
