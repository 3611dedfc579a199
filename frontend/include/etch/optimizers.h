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

/// Moving averages of the variables, which take their place from time to time and at the end of a training (Polyak and Juditsky,
/// "Acceleration of Stochastic Approximation by Averaging", 1992).
struct Ema {
  double momentum = 0;              // average = average * momentum + variable * (1 - momentum); 0: there is none
  int64_t overwrite_frequency = 0;  // after how many updates variables become their averages; 0: only by finalize
};

/// What all optimizers do.
class Optimizer {
 public:
  /// Changes variables by gradients, one for each, of its dtype and shape; those without gradient (a Tensor that holds nothing)
  /// stay as they are. Error if none has one, if one does not fit, or if a variable stands twice. With gradient accumulation it
  /// updates by the mean of n gradients at every n-th call. What is updated then keeps to its constraint.
  void apply_gradients(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables,
                       Location where = Location::current()) const;

  /// The learning rate, f32[]; assign it to change it. Error if it follows a schedule.
  const Variable& learning_rate(Location where = Location::current()) const;
  /// How often gradients were applied, i64[].
  const Variable& iterations() const;
  /// Puts the moving averages in the place of variables, if the optimizer has such.
  void finalize_variable_values(const std::vector<Variable>& variables) const;

  struct Rule;  // the formula
  struct State;
  class Copy;

  void etch_visit(detail::ModuleVisitor& visitor) const;
  /// clone(optimizer) has variables of its own. It goes on with the same variables of a model, or with those of its copy if both
  /// are cloned as members of one struct.
  Copy etch_clone(detail::Cloner& cloner) const;

 protected:
  /// What the options of all optimizers have.
  struct Common {
    Clipping clipping{};
    double weight_decay = 0;
    Ema ema{};
    int64_t gradient_accumulation_steps = 1;
  };
  template <class Options>
  static Common common(const Options& options) {
    return {options.clipping, options.weight_decay, options.ema, options.gradient_accumulation_steps};
  }
  Optimizer(LearningRate learning_rate, const Common& common, std::unique_ptr<Rule> rule, Location where);

 private:
  std::shared_ptr<State> state_;
};

/// A copy of an optimizer's state, which becomes an optimizer of its class.
class Optimizer::Copy {
 public:
  Copy(const Optimizer& original, std::shared_ptr<State> state) : original_(original), state_(std::move(state)) {}
  template <class O>
  operator O() const {  // NOLINT: converts
    O copy = static_cast<const O&>(original_);
    static_cast<Optimizer&>(copy).state_ = state_;
    return copy;
  }

 private:
  const Optimizer& original_;
  std::shared_ptr<State> state_;
};

struct SGDOptions {
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;  // what is taken off a variable before the update: variable * decay * learning rate
  Clipping clipping{};
  Ema ema{};
  int64_t gradient_accumulation_steps = 1;
};
/// w -= lr g; with momentum m = momentum m - lr g and w += m, or with Nesterov's w += momentum m - lr g.
class SGD : public Optimizer {
 public:
  SGD(Location where = Location::current()) : SGD(0.01, {}, where) {}  // NOLINT: made by {}
  explicit SGD(LearningRate learning_rate, const SGDOptions& options = {}, Location where = Location::current());
};

struct AdamOptions {
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  double weight_decay = 0;
  Clipping clipping{};
  Ema ema{};
  int64_t gradient_accumulation_steps = 1;
};
/// m and v are moving averages of g and g^2, and w -= lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon) (Kingma
/// and Ba, "Adam", 2014).
class Adam : public Optimizer {
 public:
  Adam(Location where = Location::current()) : Adam(0.001, {}, where) {}  // NOLINT: made by {}
  explicit Adam(LearningRate learning_rate, const AdamOptions& options = {}, Location where = Location::current());
};

struct AdamWOptions {
  double weight_decay = 0.004;
  double beta_1 = 0.9;
  double beta_2 = 0.999;
  double epsilon = 1e-7;
  Clipping clipping{};
  Ema ema{};
  int64_t gradient_accumulation_steps = 1;
};
/// Adam with weight decay (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2017).
class AdamW : public Optimizer {
 public:
  AdamW(Location where = Location::current()) : AdamW(0.001, {}, where) {}  // NOLINT: made by {}
  explicit AdamW(LearningRate learning_rate, const AdamWOptions& options = {}, Location where = Location::current());
};

/// Adam with Nesterov's momentum (Dozat, "Incorporating Nesterov Momentum into Adam", 2015).
class Nadam : public Optimizer {
 public:
  Nadam(Location where = Location::current()) : Nadam(0.001, {}, where) {}  // NOLINT: made by {}
  explicit Nadam(LearningRate learning_rate, const AdamOptions& options = {}, Location where = Location::current());
};

struct RMSpropOptions {
  double rho = 0.9;
  double momentum = 0;
  double epsilon = 1e-7;
  bool centered = false;  // divides by the variance instead of the mean square
  double weight_decay = 0;
  Clipping clipping{};
  Ema ema{};
  int64_t gradient_accumulation_steps = 1;
};
/// w -= lr g / sqrt(v + epsilon), where v is a moving average of g^2 (Hinton, "Neural Networks for Machine Learning", 2012).
class RMSprop : public Optimizer {
 public:
  RMSprop(Location where = Location::current()) : RMSprop(0.001, {}, where) {}  // NOLINT: made by {}
  explicit RMSprop(LearningRate learning_rate, const RMSpropOptions& options = {}, Location where = Location::current());
};

struct AdagradOptions {
  double initial_accumulator_value = 0.1;
  double epsilon = 1e-7;
  double weight_decay = 0;
  Clipping clipping{};
  Ema ema{};
  int64_t gradient_accumulation_steps = 1;
};
/// w -= lr g / sqrt(a + epsilon), where a is the sum of all g^2 (Duchi et al., "Adaptive Subgradient Methods", 2011).
class Adagrad : public Optimizer {
 public:
  Adagrad(Location where = Location::current()) : Adagrad(0.001, {}, where) {}  // NOLINT: made by {}
  explicit Adagrad(LearningRate learning_rate, const AdagradOptions& options = {}, Location where = Location::current());
};

struct AdadeltaOptions {
  double rho = 0.95;
  double epsilon = 1e-7;
  double weight_decay = 0;
  Clipping clipping{};
  Ema ema{};
  int64_t gradient_accumulation_steps = 1;
};
/// w -= lr d with d = sqrt(u + epsilon) / sqrt(v + epsilon) g, where u and v are moving averages of d^2 and g^2 (Zeiler,
/// "ADADELTA", 2012).
class Adadelta : public Optimizer {
 public:
  Adadelta(Location where = Location::current()) : Adadelta(0.001, {}, where) {}  // NOLINT: made by {}
  explicit Adadelta(LearningRate learning_rate, const AdadeltaOptions& options = {}, Location where = Location::current());
};

struct LionOptions {
  double beta_1 = 0.9;
  double beta_2 = 0.99;
  double weight_decay = 0;
  Clipping clipping{};
  Ema ema{};
  int64_t gradient_accumulation_steps = 1;
};
/// w -= lr sign(beta_1 m + (1 - beta_1) g), then m = beta_2 m + (1 - beta_2) g (Chen et al., "Symbolic Discovery of Optimization
/// Algorithms", 2023).
class Lion : public Optimizer {
 public:
  Lion(Location where = Location::current()) : Lion(0.001, {}, where) {}  // NOLINT: made by {}
  explicit Lion(LearningRate learning_rate, const LionOptions& options = {}, Location where = Location::current());
};

}  // namespace optimizers
}  // namespace etch
