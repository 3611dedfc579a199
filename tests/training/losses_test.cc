// Losses against Keras: every reduction, weights and gradients, eager and traced.
#include "etch/losses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "tests/frontend/error_of.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

using losses::Reduction;
using testing::HasSubstr;

using Loss = std::function<Tensor(const Tensor& y, const Tensor& p, const Tensor& weight, Reduction reduction)>;

/// A loss whose options are weight and reduction only.
template <Tensor (*kLoss)(const Operand&, const Operand&, const losses::LossOptions&)>
Tensor plain(const Tensor& y, const Tensor& p, const Tensor& weight, Reduction reduction) {
  return kLoss(y, p, {weight, reduction});
}

template <Tensor (*kLoss)(const Operand&, const Operand&, const losses::CrossentropyOptions&)>
Loss crossentropy(bool from_logits, double smoothing) {
  return [=](const Tensor& y, const Tensor& p, const Tensor& weight, Reduction reduction) {
    return kLoss(y, p, {from_logits, smoothing, weight, reduction});
  };
}

Loss sparse(bool from_logits) {
  return [=](const Tensor& y, const Tensor& p, const Tensor& weight, Reduction reduction) {
    return losses::sparse_categorical_crossentropy(y, p, {from_logits, weight, reduction});
  };
}

Loss huber(double delta) {
  return [=](const Tensor& y, const Tensor& p, const Tensor& weight, Reduction reduction) {
    return losses::huber(y, p, {delta, weight, reduction});
  };
}

const std::map<std::string, Loss> kLosses = {
    {"mean_squared_error", plain<losses::mean_squared_error>},
    {"mean_squared_error_3d", plain<losses::mean_squared_error>},
    {"mean_absolute_error", plain<losses::mean_absolute_error>},
    {"mean_absolute_percentage_error", plain<losses::mean_absolute_percentage_error>},
    {"mean_squared_logarithmic_error", plain<losses::mean_squared_logarithmic_error>},
    {"huber", huber(1)},
    {"huber_delta", huber(0.3)},
    {"log_cosh", plain<losses::log_cosh>},
    {"poisson", plain<losses::poisson>},
    {"cosine_similarity", plain<losses::cosine_similarity>},
    {"binary", crossentropy<losses::binary_crossentropy>(false, 0)},
    {"binary_logits", crossentropy<losses::binary_crossentropy>(true, 0)},
    {"binary_smoothed", crossentropy<losses::binary_crossentropy>(false, 0.2)},
    {"binary_logits_smoothed", crossentropy<losses::binary_crossentropy>(true, 0.2)},
    {"categorical", crossentropy<losses::categorical_crossentropy>(false, 0)},
    {"categorical_logits", crossentropy<losses::categorical_crossentropy>(true, 0)},
    {"categorical_smoothed", crossentropy<losses::categorical_crossentropy>(false, 0.1)},
    {"categorical_logits_smoothed", crossentropy<losses::categorical_crossentropy>(true, 0.1)},
    {"sparse", sparse(false)},
    {"sparse_logits", sparse(true)},
    {"sparse_logits_column", sparse(true)},
    {"sparse_logits_3d", sparse(true)},
    {"kl_divergence", plain<losses::kl_divergence>},
    {"hinge", plain<losses::hinge>},
    {"hinge_of_0_and_1", plain<losses::hinge>},
    {"squared_hinge", plain<losses::squared_hinge>},
    {"squared_hinge_of_0_and_1", plain<losses::squared_hinge>},
    {"categorical_hinge", plain<losses::categorical_hinge>},
};

class KerasLoss : public testing::TestWithParam<std::string> {};

TEST_P(KerasLoss, AgreesInEveryReductionAndInItsGradient) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/training/expected.txt");
  const KerasCase& expected = cases.at("loss_" + GetParam());
  const Loss& loss = kLosses.at(GetParam());
  const Tensor y = expected.at("y"), p = expected.at("p"), weight = expected.at("weight");
  expect_near(loss(y, p, {}, Reduction::none), expected.at("none"), 4e-6);
  expect_near(loss(y, p, {}, Reduction::mean), expected.at("mean"), 4e-6);
  expect_near(loss(y, p, {}, Reduction::sum), expected.at("sum"), 4e-6);
  const auto with_gradient = [&](Tensor truth, Tensor prediction, Tensor weights) {
    GradientTape tape;
    tape.watch(prediction);
    const Tensor weighted = loss(truth, prediction, weights, Reduction::mean);
    return std::pair(weighted, tape.gradient(weighted, prediction));
  };
  const auto [eager, d_eager] = with_gradient(y, p, weight);
  expect_near(eager, expected.at("weighted"), 4e-6);
  expect_near(d_eager, expected.at("d_p"), 4e-6);
  const auto [traced, d_traced] = function(with_gradient)(y, p, weight);
  EXPECT_TRUE(array_equal(traced, eager).item<bool>());
  EXPECT_TRUE(array_equal(d_traced, d_eager).item<bool>());
}

std::vector<std::string> all_losses() {
  std::vector<std::string> names;
  for (const auto& [name, loss] : kLosses) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(All, KerasLoss, testing::ValuesIn(all_losses()), [](const auto& info) { return info.param; });

TEST(Losses, ALabelThatIsNoClassGivesNaN) {
  const Tensor losses = losses::sparse_categorical_crossentropy(Tensor({0, 3, -1}), ones({3, 3}),
                                                                {.from_logits = true, .reduction = Reduction::none});
  EXPECT_EQ(is_nan(losses).to_vector<bool>(), (std::vector<bool>{false, true, true}));
}

TEST(Losses, WeightsAreThoseOfTheFirstAxes) {
  const Tensor losses = losses::mean_squared_error(zeros({2, 2, 3}), ones({2, 2, 3}),
                                                   {.sample_weight = Tensor({1, 5}), .reduction = Reduction::none});
  EXPECT_EQ(losses.to_vector<float>(), (std::vector<float>{1, 1, 5, 5}));
}

TEST(Losses, MisuseIsAnErrorWithItsPlace) {
  const auto says = [](auto f, const char* text) {
    const std::string error = error_of(f);
    EXPECT_THAT(error, HasSubstr(text));
    EXPECT_THAT(error, HasSubstr("losses_test.cc:"));
  };
  says([] { (void)losses::mean_squared_error(ones(3), ones({3, 1})); },
       "mean_squared_error: y is f32[3] and the prediction f32[3,1]; they must be of one dtype and shape");
  says([] { (void)losses::sparse_categorical_crossentropy(ones(3), ones({3, 2})); }, "labels are integers, not f32[3]");
  says([] { (void)losses::sparse_categorical_crossentropy(Tensor({1, 2}), ones({3, 2})); },
       "the labels are i32[2] and the prediction f32[3,2]");
  says([] { (void)losses::binary_crossentropy(ones({3, 2}), ones({3, 2}), {.label_smoothing = 2}); },
       "label_smoothing is 2.0; it may be 0 to 1");
  says([] { (void)losses::mean_squared_error(ones({3, 2}), ones({3, 2}), {.sample_weight = ones(2)}); },
       "sample_weight is f32[2], but what it weighs is f32[3]");
}

}  // namespace
}  // namespace etch
