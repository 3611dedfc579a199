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
TEST(Metrics, TopKCategoricalAccuracyWithTies) { expect_as_keras(metrics::TopKCategoricalAccuracy{2}, "top_k"); }
TEST(Metrics, SparseTopKCategoricalAccuracyWithTies) {
  expect_as_keras(metrics::SparseTopKCategoricalAccuracy{2}, "sparse_top_k_tied");
}
TEST(Metrics, Precision) { expect_as_keras(metrics::Precision(), "precision"); }
TEST(Metrics, PrecisionAtThresholds) {
  expect_as_keras(metrics::Precision{.thresholds = {0.2, 0.5, 0.7}}, "precision_thresholds");
}
TEST(Metrics, PrecisionOfTheTopK) { expect_as_keras(metrics::Precision{.top_k = 2}, "precision_top_k"); }
TEST(Metrics, PrecisionOfAClass) { expect_as_keras(metrics::Precision{.class_id = 1}, "precision_class"); }
TEST(Metrics, Recall) { expect_as_keras(metrics::Recall(), "recall"); }
TEST(Metrics, RecallAtThresholds) { expect_as_keras(metrics::Recall{.thresholds = {0.2, 0.5, 0.7}}, "recall_thresholds"); }
TEST(Metrics, RecallOfTheTopK) { expect_as_keras(metrics::Recall{.top_k = 2}, "recall_top_k"); }
TEST(Metrics, RecallOfAClass) { expect_as_keras(metrics::Recall{.class_id = 1}, "recall_class"); }
TEST(Metrics, AUCOfBothCurvesByAllMethods) {
  using metrics::Curve, metrics::SummationMethod;
  for (const auto& [curve, curve_name] : {std::pair(Curve::roc, "roc"), std::pair(Curve::pr, "pr")}) {
    for (const auto& [method, name] :
         {std::pair(SummationMethod::interpolation, "interpolation"), std::pair(SummationMethod::minoring, "minoring"),
          std::pair(SummationMethod::majoring, "majoring")}) {
      SCOPED_TRACE(std::string(curve_name) + " " + name);
      expect_as_keras(metrics::AUC{.curve = curve, .summation_method = method},
                      std::string("auc_") + curve_name + "_" + name);
    }
  }
}
TEST(Metrics, AUCOfGivenThresholds) { expect_as_keras(metrics::AUC{.thresholds = {0.6, 0.1, 0.35}}, "auc_thresholds"); }
TEST(Metrics, AUCOfFewThresholds) { expect_as_keras(metrics::AUC{5}, "auc_few"); }
TEST(Metrics, AUCOfLogits) { expect_as_keras(metrics::AUC{.from_logits = true}, "auc_logits"); }
TEST(Metrics, ConfusionMatrixOfScores) { expect_as_keras(metrics::ConfusionMatrix{3}, "confusion_scores"); }
TEST(Metrics, ConfusionMatrixOfClasses) { expect_as_keras(metrics::ConfusionMatrix{3}, "confusion_classes"); }
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

TEST(Metrics, WithThresholdsAreUpdatedInATraceToTheSameBits) {
  const Tensor y = cast(range(40) % 3 == 0, DType::f32), p = abs(sin(range(40, DType::f32)));
  const metrics::AUC eager, traced;
  const metrics::Precision eager_precision, traced_precision;
  auto f = function([&](Tensor y, Tensor p) {
    traced.update_state(y, p);
    traced_precision.update_state(y, p);
    return std::pair(traced.result(), traced_precision.result());
  });
  for (int i = 0; i < 2; ++i) {
    eager.update_state(y, p);
    eager_precision.update_state(y, p);
    const auto [auc, precision] = f(y, p);
    EXPECT_EQ(auc.item<float>(), eager.result().item<float>());
    EXPECT_EQ(precision.item<float>(), eager_precision.result().item<float>());
  }
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(Metrics, ALabelThatIsNoClassCountsNowhere) {
  const metrics::ConfusionMatrix matrix{2};
  matrix.update_state(Tensor({0, 7, -1, 1}), Tensor({0, 1, 1, 0}));
  EXPECT_EQ(matrix.result().to_vector<float>(), (std::vector<float>{1, 0, 1, 0}));
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
  const auto says = [](auto f, const char* text) {
    const std::string error = error_of(f);
    EXPECT_THAT(error, HasSubstr(text));
    EXPECT_THAT(error, HasSubstr("metrics_test.cc:"));
  };
  says([] { metrics::Accuracy().update_state(Tensor({1, 2}), Tensor({1.f, 2.f})); },
       "accuracy: y is i32[2] and the prediction f32[2]");
  says([] { metrics::Precision().update_state(ones(3), ones(4)); },
       "precision: y is f32[3] and the prediction f32[4]; they must be of one shape");
  says([] { metrics::Recall{.class_id = 4}.update_state(ones({3, 4}), ones({3, 4})); },
       "recall: there is no class 4 in bool[3,4]");
  says([] { metrics::Precision{.top_k = 5}.update_state(ones({3, 4}), ones({3, 4})); }, "precision: top_k is 5 of 4 classes");
  says([] { metrics::TopKCategoricalAccuracy{0}.update_state(ones({3, 4}), ones({3, 4})); }, "k is 0; it is 1 or more");
  says([] { metrics::AUC{1}.update_state(ones(3), ones(3)); }, "auc: num_thresholds is 1; it is 2 or more");
  says([] { metrics::ConfusionMatrix{}.update_state(Tensor({1}), Tensor({1})); },
       "confusion_matrix: num_classes is 0; there is 1 or more");
}

}  // namespace
}  // namespace etch
