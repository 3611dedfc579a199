// Optimizers: how variables change by their gradients.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "etch/module.h"
#include "etch/schedules.h"
#include "etch/tensor.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {

// Names, formulas and defaults are those of Keras 3. An optimizer keeps its state in variables: the learning rate, the number of
// updates, and for each variable that it updates some of its shape, made by the first update. So a step is traced once whatever
// the rate is. Copies share the state. variables(optimizer) lists it.
namespace optimizers {

/// A number, or a schedule.
class LearningRate {
 public:
  template <Arithmetic T>
  LearningRate(T rate) : rate_(static_cast<double>(rate)) {}  // NOLINT: numbers convert
  LearningRate() = default;
  LearningRate(schedules::Schedule schedule) : schedule_(std::move(schedule)) {}  // NOLINT: schedules convert

  double rate() const { return rate_; }
  /// Empty for a number.
  const schedules::Schedule& schedule() const { return schedule_; }

 private:
  double rate_ = 0;
  schedules::Schedule schedule_;
};

/// What limits gradients before they are used; one of these at most.
struct Clipping {
  std::optional<double> value{};        // each element to -value..value
  std::optional<double> norm{};         // each gradient to a length
  std::optional<double> global_norm{};  // all gradients together to a length
};

/// What all optimizers do.
class Optimizer {
 public:
  /// Changes variables by gradients, one for each, of its dtype and shape; those without gradient (a Tensor that holds nothing)
  /// stay as they are. Error if none has one, if one does not fit, or if a variable stands twice.
  void apply_gradients(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables,
                       Location where = Location::current()) const;

  /// The learning rate, f32[]; assign it to change it. Error if it follows a schedule.
  const Variable& learning_rate(Location where = Location::current()) const;
  /// How many updates there were, i64[].
  const Variable& iterations() const;

  void etch_visit(detail::ModuleVisitor& visitor) const;

  struct Rule;  // the formula
  struct State;

 protected:
  Optimizer(LearningRate learning_rate, const Clipping& clipping, double weight_decay, std::unique_ptr<Rule> rule,
            Location where);

 private:
  std::shared_ptr<State> state_;
};

struct SGDOptions {
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;  // what is taken off a variable before the update: variable * decay * learning rate
  Clipping clipping{};
};
/// w -= lr g; with momentum m = momentum m - lr g and w += m, or with Nesterov's w += momentum m - lr g.
class SGD : public Optimizer {
 public:
  explicit SGD(LearningRate learning_rate = 0.01, const SGDOptions& options = {}, Location where = Location::current());
};

struct AdamOptions {
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  double weight_decay = 0;
  Clipping clipping{};
};
/// m and v are moving averages of g and g^2, and w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon) (Kingma
/// and Ba, "Adam", 2014).
class Adam : public Optimizer {
 public:
  explicit Adam(LearningRate learning_rate = 0.001, const AdamOptions& options = {}, Location where = Location::current());
};

struct AdamWOptions {
  double weight_decay = 0.004;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  Clipping clipping{};
};
/// Adam with weight decay (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2017).
class AdamW : public Optimizer {
 public:
  explicit AdamW(LearningRate learning_rate = 0.001, const AdamWOptions& options = {},
                 Location where = Location::current());
};

/// Adam with Nesterov's momentum (Dozat, "Incorporating Nesterov Momentum into Adam", 2015).
class Nadam : public Optimizer {
 public:
  explicit Nadam(LearningRate learning_rate = 0.001, const AdamOptions& options = {}, Location where = Location::current());
};

struct RMSpropOptions {
  double rho = 0.9;
  double momentum = 0;
  double epsilon = 1e-7;
  bool centered = false;  // divides by the variance instead of the mean square
  double weight_decay = 0;
  Clipping clipping{};
};
/// w -= lr g / sqrt(v + epsilon), where v is a moving average of g^2 (Hinton, "Neural Networks for Machine Learning", 2012).
class RMSprop : public Optimizer {
 public:
  explicit RMSprop(LearningRate learning_rate = 0.001, const RMSpropOptions& options = {},
                   Location where = Location::current());
};

struct AdagradOptions {
  double initial_accumulator_value = 0.1;
  double epsilon = 1e-7;
  double weight_decay = 0;
  Clipping clipping{};
};
/// w -= lr g / sqrt(a + epsilon), where a is the sum of all g^2 (Duchi et al., "Adaptive Subgradient Methods", 2011).
class Adagrad : public Optimizer {
 public:
  explicit Adagrad(LearningRate learning_rate = 0.001, const AdagradOptions& options = {},
                   Location where = Location::current());
};

struct AdadeltaOptions {
  double rho = 0.95;
  double epsilon = 1e-7;
  double weight_decay = 0;
  Clipping clipping{};
};
/// w -= lr d with d = sqrt(u + epsilon) / sqrt(v + epsilon) g, where u and v are moving averages of d^2 and g^2 (Zeiler,
/// "ADADELTA", 2012).
class Adadelta : public Optimizer {
 public:
  explicit Adadelta(LearningRate learning_rate = 0.001, const AdadeltaOptions& options = {},
                    Location where = Location::current());
};

struct LionOptions {
  double beta_1 = 0.9;
  double beta_2 = 0.99;
  double weight_decay = 0;
  Clipping clipping{};
};
/// w -= lr sign(beta_1 m + (1 - beta_1) g), then m = beta_2 m + (1 - beta_2) g (Chen et al., "Symbolic Discovery of Optimization
/// Algorithms", 2023).
class Lion : public Optimizer {
 public:
  explicit Lion(LearningRate learning_rate = 0.001, const LionOptions& options = {}, Location where = Location::current());
};

}  // namespace optimizers
}  // namespace etch
