// Random numbers: TensorFlow's streams, the same bits in every way of running, and what the distributions promise.
#include "etch/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "etch/function.h"
#include "etch/options.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using testing::HasSubstr;

// ---- Values of TensorFlow ------------------------------------------------------------------------------------------

using Draw = Tensor (*)(const Generator&);
const std::map<std::string, Draw> kCalls = {
    {"bits32", [](const Generator& g) { return g.bits({9}); }},
    {"bits64", [](const Generator& g) { return g.bits({5}, DType::u64); }},
    {"uniform32", [](const Generator& g) { return g.uniform({2, 5}); }},
    {"uniform64", [](const Generator& g) { return g.uniform({5}, {.dtype = DType::f64}); }},
    {"uniform16", [](const Generator& g) { return g.uniform({9}, {.dtype = DType::f16}); }},
    {"between", [](const Generator& g) { return g.uniform({9}, {.low = -2, .high = 3}); }},
    {"dice", [](const Generator& g) { return g.uniform_int({9}, 1, 7); }},
    {"long_dice", [](const Generator& g) { return g.uniform_int({5}, -1000000000000, 1000000000000, DType::i64); }},
    {"normal32", [](const Generator& g) { return g.normal({3, 3}); }},
    {"normal64", [](const Generator& g) { return g.normal({5}, {.dtype = DType::f64}); }},
    {"shifted", [](const Generator& g) { return g.normal({6}, {.mean = 5, .stddev = 0.5}); }},
};

Generator generator_of(const std::string& seed) {
  std::istringstream in(seed);
  std::vector<uint64_t> words;
  for (std::string word; std::getline(in, word, ',');) words.push_back(std::stoull(word));
  if (words.size() == 1) return Generator(words[0]);
  Generator generator(0);
  generator.state().assign(Tensor(words));
  return generator;
}

/// How far a number may be off: that of TensorFlow's logarithm, sine and cosine where those are in it.
double tolerance(const std::string& call) {
  if (call == "normal64") return 1e-14;
  return call == "normal32" || call == "shifted" ? 4e-6 : 0;
}

/// Draws what a line of expected.txt says and compares.
template <class Sample>
void compare_with_tensorflow(const Sample& sample) {
  std::ifstream file(ETCH_SOURCE_DIR "/tests/random/expected.txt");
  int cases = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) continue;
    SCOPED_TRACE(line.substr(0, line.find(' ', line.find("| ") + 2)));
    std::istringstream in(line);
    std::string seed, call, dtype, value;
    in >> seed;
    const Generator generator = generator_of(seed);
    for (in >> call; call != "|"; in >> call) (void)sample(kCalls.at(call), generator);
    in >> call >> dtype;
    const Tensor drawn = sample(kCalls.at(call), generator);
    ASSERT_EQ(to_string(drawn.dtype()), dtype);
    const bool is_float = is_floating(drawn.dtype());
    const Tensor wide = cast(drawn, is_float ? DType::f64 : drawn.dtype() == DType::u64 ? DType::u64 : DType::i64);
    for (int64_t i = 0; in >> value; ++i) {
      const Tensor element = reshape(wide, {-1})[i];
      if (is_float) EXPECT_NEAR(element.item<double>(), std::strtod(value.c_str(), nullptr), tolerance(call)) << i;
      else if (wide.dtype() == DType::u64) EXPECT_EQ(element.item<uint64_t>(), std::stoull(value)) << i;
      else EXPECT_EQ(element.item<int64_t>(), std::stoll(value)) << i;
    }
    ++cases;
  }
  EXPECT_GT(cases, 40);
}

TEST(Random, IsTensorFlowsStream) {
  compare_with_tensorflow([](Draw draw, const Generator& generator) { return draw(generator); });
}

TEST(Random, IsTensorFlowsStreamTraced) {
  compare_with_tensorflow([](Draw draw, const Generator& generator) {
    return function([&] { return draw(generator); })();
  });
}

