// Metrics against Keras over two batches, the second one weighted.
#include "etch/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/function.h"
#include "etch/module.h"
#include "tests/frontend/error_of.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

using testing::HasSubstr;

const KerasCase& keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/training/expected.txt");
  return cases.at("metric_" + name);
}

/// Takes the batches of a case into a metric and compares the result after each.
template <class M>
void expect_as_keras(const M& metric, const std::string& name) {
  const KerasCase& expected = keras(name);
  for (int i = 0; i < 2; ++i) {
    const std::string n = std::to_string(i);
    if (!expected.contains("y" + n)) break;
    SCOPED_TRACE(n);
    const Tensor y = expected.at("y" + n);
    const Tensor weight = i == 1 ? expected.at("weight") : Tensor();
    if constexpr (requires { metric.update_state(y, y, weight); }) metric.update_state(y, expected.at("p" + n), weight);
    else metric.update_state(y, weight);
    expect_near(metric.result(), expected.at("result" + n), 2e-6);
  }
}

TEST(Metrics, Sum) { expect_as_keras(metrics::Sum(), "sum"); }
TEST(Metrics, Mean) { expect_as_keras(metrics::Mean(), "mean"); }
TEST(Metrics, Accuracy) { expect_as_keras(metrics::Accuracy(), "accuracy"); }
TEST(Metrics, BinaryAccuracy) { expect_as_keras(metrics::BinaryAccuracy{0.3}, "binary"); }
TEST(Metrics, CategoricalAccuracy) { expect_as_keras(metrics::CategoricalAccuracy(), "categorical"); }
TEST(Metrics, SparseCategoricalAccuracy) { expect_as_keras(metrics::SparseCategoricalAccuracy(), "sparse"); }
TEST(Metrics, SparseTopKCategoricalAccuracy) {
  expect_as_keras(metrics::SparseTopKCategoricalAccuracy{2}, "sparse_top_k");
}
TEST(Metrics, MeanSquaredError) { expect_as_keras(metrics::MeanSquaredError(), "mean_squared_error"); }
TEST(Metrics, MeanAbsoluteError) { expect_as_keras(metrics::MeanAbsoluteError(), "mean_absolute_error"); }
TEST(Metrics, RootMeanSquaredError) { expect_as_keras(metrics::RootMeanSquaredError(), "root_mean_squared_error"); }

TEST(Metrics, AreUpdatedInATrace) {
  const metrics::Mean mean;
  auto f = function([&](Tensor x) { mean.update_state(x); });
  f(Tensor({1.f, 2.f}));
  f(Tensor({6.f, 7.f}));
  EXPECT_EQ(mean.result().item<float>(), 4);
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(Metrics, BeginAnewAfterAReset) {
  const metrics::Accuracy accuracy;
  accuracy.update_state(Tensor({1, 2}), Tensor({1, 3}));
  EXPECT_EQ(accuracy.result().item<float>(), 0.5);
  accuracy.reset_state();
  EXPECT_EQ(accuracy.result().item<float>(), 0);
}

TEST(Metrics, AreNotTrained) { EXPECT_TRUE(trainable_variables(metrics::Accuracy()).empty()); }

TEST(Metrics, MisuseIsAnErrorWithItsPlace) {
  const std::string error = error_of([] { metrics::Accuracy().update_state(Tensor({1, 2}), Tensor({1.f, 2.f})); });
  EXPECT_THAT(error, HasSubstr("accuracy: y is i32[2] and the prediction f32[2]"));
  EXPECT_THAT(error, HasSubstr("metrics_test.cc:"));
}

}  // namespace
}  // namespace etch
