// Composite and structural ops against NumPy (ops.txt, made by make_ops.py), eager and traced, which give the same
// bits.
#include "etch/ops.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "etch/function.h"

namespace etch {
namespace {

struct Inputs {
  Tensor x = Tensor({{0.5, -1.25, 2.0, 0.0}, {3.5, -0.75, 1.0, -4.0}, {1e-3, 6.5, -2.5, 7.0}});
  Tensor y = Tensor({{2.0}, {0.0}, {-1.5}});
  Tensor v = Tensor({1.0, -2.0, 0.5, 3.0});
  Tensor i = reshape(range(24, DType::i64), {2, 3, 4});
};

using Op = std::function<Tensor(const Inputs&)>;

const std::map<std::string, Op> kOps = {
    {"mean", [](const Inputs& in) { return mean(in.x); }},
    {"mean_0", [](const Inputs& in) { return mean(in.x, 0); }},
    {"mean_keep", [](const Inputs& in) { return mean(in.x, -1, true); }},
    {"variance", [](const Inputs& in) { return variance(in.x, 1); }},
    {"variance_ddof", [](const Inputs& in) { return variance(in.x, 0, false, 1); }},
    {"stddev", [](const Inputs& in) { return stddev(in.x); }},
    {"logsumexp", [](const Inputs& in) { return logsumexp(in.x, 1); }},
    {"logsumexp_all", [](const Inputs& in) { return logsumexp(in.x); }},
    {"logsumexp_inf", [](const Inputs&) { return logsumexp(Tensor({{-INFINITY, -INFINITY}, {INFINITY, 1.f}}), 1); }},
    {"sum_axes", [](const Inputs& in) { return sum(in.i, {0, -1}); }},
    {"prod", [](const Inputs& in) { return prod(in.x, 0); }},
    {"max_keep", [](const Inputs& in) { return max(in.x, 1, true); }},
    {"min", [](const Inputs& in) { return min(in.x); }},
    {"argmax", [](const Inputs& in) { return argmax(in.x, 1); }},
    {"argmin_0", [](const Inputs& in) { return argmin(in.x, 0); }},
    {"softmax", [](const Inputs& in) { return softmax(in.x); }},
    {"softmax_0", [](const Inputs& in) { return softmax(in.x, 0); }},
    {"log_softmax", [](const Inputs& in) { return log_softmax(in.x); }},
    {"layer_norm", [](const Inputs& in) { return layer_norm(in.x); }},
    {"layer_norm_affine", [](const Inputs& in) { return layer_norm(in.x, in.v, in.v); }},
    {"relu", [](const Inputs& in) { return relu(in.x); }},
    {"relu6", [](const Inputs& in) { return relu6(in.x); }},
    {"leaky_relu", [](const Inputs& in) { return leaky_relu(in.x); }},
    {"elu", [](const Inputs& in) { return elu(in.x); }},
    {"selu", [](const Inputs& in) { return selu(in.x); }},
    {"gelu", [](const Inputs& in) { return gelu(in.x); }},
    {"gelu_tanh", [](const Inputs& in) { return gelu(in.x, Gelu::tanh); }},
    {"silu", [](const Inputs& in) { return silu(in.x); }},
    {"swish", [](const Inputs& in) { return swish(in.x, 2); }},
    {"hard_sigmoid", [](const Inputs& in) { return hard_sigmoid(in.x); }},
    {"softsign", [](const Inputs& in) { return softsign(in.x); }},
    {"square", [](const Inputs& in) { return square(in.x); }},
    {"squared_difference", [](const Inputs& in) { return squared_difference(in.x, in.v); }},
    {"reciprocal", [](const Inputs& in) { return reciprocal(in.y); }},
    {"clip", [](const Inputs& in) { return clip(in.x, -1, 2); }},
    {"divide_no_nan", [](const Inputs& in) { return divide_no_nan(in.x, in.y); }},
    {"multiply_no_nan", [](const Inputs& in) { return multiply_no_nan(in.x, in.y); }},
    {"xlogy", [](const Inputs& in) { return xlogy(in.y, abs(in.x)); }},
    {"xlog1py", [](const Inputs& in) { return xlog1py(in.y, abs(in.x)); }},
    {"xdivy", [](const Inputs& in) { return xdivy(in.y, in.x); }},
    {"matmul", [](const Inputs& in) { return matmul(in.x, in.x, {.transpose_b = true}); }},
    {"matmul_vector", [](const Inputs& in) { return matmul(in.x, in.v); }},
    {"vector_matmul", [](const Inputs& in) { return matmul(Tensor({1.0, 2.0, 3.0}), in.x); }},
    {"dot", [](const Inputs& in) { return matmul(in.v, in.v); }},
    {"matmul_batch", [](const Inputs& in) { return matmul(in.i, reshape(range(8, DType::i64), {1, 4, 2})); }},
    {"matmul_transposed", [](const Inputs& in) { return matmul(in.x, in.x, {.transpose_a = true}); }},
    {"transpose", [](const Inputs& in) { return transpose(in.i, {2, 0, 1}); }},
    {"transpose_all", [](const Inputs& in) { return transpose(in.i); }},
    {"expand", [](const Inputs& in) { return expand_dims(in.x, 1); }},
    {"squeeze", [](const Inputs& in) { return squeeze(in.y, -1); }},
    {"slice", [](const Inputs& in) { return in.i.slice({{}, {kOpen, kOpen, -2}, {1, 3}}); }},
    {"index", [](const Inputs& in) { return in.i.slice({1, {}, -1}); }},
    {"concat", [](const Inputs& in) { return concat({in.x, in.x.slice({{0, 1}})}, 0); }},
    {"stack", [](const Inputs& in) { return stack({in.v, 2 * in.v}, 1); }},
    {"split", [](const Inputs& in) { return split(in.i, 3, 1)[1]; }},
    {"split_sizes", [](const Inputs& in) { return split(in.i, {1, 3}, -1)[1]; }},
    {"pad", [](const Inputs& in) { return pad(in.x, {{1, 0}, {0, 2}}, 9); }},
    {"flip", [](const Inputs& in) { return flip(in.i); }},
    {"flip_1", [](const Inputs& in) { return flip(in.i, 1); }},
    {"roll", [](const Inputs& in) { return roll(in.i, 1, 1); }},
    {"roll_back", [](const Inputs& in) { return roll(in.x, -5, -1); }},
    {"broadcast", [](const Inputs& in) { return broadcast_to(in.y, {2, 3, 4}); }},
    {"where", [](const Inputs& in) { return where(in.x > 0, in.x, in.y); }},
    {"range", [](const Inputs&) { return range(2.0, 5.0, 0.75); }},
    {"range_back", [](const Inputs&) { return range(5, 0, -2); }},
    {"linspace", [](const Inputs&) { return linspace(-1, 2, 7, DType::f64); }},
    {"eye", [](const Inputs&) { return eye(3, 4); }},
    {"iota", [](const Inputs&) { return iota({3, 2}, 0); }},
    {"mod", [](const Inputs& in) { return in.x % in.v; }},
    {"floor_div", [](const Inputs& in) { return floor_div(in.x, in.v); }},
    {"cast", [](const Inputs& in) { return cast(in.x, DType::i32); }},
};

struct Expected {
  Shape shape;
  std::vector<double> values;
};

std::map<std::string, Expected> read_expected() {
  std::ifstream file(ETCH_SOURCE_DIR "/tests/frontend/ops.txt");
  std::map<std::string, Expected> cases;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    Expected& expected = cases[word];
    while (words >> word && word != ":") expected.shape.push_back(std::stoll(word));
    while (words >> word) expected.values.push_back(std::stod(word));
  }
  return cases;
}

std::vector<double> doubles_of(const Tensor& x) { return cast(x, DType::f64).to_vector<double>(); }

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                 const std::string& name) {
  ASSERT_EQ(got.size(), want.size()) << name;
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(want[i]) || std::isinf(want[i])) {
      const bool both_nan = std::isnan(got[i]) && std::isnan(want[i]);
      EXPECT_TRUE(got[i] == want[i] || both_nan) << name << "[" << i << "] " << got[i];
    } else {
      EXPECT_NEAR(got[i], want[i], tolerance * std::max(1.0, std::fabs(want[i]))) << name << "[" << i << "]";
    }
  }
}

