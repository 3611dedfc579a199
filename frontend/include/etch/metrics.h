// Metrics: what training and evaluation report, summed up over many batches.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "etch/module.h"
#include "etch/ops.h"

namespace [[gnu::visibility("default")]] etch {

namespace detail {

/// A variable of a metric, of zeros.
inline Variable metric_counts(const char* name, Shape shape) {
  return Variable([&] { return zeros(shape); }, {name, false});
}
inline Shape one_for_each(const std::vector<double>& thresholds) {
  return static_cast<int64_t>(thresholds.empty() ? 1 : thresholds.size());
}

}  // namespace detail

// Names and defaults are Keras'. A metric is a struct whose state stands in variables that training does not change: copies share
// it, and traced functions may update it. update_state takes a batch into it, result gives what it amounts to so far, f32[],
// and reset_state begins anew. `weight` is none, or times each value: of the values' shape, or of their first axes.
namespace metrics {

/// sum(values * weight).
struct Sum {
  Variable total = Variable(0.f, {"total", false});

  void update_state(const Operand& values, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return total.value(where); }
  void reset_state() const;
};

/// sum(values * weight) / sum(weight); 0 of nothing.
struct Mean {
  Variable total = Variable(0.f, {"total", false});
  Variable count = Variable(0.f, {"count", false});

  void update_state(const Operand& values, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const;
  void reset_state() const;
};

/// How often y equals p, of one shape and dtype.
struct Accuracy {
  Mean matches{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return matches.result(where); }
  void reset_state() const { matches.reset_state(); }
};

/// How often p > threshold says what y, 0 or 1, says: the mean over the last axis, of each sample.
struct BinaryAccuracy {
  double threshold = 0.5;
  Mean matches{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return matches.result(where); }
  void reset_state() const { matches.reset_state(); }
};

/// How often the largest of p, probabilities or logits along the last axis, stands where the largest of y stands.
struct CategoricalAccuracy {
  Mean matches{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return matches.result(where); }
  void reset_state() const { matches.reset_state(); }
};

/// The same of labels y, integers of p's shape without its last axis, or with 1 there.
struct SparseCategoricalAccuracy {
  Mean matches{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return matches.result(where); }
  void reset_state() const { matches.reset_state(); }
};

/// How often the class at the largest of y is among the k classes with the largest p. Classes that tie for the last place
/// count as among them.
struct TopKCategoricalAccuracy {
  int64_t k = 5;
  Mean matches{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return matches.result(where); }
  void reset_state() const { matches.reset_state(); }
};

/// The same of labels y, integers of p's shape without its last axis, or with 1 there.
struct SparseTopKCategoricalAccuracy {
  int64_t k = 5;
  Mean matches{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return matches.result(where); }
  void reset_state() const { matches.reset_state(); }
};

/// The mean of (y - p)^2 over the last axis and all samples.
struct MeanSquaredError {
  Mean errors{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return errors.result(where); }
  void reset_state() const { errors.reset_state(); }
};

/// The mean of |y - p| over the last axis and all samples.
struct MeanAbsoluteError {
  Mean errors{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return errors.result(where); }
  void reset_state() const { errors.reset_state(); }
};

/// The square root of the mean of (y - p)^2.
struct RootMeanSquaredError {
  Mean errors{};

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const;
  void reset_state() const { errors.reset_state(); }
};

/// true positives / (true positives + false positives); 0 of none. Positive is p > threshold, and what y says that is not 0. y
/// has the shape of p, or lacks a last axis of 1. The result is f32[], or has an element for each of several thresholds.
struct Precision {
  std::vector<double> thresholds{};   // by default 0.5, or none with top_k
  std::optional<int64_t> top_k{};     // only the k largest along the last axis can be positive
  std::optional<int64_t> class_id{};  // only this index of the last axis counts
  Variable true_positives = detail::metric_counts("true_positives", detail::one_for_each(thresholds));
  Variable false_positives = detail::metric_counts("false_positives", detail::one_for_each(thresholds));

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const;
  void reset_state() const;
};

/// true positives / (true positives + false negatives), else as Precision.
struct Recall {
  std::vector<double> thresholds{};
  std::optional<int64_t> top_k{};
  std::optional<int64_t> class_id{};
  Variable true_positives = detail::metric_counts("true_positives", detail::one_for_each(thresholds));
  Variable false_negatives = detail::metric_counts("false_negatives", detail::one_for_each(thresholds));

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const;
  void reset_state() const;
};

enum class Curve : uint8_t {
  roc,  // true positives by false positives, as parts of what is positive and what is not
  pr,   // precision by recall
};
enum class SummationMethod : uint8_t {
  interpolation,  // the mean of both ends of an interval; of PR the formula of Davis and Goadrich, "The relationship between
                  // Precision-Recall and ROC curves", 2006
  minoring,       // the lower end
  majoring,       // the higher one
};

/// The area under a curve of probabilities p, within 0..1, and labels y, 0 or 1, of one shape: summed up over intervals between
/// thresholds.
struct AUC {
  int64_t num_thresholds = 200;  // spread evenly from just below 0 to just above 1
  Curve curve = Curve::roc;
  SummationMethod summation_method = SummationMethod::interpolation;
  std::vector<double> thresholds{};  // instead, between both ends; in any order
  bool from_logits = false;          // p is the argument of a sigmoid
  Variable true_positives = detail::metric_counts("true_positives", size());
  Variable true_negatives = detail::metric_counts("true_negatives", size());
  Variable false_positives = detail::metric_counts("false_positives", size());
  Variable false_negatives = detail::metric_counts("false_negatives", size());

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const;
  void reset_state() const;
  /// How many thresholds there are, both ends included.
  int64_t size() const { return thresholds.empty() ? num_thresholds : static_cast<int64_t>(thresholds.size()) + 2; }
};

/// How often each class (rows) was taken for which one (columns), f32[n, n]. p is what was predicted: scores along the last
/// axis, of which the largest counts, or classes, integers of y's shape. A label that is no class counts nowhere.
struct ConfusionMatrix {
  int64_t num_classes = 0;
  Variable matrix = detail::metric_counts("matrix", {num_classes, num_classes});

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const;
  [[nodiscard]] Tensor result(Location where = Location::current()) const { return matrix.value(where); }
  void reset_state() const { matrix.assign(0); }
};

/// Whether more of it is better, of the metrics of this file by the names of their classes; of others that is not known.
[[nodiscard]] std::optional<bool> is_better_higher(std::string_view class_name);

/// Any metric with a name: one of the above, or a struct with update_state(y, p, weight), result() and reset_state(). Copies share
/// its state.
class Metric {
 public:
  /// By its class it is named `mean_squared_error`, `auc` ...
  template <class M>
    requires(!std::same_as<M, Metric> && requires(const M& m, const Tensor& t) {
      m.update_state(t, t, t);
      { m.result() } -> std::convertible_to<Tensor>;
      m.reset_state();
    })
  Metric(M metric) : Metric({}, std::move(metric)) {}  // NOLINT: metrics convert
  template <class M>
  Metric(std::string name, M metric)
      : name_(std::move(name)),
        class_name_(etch::detail::type_name<M>()),
        held_(std::make_shared<Held<M>>(std::move(metric))) {
    if (name_.empty()) name_ = snake_case(class_name_);
  }

