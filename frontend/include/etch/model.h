// Model: trains, evaluates and applies a module.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/batch_set.h"
#include "etch/callbacks.h"
#include "etch/function.h"
#include "etch/layers.h"
#include "etch/losses.h"
#include "etch/metrics.h"
#include "etch/optimizers.h"

namespace [[gnu::visibility("default")]] etch {

/// What a step reports: names and scalars.
using StepLogs = std::vector<std::pair<std::string, Tensor>>;

/// What is printed meanwhile.
enum class Verbose : uint8_t {
  automatic,  // a bar on a terminal, else lines
  silent,
  bar,    // a bar for each epoch, with rate and time to go
  lines,  // a line at the end of each epoch
};

struct TrainingOptions {
  std::vector<metrics::Metric> metrics{};           // by samples that all count alike
  std::vector<metrics::Metric> weighted_metrics{};  // by samples with their weights
  bool run_eagerly = false;                         // steps run op by op, so that a debugger sees values
  FunctionOptions function{};                       // of the steps
};

struct FitOptions {
  int64_t batch_size = 32;
  int64_t epochs = 1;  // the number of the last one; less initial_epoch there are so many
  Verbose verbose = Verbose::automatic;
  std::vector<Callback> callbacks{};
  double validation_split = 0;  // which part of the samples, the last ones, is for validation
  BatchSet validation_data{};   // for validation instead: samples, or a data set
  bool shuffle = true;          // the samples before each epoch
  std::optional<uint64_t> seed{};          // of the shuffling; by default one after the other of random::set_seed
  std::map<int64_t, double> class_weight{};  // for each sample by its label; 1 for classes without
  Tensor sample_weight{};
  int64_t initial_epoch = 0;
  int64_t validation_batch_size = 0;  // 0: batch_size
  int64_t validation_freq = 1;        // validate after every so many epochs
  int64_t steps_per_epoch = 0;        // so many batches are an epoch, and the next one goes on behind them; 0: a whole walk
  int64_t validation_steps = 0;       // so many batches are a validation; 0: all
};

struct EvaluateOptions {
  int64_t batch_size = 32;
  Verbose verbose = Verbose::automatic;
  std::vector<Callback> callbacks{};
  Tensor sample_weight{};
  int64_t steps = 0;  // so many batches; 0: all
};

struct PredictOptions {
  int64_t batch_size = 32;
  Verbose verbose = Verbose::automatic;
  std::vector<Callback> callbacks{};
  int64_t steps = 0;  // so many batches; 0: all
};

struct TrainOnBatchOptions {
  Tensor sample_weight{};
  std::map<int64_t, double> class_weight{};
};

/// What the epochs of a training reported.
class History {
 public:
  std::vector<int64_t> epoch;  // their numbers
  std::map<std::string, std::vector<double>, std::less<>> history;

  /// The numbers under a name, one an epoch. Error if there are none.
  const std::vector<double>& operator[](std::string_view name) const;
};

namespace detail {
struct ModelState;

/// A callable beside the module whose variables it uses.
template <class F, class M>
struct Called {
  F call;
  M module;

  Tensor operator()(const Tensor& x, bool training) const {
    if constexpr (std::is_invocable_r_v<Tensor, const F&, const Tensor&, bool>) return call(x, training);
    else return call(x);
  }
  void etch_visit(ModuleVisitor& visitor) const { visit_module(module, visitor); }
  Called etch_clone(Cloner&) const {
    throw Error("a Model of a callable cannot be cloned: what the callable captured is not seen; make a struct of both");
  }
};

}  // namespace detail

/// What a step of one's own works with, that of the Model: see Model.
class Trainer {
 public:
  explicit Trainer(detail::ModelState& state) : state_(state) {}

  const optimizers::Optimizer& optimizer() const;
  /// What the loss of compile() makes of a prediction, plus the regularization_loss of the module.
  [[nodiscard]] Tensor compute_loss(const Batch& batch, const Tensor& p) const;
  /// Takes a prediction into the metrics of compile().
  void update_metrics(const Batch& batch, const Tensor& p) const;

 private:
  detail::ModelState& state_;
};

/// Trains, evaluates and applies a module: any that maps a tensor to a tensor, called with `training` if it takes that. The model
/// holds a copy, which shares the variables. Names, defaults and the numbers that are reported are Keras'.
///
///   Model model(Mlp{});
///   model.compile(optimizers::Adam(1e-3), {losses::sparse_categorical_crossentropy, {.from_logits = true}},
///                 {.metrics = {metrics::SparseCategoricalAccuracy()}});
///   History history = model.fit(x, y, {.epochs = 10, .validation_split = 0.2});
///   Logs scores = model.evaluate(test_x, test_y);
///   Tensor p = model.predict(test_x);
///
/// A step is one traced function: forward pass, loss, backward pass, update and metrics. It is traced for each size of a batch,
/// and compiled for the first. A module that has train_step or test_step replaces them; it returns a loss, or names and scalars,
/// whose means over the samples of an epoch are reported beside the metrics:
///
///   StepLogs train_step(const Trainer& trainer, const Batch& batch) {
///     GradientTape tape;
///     Tensor p = (*this)(batch.x, true);
///     Tensor loss = trainer.compute_loss(batch, p);
///     auto variables = trainable_variables(*this);
///     trainer.optimizer().apply_gradients(tape.gradient(loss, variables), variables);
///     trainer.update_metrics(batch, p);
///     return {{"loss", loss}};
///   }
///
/// Copies share everything. variables(model), get_weights(model), set_trainable(model, false) and summarize(model) are those of the
/// module; what is frozen or set free counts from the next step on. One thread at a time trains or evaluates a model; any number
/// of them may predict meanwhile.
class Model {
 public:
  template <class M>
    requires(!std::is_same_v<M, Model> && std::is_convertible_v<M, layers::Layer>)
  explicit Model(M module) : Model(layers::Layer(std::move(module)), own_steps<M>()) {}
  /// A callable of a tensor, with or without `training`, and the module, or a tuple of several, whose variables it uses:
  ///
  ///   Model first([=](const Tensor& x) { return head(trunk(x)); }, std::tuple(trunk, head));
  template <class F, class M>
    requires(std::is_invocable_r_v<Tensor, const F&, const Tensor&> ||
             std::is_invocable_r_v<Tensor, const F&, const Tensor&, bool>)
  Model(F call, M module) : Model(layers::Layer(detail::Called<F, M>{std::move(call), std::move(module)}), OwnSteps()) {}