TEST(Ops, EagerEqualsNumPy) {
  const Inputs inputs;
  const auto expected = read_expected();
  ASSERT_EQ(expected.size(), kOps.size());
  for (const auto& [name, op] : kOps) {
    const Tensor result = op(inputs);
    EXPECT_EQ(to_string(result.shape()), to_string(expected.at(name).shape)) << name;
    expect_near(doubles_of(result), expected.at(name).values, result.dtype() == DType::f32 ? 1e-6 : 1e-14, name);
  }
}

TEST(Ops, TracedHasTheSameBitsAsEager) {
  const Inputs inputs;
  for (const auto& [name, op] : kOps) {
    const Tensor eager = op(inputs);
    const Tensor traced = function<Tensor(Inputs)>(op, {.name = name})(inputs);
    ASSERT_EQ(to_string(traced.shape()), to_string(eager.shape())) << name;
    ASSERT_EQ(traced.dtype(), eager.dtype()) << name;
    dispatch(eager.dtype(), [&]<class T> {
      EXPECT_EQ(std::memcmp(traced.data<T>().data(), eager.data<T>().data(), eager.size() * sizeof(T)), 0)
          << name << "\n" << to_string(traced) << "\n" << to_string(eager);
    });
  }
}

TEST(Ops, NumbersTakeTheTensorsDType) {
  EXPECT_EQ((Tensor({1, 2}) * 2).dtype(), DType::i32);
  EXPECT_EQ((2.0 * Tensor({1, 2})).dtype(), DType::i32);
  EXPECT_EQ((Tensor({1.f, 2.f}) + 1.0).dtype(), DType::f32);
  EXPECT_EQ((1 - Tensor(uint8_t{1})).dtype(), DType::u8);
  EXPECT_EQ((Tensor(1.5f) * true).item<float>(), 1.5f);
}

