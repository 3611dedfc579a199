// Illegal uses of the public ops: each is an etch::Error that names the op, eagerly and while tracing.
#include <gtest/gtest.h>

#include <cctype>
#include <functional>
#include <string>
#include <string_view>

#include "etch/function.h"
#include "etch/ops.h"

namespace etch {
namespace {

using enum DType;

struct Misuse {
  const char* op;  // as the error text must name it
  const char* what;
  void (*run)(const Tensor& v, const Tensor& m);  // v: f32[3], m: f32[2,3]
};

Tensor ints() { return Tensor({1, 2, 3}); }
Tensor bools() { return Tensor({true, false, true}); }
Tensor rank_8() { return ones({1, 1, 1, 1, 1, 1, 1, 2}); }

#define MISUSE(op, what, ...) \
  {#op, what, []([[maybe_unused]] const Tensor& v, [[maybe_unused]] const Tensor& m) { (void)(__VA_ARGS__); }}

constexpr Misuse kMisuses[] = {
    MISUSE(add, "of shapes that do not broadcast", m + ones({2})),
    MISUSE(sub, "of two dtypes", v - ints()),
    MISUSE(mul, "of bool", bools() * bools()),
    MISUSE(div, "of integers", ints() / ints()),
    MISUSE(floor_div, "of bool", floor_div(bools(), bools())),
    MISUSE(floor_mod, "of two dtypes", v % ints()),
    MISUSE(neg, "of bool", -bools()),
    MISUSE(maximum, "of bool", maximum(bools(), bools())),
    MISUSE(minimum, "of shapes that do not broadcast", minimum(v, ones({2}))),
    MISUSE(clip, "with bounds of another dtype", clip(v, ints(), 2)),
    MISUSE(sqrt, "of integers", sqrt(ints())),
    MISUSE(pow, "of two dtypes", pow(v, ints())),
    MISUSE(nextafter, "of integers", nextafter(ints(), ints())),
    MISUSE(square, "of bool", square(bools())),
    MISUSE(squared_difference, "of bool", squared_difference(bools(), bools())),
    MISUSE(reciprocal, "of integers", reciprocal(ints())),
    MISUSE(divide_no_nan, "of integers", divide_no_nan(ints(), ints())),
    MISUSE(multiply_no_nan, "of integers", multiply_no_nan(ints(), ints())),
    MISUSE(xlogy, "of integers", xlogy(ints(), ints())),
    MISUSE(xlog1py, "of integers", xlog1py(ints(), ints())),
    MISUSE(xdivy, "of integers", xdivy(ints(), ints())),
    MISUSE(exp, "of integers", exp(ints())),
    MISUSE(sigmoid, "of bool", sigmoid(bools())),
    MISUSE(digamma, "of integers", digamma(ints())),
    MISUSE(round, "of integers", round(ints())),
    MISUSE(equal, "of two dtypes", v == ints()),
    MISUSE(less, "of bool", bools() < bools()),
    MISUSE(is_nan, "of integers", is_nan(ints())),
    MISUSE(where, "with a condition of floats", where(v, v, v)),
    MISUSE(where, "of two dtypes", where(bools(), v, ints())),
    MISUSE(logical_and, "of floats", logical_and(v, v)),
    MISUSE(bitwise_or, "of floats", v | v),
    MISUSE(shift_left, "of floats", v << v),
    MISUSE(shift_right_logical, "of bool", shift_right_logical(bools(), bools())),
    MISUSE(popcount, "of floats", popcount(v)),
    MISUSE(bitcast, "to another size", bitcast(v, f64)),
    MISUSE(bitcast, "to bool", bitcast(ints(), boolean)),
    MISUSE(sum, "over an axis out of range", sum(m, 2)),
    MISUSE(sum, "over a negative axis out of range", sum(m, {0, -3})),
    MISUSE(sum, "of bool", sum(bools())),
    MISUSE(prod, "over an axis twice", prod(m, {1, -1})),
    MISUSE(max, "over an axis of a scalar", max(v[0], 0)),
    MISUSE(min, "of bool", min(bools())),
    MISUSE(any, "of floats", any(v)),
    MISUSE(all, "over an axis out of range", all(bools(), 1)),
    MISUSE(mean, "of bool", mean(bools())),
    MISUSE(mean, "over an axis out of range", mean(m, -3)),
    MISUSE(variance, "of integers", variance(ints())),
    MISUSE(stddev, "of integers", stddev(ints())),
    MISUSE(logsumexp, "of integers", logsumexp(ints())),
    MISUSE(logsumexp, "over an axis out of range", logsumexp(m, 5)),
    MISUSE(argmax, "of nothing", argmax(zeros({2, 0}), 1)),
    MISUSE(argmin, "over an axis out of range", argmin(m, 2)),
    MISUSE(matmul, "with inner extents that differ", matmul(m, m)),
    MISUSE(matmul, "of a scalar", matmul(v[0], v)),
    MISUSE(matmul, "with batches that do not broadcast", matmul(ones({2, 3, 3}), ones({3, 3, 3}))),
    MISUSE(matmul, "of two dtypes", matmul(m, ints())),
    MISUSE(matmul, "with a transposed vector", matmul(v, m, {.transpose_a = true})),
    MISUSE(reshape, "to another number of elements", reshape(m, {4})),
    MISUSE(reshape, "with two extents left open", reshape(m, {-1, -1})),
    MISUSE(reshape, "with an open extent that fits nothing", reshape(m, {4, -1})),
    MISUSE(reshape, "with an open extent beside 0", reshape(zeros({0, 2}), {0, -1})),
    MISUSE(reshape, "to a negative extent", reshape(m, {-2, -3})),
    MISUSE(transpose, "with too few axes", transpose(m, {0})),
    MISUSE(transpose, "with an axis twice", transpose(m, {1, 1})),
    MISUSE(transpose, "with an axis out of range", transpose(m, {0, 2})),
    MISUSE(transpose, "with a negative axis out of range", transpose(m, {0, -3})),
    MISUSE(broadcast_to, "to a smaller rank", broadcast_to(m, {3})),
    MISUSE(broadcast_to, "of an extent that does not repeat", broadcast_to(v, {6})),
    MISUSE(broadcast_to, "to a negative extent", broadcast_to(v[0], {-1})),
    MISUSE(expand_dims, "with an axis out of range", expand_dims(m, 4)),
    MISUSE(expand_dims, "of rank 8", expand_dims(rank_8(), 0)),
    MISUSE(squeeze, "of an extent that is not 1", squeeze(m, 0)),
    MISUSE(squeeze, "with an axis out of range", squeeze(m, -3)),
    MISUSE(slice, "with step 0", slice(v, {{0, 3, 0}})),
    MISUSE(slice, "with more slices than axes", slice(v, {0, 0})),
    MISUSE(index, "out of range", slice(v, {3})),
    MISUSE(index, "out of range below 0", v[-4]),
    MISUSE(concat, "of nothing", concat({}, 0)),
    MISUSE(concat, "of two ranks", concat({v, m}, 0)),
    MISUSE(concat, "of extents that differ", concat({m, ones({2, 2})}, 0)),
    MISUSE(concat, "of two dtypes", concat({v, ints()}, 0)),
    MISUSE(concat, "along an axis out of range", concat({m, m}, 2)),
    MISUSE(concat, "of scalars", concat({v[0], v[1]}, 0)),
    MISUSE(stack, "of nothing", stack({})),
    MISUSE(stack, "of two shapes", stack({v, ones({2})})),
    MISUSE(stack, "along an axis out of range", stack({v, v}, 3)),
    MISUSE(stack, "of rank 8", stack({rank_8(), rank_8()})),
    MISUSE(split, "into parts that are not equal", split(v, 2)),
    MISUSE(split, "into no parts", split(v, 0)),
    MISUSE(split, "into sizes that do not add up", split(v, {1, 1})),
    MISUSE(split, "into negative sizes", split(v, {4, -1})),
    MISUSE(split, "along an axis out of range", split(v, 1, 1)),
    MISUSE(pad, "with too few pairs", pad(m, {{1, 1}})),
    MISUSE(pad, "by a negative number", pad(v, {{-1, 0}})),
    MISUSE(pad, "with a value of rank 1", pad(v, {{1, 0}}, v)),
    MISUSE(pad, "with a value of another dtype", pad(v, {{1, 0}}, ints()[0])),
    MISUSE(pad, "beyond what memory can be", pad(v, {{0, int64_t{1} << 62}})),
    MISUSE(full, "of a number out of range", full({2}, 300, u8)),
    MISUSE(full, "of a fraction as an integer", full({2}, 0.5, i32)),
    MISUSE(full, "of a number beyond f32", full_like(v, 1e300)),
    MISUSE(gather, "with indices of floats", gather(m, v)),
    MISUSE(gather, "of a scalar", gather(v[0], ints())),
    MISUSE(gather, "along an axis out of range", gather(m, ints(), 2)),
    MISUSE(gather, "of nothing", gather(zeros({0, 2}), ints())),
    MISUSE(gather, "to rank 9", gather(rank_8(), ones({1, 1}, i32))),
    MISUSE(scatter_add, "with indices of floats", scatter_add(m, v, m)),
    MISUSE(scatter_add, "with updates of another shape", scatter_add(m, ints(), v)),
    MISUSE(scatter_add, "with updates of another row", scatter_add(m, Tensor({0, 1}), ones({2, 2}))),
    MISUSE(scatter_add, "with updates of another dtype", scatter_add(m, Tensor({0, 1}), ones({2, 3}, i32))),
    MISUSE(scatter_add, "to a scalar", scatter_add(v[0], ints(), v)),
    MISUSE(scatter_add, "of bool", scatter_add(bools(), ints(), bools())),
    MISUSE(one_hot, "of floats", one_hot(v, 3)),
    MISUSE(one_hot, "of a negative depth", one_hot(ints(), -1)),
    MISUSE(one_hot, "along an axis out of range", one_hot(ints(), 3, f32, 2)),
    MISUSE(dynamic_slice, "at an index of floats", dynamic_slice(m, v[0], 1)),
    MISUSE(dynamic_slice, "at several indices", dynamic_slice(m, ints(), 1)),
    MISUSE(dynamic_slice, "of more than there is", dynamic_slice(m, 0, 99)),
    MISUSE(dynamic_slice, "of a negative number", dynamic_slice(m, 0, -1)),
    MISUSE(dynamic_slice, "of a scalar", dynamic_slice(v[0], 0, 1)),
    MISUSE(dynamic_slice, "along an axis out of range", dynamic_slice(m, 0, 1, 2)),
    MISUSE(update_slice, "of another row", update_slice(m, ones({1, 99}), 0)),
    MISUSE(update_slice, "of another dtype", update_slice(m, ones({1, 3}, i32), 0)),
    MISUSE(update_slice, "of another rank", update_slice(m, v, 0)),
    MISUSE(update_slice, "at several indices", update_slice(m, m, ints())),
    MISUSE(update_slice, "of a scalar", update_slice(v[0], v, 0)),
    MISUSE(cumsum, "of bool", cumsum(bools())),
    MISUSE(cumsum, "of a scalar", cumsum(v[0])),
    MISUSE(cumsum, "along an axis out of range", cumsum(m, 2)),
    MISUSE(sort, "of bool", sort(bools())),
    MISUSE(sort, "of a scalar", sort(v[0])),
    MISUSE(argsort, "along an axis out of range", argsort(m, 2)),
    MISUSE(einsum, "of too few operands", einsum("ij,jk->ik", m)),
    MISUSE(einsum, "with too few letters", einsum("i->i", m)),
    MISUSE(einsum, "with too few axes for an ellipsis", einsum("...ijk->i", m)),
    MISUSE(einsum, "of extents that differ", einsum("ij,jk->ik", m, m)),
    MISUSE(einsum, "of two extents on a diagonal", einsum("ii->i", m)),
    MISUSE(einsum, "with an unknown letter in the result", einsum("ij->ik", m)),
    MISUSE(einsum, "with a letter twice in the result", einsum("ij->ii", m)),
    MISUSE(einsum, "with what is no letter", einsum("i1->i", m)),
    MISUSE(einsum, "with two ellipses", einsum("......->", m)),
    MISUSE(einsum, "of two dtypes", einsum("i,i->i", v, ints())),
    MISUSE(einsum, "of bool", einsum("i->", bools())),
    MISUSE(tensordot, "over more axes than there are", tensordot(m, v, 2)),
    MISUSE(tensordot, "of extents that differ", tensordot(m, m, 1)),
    MISUSE(tensordot, "over lists of two lengths", tensordot(m, m, {0, 1}, {0})),
    MISUSE(tensordot, "over an axis twice", tensordot(m, m, {0, 0}, {0, 1})),
    MISUSE(tensordot, "over an axis out of range", tensordot(m, m, 2, 0)),
    MISUSE(scaled_dot_product_attention, "of integers", scaled_dot_product_attention(ints(), m, m)),
    MISUSE(scaled_dot_product_attention, "of vectors", scaled_dot_product_attention(v, m, m)),
    MISUSE(scaled_dot_product_attention, "with a mask of floats", scaled_dot_product_attention(m, m, m, {.mask = ones({2, 2})})),
    MISUSE(scaled_dot_product_attention, "of widths that differ", scaled_dot_product_attention(m, ones({2, 2}), m)),
    MISUSE(window, "that does not fit", window(m, 4, 0)),
    MISUSE(window, "with a size for no axis", window(m, 1)),
    MISUSE(window, "along an axis twice", window(m, {1, 1}, {0, -2})),
    MISUSE(flip, "along an axis out of range", flip(v, 1)),
    MISUSE(flip, "along an axis twice", flip(m, {0, 0})),
    MISUSE(roll, "along an axis out of range", roll(v, 1, -2)),
    MISUSE(iota, "along an axis out of range", iota({2, 3}, 2)),
    MISUSE(iota, "of bool", iota({2}, 0, boolean)),
    MISUSE(range, "of a negative number", range(-1)),
    MISUSE(range, "with step 0", range(0, 3, 0)),
    MISUSE(range, "of too many numbers", range(0.0, 1e30, 1.0)),
    MISUSE(linspace, "of a negative number", linspace(0, 1, -1)),
    MISUSE(linspace, "of integers", linspace(0, 1, 3, i32)),
    MISUSE(eye, "of negative size", eye(-2)),
    MISUSE(zeros, "of a negative extent", zeros({2, -1})),
    MISUSE(ones, "beyond what memory can be", ones({int64_t{1} << 50})),
    MISUSE(full, "of a negative extent", full(-3, 1.5f)),
    MISUSE(eye, "of a negative number of columns", eye(3, -5)),
    MISUSE(linspace, "beyond f32", linspace(0, 1e300, 3)),
    MISUSE(integer, "that is not exact beside f32", v + 16777217),
    MISUSE(full, "of an integer that is not exact", full({2}, 16777217, f32)),
    MISUSE(clip, "without bounds", clip(v, {})),
    MISUSE(clip, "of bool", clip(bools(), {.low = 0})),
    MISUSE(is_close, "with a negative tolerance", is_close(v, v, {.atol = -1})),
    MISUSE(is_close, "of integers", is_close(ints(), ints())),
    MISUSE(allclose, "of two dtypes", allclose(v, ones({3}, f64))),
    MISUSE(allclose, "of shapes that do not broadcast", allclose(v, ones({2}))),
    MISUSE(array_equal, "of two dtypes", array_equal(v, ints())),
    MISUSE(norm, "of integers", norm(ints())),
    MISUSE(norm, "of order 0", norm(v, {}, false, 0)),
    MISUSE(norm, "over an axis out of range", norm(v, 1)),
    MISUSE(swapaxes, "with an axis out of range", swapaxes(m, 0, 2)),
    MISUSE(tile, "a negative number of times", tile(v, {-1})),
    MISUSE(tile, "beyond what memory can be", tile(v, int64_t{1} << 62)),
    MISUSE(repeat, "a negative number of times", repeat(v, -1, 0)),
    MISUSE(repeat, "along an axis out of range", repeat(v, 1, 1)),
    MISUSE(tril, "of a vector", tril(v)),
    MISUSE(triu, "of a vector", triu(v)),
    MISUSE(diag, "of a scalar", diag(v[0])),
    MISUSE(diag, "beyond what memory can be", diag(v, int64_t{1} << 62)),
    MISUSE(pad, "of nothing by its edge", pad(zeros({0}), {{1, 1}}, PadMode::edge)),
    MISUSE(pad, "by a negative number of reflections", pad(v, {{-1, 0}}, PadMode::reflect)),
    MISUSE(pad, "with too few pairs by a mode", pad(m, {{1, 1}}, PadMode::wrap)),
    MISUSE(slice, "with two ellipses", v[{ellipsis, ellipsis}]),
    MISUSE(layer_norm, "with a negative epsilon", layer_norm(v, -1, -0.1)),
    MISUSE(relu, "of bool", relu(bools())),
    MISUSE(leaky_relu, "of integers", leaky_relu(ints())),
    MISUSE(elu, "of integers", elu(ints())),
    MISUSE(selu, "of integers", selu(ints())),
    MISUSE(gelu, "of integers", gelu(ints())),
    MISUSE(silu, "of integers", silu(ints())),
    MISUSE(swish, "of integers", swish(ints(), 2)),
    MISUSE(hard_sigmoid, "of integers", hard_sigmoid(ints())),
    MISUSE(softsign, "of integers", softsign(ints())),
    MISUSE(softmax, "of integers", softmax(ints())),
    MISUSE(softmax, "over an axis out of range", softmax(v, 1)),
    MISUSE(log_softmax, "of a scalar", log_softmax(v[0])),
    MISUSE(layer_norm, "of integers", layer_norm(ints())),
    MISUSE(layer_norm, "with a gamma that does not broadcast", layer_norm(m, ones({2}), v)),
    MISUSE(layer_norm, "over an axis twice", layer_norm(m, {0, 0})),
};
#undef MISUSE

void expect_error(const Misuse& misuse, const std::function<void()>& run) {
  try {
    run();
    ADD_FAILURE() << misuse.op << " " << misuse.what << " is no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string_view(error.what()).find(misuse.op), std::string_view::npos) << error.what();
    EXPECT_NE(std::string_view(error.what()).find("op_errors_test.cc:"), std::string_view::npos) << error.what();
  }
}

class OpErrors : public testing::TestWithParam<Misuse> {
 protected:
  const Tensor v_{1.f, 2.f, 3.f};
  const Tensor m_{{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}};
};

TEST_P(OpErrors, NameTheOpEagerly) {
  expect_error(GetParam(), [&] { GetParam().run(v_, m_); });
}

TEST_P(OpErrors, NameTheOpInATrace) {
  const auto traced = function([&](const Tensor& v, const Tensor& m) { GetParam().run(v, m); });
  expect_error(GetParam(), [&] { traced(v_, m_); });
}

TEST_P(OpErrors, LeaveTheFunctionUsable) {
  bool misuse = true;
  const auto traced = function([&](const Tensor& v, const Tensor& m) {
    if (misuse) GetParam().run(v, m);
    return v + 1;
  });
  EXPECT_THROW(traced(v_, m_), Error);
  misuse = false;
  EXPECT_EQ(traced(v_, m_).to_vector<float>(), (std::vector<float>{2, 3, 4}));
}

std::string test_name(const testing::TestParamInfo<Misuse>& info) {
  std::string text = std::string(info.param.op) + "_" + info.param.what;
  for (char& c : text) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return text;
}

INSTANTIATE_TEST_SUITE_P(Ops, OpErrors, testing::ValuesIn(kMisuses), test_name);

}  // namespace
}  // namespace etch