// ---- Every way of running ------------------------------------------------------------------------------------------

std::vector<Tensor> one_of_each(const Tensor& seed) {
  const Shape shape{37, 21};
  return {random::bits(seed, shape),
          random::bits(seed, shape, DType::u64),
          random::uniform(seed, shape),
          random::uniform(seed, shape, {.dtype = DType::bf16}),
          random::uniform_int(seed, shape, -3, 8),
          random::normal(seed, shape),
          random::normal(seed, shape, {.dtype = DType::f64}),
          random::truncated_normal(seed, shape),
          cast(random::bernoulli(seed, shape, 0.3), DType::u8),
          random::categorical(seed, log(Tensor({0.1f, 0.2f, 0.7f})), 500),
          random::permutation(seed, 300)};
}

void expect_same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(array_equal(a[i], b[i]).item<bool>()) << i;
}

TEST(Random, HasTheSameBitsInEveryWayOfRunning) {
  const Tensor seed(std::vector<uint64_t>{~uint64_t{5}, 3, 17});
  const std::vector<Tensor> eager = one_of_each(seed);
  expect_same_bits(function(one_of_each)(seed), eager);
  expect_same_bits(function(one_of_each, {.fuse = false})(seed), eager);
  {
    const ScopedFlags two_threads("threads=2,grain=64");
    expect_same_bits(function(one_of_each)(seed), eager);
  }
  const ScopedFlags one_thread("threads=1,eager");
  expect_same_bits(one_of_each(seed), eager);
}

TEST(Random, FusesWithWhatUsesIt) {
  auto f = function([](Tensor x, Tensor seed) { return where(random::uniform(seed, x.shape()) < 0.5f, x * 2, 0.f); });
  EXPECT_EQ(f.concrete(ones({64, 64}), Tensor(uint64_t{3})).num_kernels(), 1);
}

// ---- Generators ----------------------------------------------------------------------------------------------------

TEST(Generator, CopiesShareTheState) {
  const Generator a(3);
  const Generator b = a;
  const Tensor first = a.bits({4}), second = b.bits({4});
  EXPECT_FALSE(array_equal(first, second).item<bool>());
}

TEST(Generator, ATracedFunctionGoesOnAtEachCall) {
  const Generator eager(3), traced(3);
  auto f = function([&] { return traced.uniform({4}); });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f().to_vector<float>(), eager.uniform({4}).to_vector<float>()) << i;
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(Generator, SetSeedSeedsThoseWithoutASeed) {
  const auto draw = [] {
    random::set_seed(12);
    const Generator a, b;
    return std::pair(a.bits({4}).to_vector<uint32_t>(), b.bits({4}).to_vector<uint32_t>());
  };
  const auto [a, b] = draw();
  EXPECT_EQ(draw(), std::pair(a, b));
  EXPECT_NE(a, b);
}

TEST(Generator, MadeInATraceAsksForASeedOnce) {
  random::set_seed(12);
  const Generator generator;
  auto f = function([&] { return generator.bits({4}); });
  const auto first = f().to_vector<uint32_t>();
  random::set_seed(12);
  EXPECT_EQ(Generator().bits({4}).to_vector<uint32_t>(), first);
}

TEST(Generator, IsNoWeight) {
  struct Model {
    Generator generator{3};
  };
  EXPECT_EQ(variables(Model()).size(), 1);
  EXPECT_EQ(trainable_variables(Model()).size(), 0);
  EXPECT_EQ(get_weights(Model()).size(), 0);
}

TEST(Generator, ACloneGoesOnByItself) {
  const Generator a(3);
  const Generator b = clone(a);
  const auto first = a.bits({4}).to_vector<uint32_t>();
  EXPECT_EQ(b.bits({4}).to_vector<uint32_t>(), first);
}

// ---- Distributions -------------------------------------------------------------------------------------------------