TEST(Ops, OperatorsOfBoolAndBits) {
  const Tensor a({true, true, false, false});
  const Tensor b({true, false, true, false});
  using Bools = std::vector<bool>;
  EXPECT_EQ((a & b).to_vector<bool>(), (Bools{true, false, false, false}));
  EXPECT_EQ((a | b).to_vector<bool>(), (Bools{true, true, true, false}));
  EXPECT_EQ((a ^ b).to_vector<bool>(), (Bools{false, true, true, false}));
  EXPECT_EQ((!a).to_vector<bool>(), (Bools{false, false, true, true}));
  EXPECT_EQ((~a).to_vector<bool>(), (Bools{false, false, true, true}));
  EXPECT_EQ((Tensor({6, 5}) & 3).to_vector<int32_t>(), (std::vector<int32_t>{2, 1}));
  EXPECT_EQ((Tensor({6, 5}) << 1 >> 2).to_vector<int32_t>(), (std::vector<int32_t>{3, 2}));
  EXPECT_EQ((~Tensor({0, 5})).to_vector<int32_t>(), (std::vector<int32_t>{-1, -6}));
}

TEST(Ops, AndAndOrOfTruthValuesAreThoseOfCpp) {
  const Tensor yes(true), no(0.f);
  bool flag = true, evaluated = false;
  const auto evaluate = [&] {
    evaluated = true;
    return yes;
  };
  static_assert(std::is_same_v<decltype(yes && no), bool>);
  EXPECT_TRUE(flag && yes);
  EXPECT_FALSE(flag && Tensor(1.f) > 2.f);
  EXPECT_TRUE(no || yes);
  EXPECT_FALSE(no && evaluate());
  EXPECT_TRUE(yes || evaluate());
  EXPECT_FALSE(evaluated) << "the right side is not evaluated";
  EXPECT_THROW((void)(Tensor({true, false}) && yes), Error);
}

