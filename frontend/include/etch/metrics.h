// Metrics: what training and evaluation report, summed up over many batches.
#pragma once

#include <cstdint>

#include "etch/ops.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {

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

/// How often the label y is among the k classes with the largest p.
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

}  // namespace metrics
}  // namespace etch