  void update_state(const Operand& y, const Operand& p, const Tensor& weight = {}) const {
    held_->update_state(y, p, weight);
  }
  [[nodiscard]] Tensor result() const { return held_->result(); }
  void reset_state() const { held_->reset_state(); }
  const std::string& name() const { return name_; }
  std::optional<bool> is_better_higher() const { return metrics::is_better_higher(class_name_); }

  void etch_visit(etch::detail::ModuleVisitor& visitor) const { held_->visit(visitor); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void update_state(const Operand& y, const Operand& p, const Tensor& weight) const = 0;
    virtual Tensor result() const = 0;
    virtual void reset_state() const = 0;
    virtual void visit(etch::detail::ModuleVisitor& visitor) const = 0;
  };
  template <class M>
  struct Held final : Base {
    explicit Held(M m) : metric(std::move(m)) {}
    void update_state(const Operand& y, const Operand& p, const Tensor& weight) const override {
      if constexpr (requires { metric.update_state(y, p, weight); }) metric.update_state(y, p, weight);
      else metric.update_state(etch::detail::tensor_in(y, "metric"), etch::detail::tensor_in(p, "metric"), weight);
    }
    Tensor result() const override { return metric.result(); }
    void reset_state() const override { metric.reset_state(); }
    void visit(etch::detail::ModuleVisitor& visitor) const override { etch::detail::visit_module(metric, visitor); }
    M metric;
  };
  /// `mean_squared_error` of `etch::metrics::MeanSquaredError`.
  static std::string snake_case(std::string_view class_name);

  std::string name_;
  std::string_view class_name_;
  std::shared_ptr<const Base> held_;
};

}  // namespace metrics
}  // namespace etch