  /// Says how to train: begins anew with an optimizer, a loss and metrics. Metrics that do not give one number are updated, but
  /// not reported. Error for two metrics of one name, and for a metric that is called `loss`.
  void compile(optimizers::Optimizer optimizer, losses::Loss loss, TrainingOptions options = {},
               Location where = Location::current());

  /// Trains on all samples, in batches, epoch by epoch. Error unless compiled, for samples of different numbers, for options that
  /// make no sense, and for class weights beside sample weights. What throws out of a step leaves the variables as they were
  /// before it.
  History fit(const Tensor& x, const Tensor& y, const FitOptions& options = {}, Location where = Location::current());
  /// The same on a data set, or any other range of batches: one compiled step for each. batch_size, shuffle and seed are the data
  /// set's own; validation_split and sample_weight are an Error. An epoch is a walk, made with the epoch's number, or
  /// steps_per_epoch batches of a walk that goes on; if that ends early, so does the training, with a warning. A batch whose step
  /// throws is lost to that walk.
  ///
  ///   model.fit(data::from_tensor_slices(std::pair(x, y)).shuffle(1000).batch(32), {.epochs = 3, .validation_data = test});
  History fit(const BatchSet& data, const FitOptions& options = {}, Location where = Location::current());
  /// The loss and the metrics of samples.
  Logs evaluate(const Tensor& x, const Tensor& y, const EvaluateOptions& options = {}, Location where = Location::current());
  Logs evaluate(const BatchSet& data, const EvaluateOptions& options = {}, Location where = Location::current());
  /// What the module gives for samples.
  [[nodiscard]] Tensor predict(const Tensor& x, const PredictOptions& options = {}, Location where = Location::current());
  /// The same for the x of each batch.
  [[nodiscard]] Tensor predict(const BatchSet& data, const PredictOptions& options = {}, Location where = Location::current());

  /// One step of training. The metrics go on from where they stand; reset_metrics() begins anew.
  Logs train_on_batch(const Tensor& x, const Tensor& y, const TrainOnBatchOptions& options = {},
                      Location where = Location::current());
  Logs test_on_batch(const Tensor& x, const Tensor& y, const Tensor& sample_weight = {},
                     Location where = Location::current());
  void reset_metrics();

  /// The module.
  [[nodiscard]] Tensor operator()(const Tensor& x, bool training = false) const;
  /// The module itself, or nullptr if it is of another class.
  template <class M>
  M* get() const {
    return layer().template get<M>();
  }

  /// Ends the training after this batch; for callbacks.
  void stop_training();
  /// The place of the call that goes on, or of the last one: for the errors of callbacks.
  Location where() const;
  /// That of compile(). Error if there is none.
  const optimizers::Optimizer& optimizer(Location where = Location::current()) const;
  /// The metrics of compile(), the weighted ones last.
  const std::vector<metrics::Metric>& metrics() const;

  using TrainFunction = Function<StepLogs(Tensor x, std::optional<Tensor> y, std::optional<Tensor> sample_weight)>;
  /// The step of training, and that of evaluating: to be asked for its stats, its kernels, and why they are as they are, as in
  /// `model.train_function().explain(x, y, {})`. Error unless compiled.
  const TrainFunction& train_function(Location where = Location::current()) const;
  const TrainFunction& test_function(Location where = Location::current()) const;

  void etch_visit(detail::ModuleVisitor& visitor) const { layer().etch_visit(visitor); }
  /// It is not compiled.
  Model etch_clone(detail::Cloner& cloner) const;

 private:
  using OwnStep = StepLogs (*)(const layers::Layer& layer, const Trainer& trainer, const Batch& batch);
  struct OwnSteps {
    OwnStep train = nullptr, test = nullptr;
  };
  friend struct detail::ModelState;

  Model(layers::Layer layer, OwnSteps steps);
  const layers::Layer& layer() const;

  static StepLogs logs_of(StepLogs logs) { return logs; }
  static StepLogs logs_of(Tensor loss) { return {{"loss", std::move(loss)}}; }

  template <class M>
  static OwnSteps own_steps() {
    OwnSteps steps;
    if constexpr (requires(M& m, const Trainer& t, const Batch& b) { logs_of(m.train_step(t, b)); }) {
      steps.train = [](const layers::Layer& layer, const Trainer& trainer, const Batch& batch) {
        return logs_of(layer.get<M>()->train_step(trainer, batch));
      };
    }
    if constexpr (requires(M& m, const Trainer& t, const Batch& b) { logs_of(m.test_step(t, b)); }) {
      steps.test = [](const layers::Layer& layer, const Trainer& trainer, const Batch& batch) {
        return logs_of(layer.get<M>()->test_step(trainer, batch));
      };
    }
    return steps;
  }

  std::shared_ptr<detail::ModelState> state_;
};

}  // namespace etch