constexpr int64_t kMany = 100000;
double mean_of(const Tensor& x) { return mean(cast(x, DType::f64)).item<double>(); }
double stddev_of(const Tensor& x) { return stddev(cast(x, DType::f64)).item<double>(); }

TEST(Random, UniformHasItsMeanAndSpread) {
  const Tensor x = Generator(1).uniform({kMany});
  EXPECT_NEAR(mean_of(x), 0.5, 0.005);
  EXPECT_NEAR(stddev_of(x), std::sqrt(1.0 / 12), 0.005);
  EXPECT_GE(min(x).item<float>(), 0);
  EXPECT_LT(max(x).item<float>(), 1);
}

TEST(Random, NormalHasItsMeanAndSpread) {
  const Tensor x = Generator(1).normal({kMany}, {.mean = 3, .stddev = 2});
  EXPECT_NEAR(mean_of(x), 3, 0.03);
  EXPECT_NEAR(stddev_of(x), 2, 0.03);
}

TEST(Random, TruncatedNormalStaysInsideAndHasItsSpread) {
  const Tensor x = Generator(1).truncated_normal({kMany});
  EXPECT_LE(max(abs(x)).item<float>(), 2);
  EXPECT_GT(max(abs(x)).item<float>(), 1.99);
  EXPECT_NEAR(stddev_of(x), 0.87962566103423978, 0.01);  // of a normal variable cut at two standard deviations
}

TEST(Random, BernoulliHasItsProbability) {
  EXPECT_NEAR(mean_of(Generator(1).bernoulli({kMany}, 0.3)), 0.3, 0.01);
  EXPECT_TRUE(all(Generator(1).bernoulli({1000}, 1)).item<bool>());
  EXPECT_FALSE(any(Generator(1).bernoulli({1000}, 0)).item<bool>());
}

TEST(Random, CategoricalFollowsItsLogits) {
  const Tensor logits({{0.f, std::log(3.f), -INFINITY}, {5.f, 5.f, 5.f}});
  const Tensor drawn = Generator(1).categorical(logits, kMany);
  EXPECT_EQ(drawn.shape(), Shape({2, kMany}));
  EXPECT_NEAR(mean_of(drawn[0] == int64_t{1}), 0.75, 0.01);
  EXPECT_EQ(max(drawn[0]).item<int64_t>(), 1);
  EXPECT_NEAR(mean_of(drawn[1] == int64_t{2}), 1.0 / 3, 0.01);
}

TEST(Random, APermutationHasEachNumberOnce) {
  const std::vector<int64_t> drawn = Generator(1).permutation(1000).to_vector<int64_t>();
  const std::set<int64_t> different(drawn.begin(), drawn.end());
  EXPECT_EQ(different.size(), 1000);
  EXPECT_EQ(*different.rbegin(), 999);
  EXPECT_FALSE(std::ranges::is_sorted(drawn));
}

// ---- Misuse --------------------------------------------------------------------------------------------------------

TEST(Random, MisuseIsAnError) {
  const Generator g(1);
  const auto says = [](auto f, const char* text) { EXPECT_THAT(error_of(f), HasSubstr(text)); };
  says([&] { (void)random::bits(ones(3), {4}); }, "random::bits: the seed is f32[3], but it may be an integer, the key, or u64[3]");
  says([&] { (void)g.bits({4}, DType::f32); }, "random::bits gives u32 or u64, not f32");
  says([&] { (void)g.uniform({4}, {.dtype = DType::i32}); }, "random::uniform gives f16, bf16, f32 or f64, not i32");
  says([&] { (void)g.uniform_int({4}, 3, 3); }, "nothing lies between 3 and 3");
  says([&] { (void)g.bernoulli({4}, 1.5); }, "the probability is 1.5; it may be 0 to 1");
  says([&] { (void)g.categorical(ones({2, 0}), 3); }, "have no classes along their last axis");
  says([&] { (void)g.permutation(-1); }, "-1 numbers cannot be");
}

}  // namespace
}  // namespace etch