TEST(Ops, AssignmentsMakeANewTensorForTheirHandle) {
  using Ints = std::vector<int32_t>;
  Tensor x({6, 5});
  const Tensor old = x;
  EXPECT_EQ((x += 1).to_vector<int32_t>(), (Ints{7, 6}));
  EXPECT_EQ((x -= 2).to_vector<int32_t>(), (Ints{5, 4}));
  EXPECT_EQ((x *= Tensor({3, 4})).to_vector<int32_t>(), (Ints{15, 16}));
  EXPECT_EQ((x %= 9).to_vector<int32_t>(), (Ints{6, 7}));
  EXPECT_EQ((x &= 5).to_vector<int32_t>(), (Ints{4, 5}));
  EXPECT_EQ((x |= 2).to_vector<int32_t>(), (Ints{6, 7}));
  EXPECT_EQ((x ^= 1).to_vector<int32_t>(), (Ints{7, 6}));
  EXPECT_EQ((x <<= 2).to_vector<int32_t>(), (Ints{28, 24}));
  EXPECT_EQ((x >>= 3).to_vector<int32_t>(), (Ints{3, 3}));
  EXPECT_EQ(old.to_vector<int32_t>(), (Ints{6, 5}));
  Tensor y(3.f), flags({true, false});
  EXPECT_EQ((y /= 2).item<float>(), 1.5f);
  EXPECT_EQ((flags &= true).to_vector<bool>(), (std::vector<bool>{true, false}));
}

TEST(Ops, MeansOfMoreElementsThanF32Counts) {
  EXPECT_EQ(mean(ones({(1 << 24) + 1, 1}), 0).item<float>(), 1.f);
}

TEST(Ops, IntegerMeansTruncateAndDoNotOverflow) {
  EXPECT_EQ(mean(Tensor({-3, -4})).item<int32_t>(), -3);
  EXPECT_EQ(mean(full({1000}, 255, DType::u8)).item<uint8_t>(), 255);
  EXPECT_EQ(mean(full({1}, uint64_t{1} << 63, DType::u64)).item<uint64_t>(), uint64_t{1} << 63);
}

TEST(Ops, ReductionsOfNothing) {
  const Tensor none = zeros({0, 2});
  EXPECT_EQ(sum(none).item<float>(), 0.f);
  EXPECT_EQ(prod(none).item<float>(), 1.f);
  EXPECT_EQ(max(none).item<float>(), -INFINITY);
  EXPECT_EQ(min(none).item<float>(), INFINITY);
  EXPECT_TRUE(std::isnan(mean(none).item<float>()));
  EXPECT_EQ(to_string(sum(none, 1).shape()), "[0]");
  EXPECT_EQ(to_string(softmax(none).shape()), "[0,2]");
}

TEST(Ops, NoAxesReduceNothing) {
  EXPECT_EQ(doubles_of(sum(Tensor({1.f, 2.f}), Axes(Dims()))), (std::vector<double>{1, 2}));
}

TEST(Ops, CreationInEveryDType) {
  for (int d = 0; d < kNumDTypes; ++d) {
    const auto dtype = static_cast<DType>(d);
    EXPECT_EQ(doubles_of(ones({2}, dtype)), (std::vector<double>{1, 1}));
    EXPECT_EQ(doubles_of(zeros_like(ones({2}, dtype))), (std::vector<double>{0, 0}));
    EXPECT_EQ(full_like(ones({2}, dtype), true).dtype(), dtype);
  }
  EXPECT_EQ(doubles_of(full({2}, 7, DType::u8)), (std::vector<double>{7, 7}));
}

TEST(Ops, EinsumSumsAnAxisThatAnotherOperandRepeats) {
  const Tensor all = reshape(cast(range(15), DType::f32), {5, 3}), one({{1.0f, 2.0f, 3.0f}});
  const std::vector<float> expected = {30, 70, 120};  // sums of the columns, times 1, 2 and 3
  EXPECT_EQ(einsum("...i,...i->i", {all, one}).to_vector<float>(), expected);
  EXPECT_EQ(einsum("...i,...i->i", {one, all}).to_vector<float>(), expected);
}

TEST(Ops, RankEightAndOddLengths) {
  const Tensor x = reshape(range(7 * 3, DType::f32), {1, 7, 1, 1, 3, 1, 1, 1});
  EXPECT_EQ(doubles_of(sum(x + x, {1, 4})), (std::vector<double>{420}));
  EXPECT_EQ(to_string((x + ones({3, 1})).shape()), "[1,7,1,1,3,1,3,1]");
}

TEST(Ops, ChainedCompoundAssignment) {
  Tensor x({1.f, 2.f});
  const Tensor before = x;
  x += 1;
  x *= x;
  x -= 1.0f;
  x /= 3;
  EXPECT_EQ(doubles_of(x), (std::vector<double>{1, 8.f / 3}));
  EXPECT_EQ(doubles_of(before), (std::vector<double>{1, 2}));
}

}  // namespace
}  // namespace etch
