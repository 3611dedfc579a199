// The walks of a Model over samples, and its steps.
#include "etch/model.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <set>

#include "compiler/ir/cat.h"
#include "etch/gradient_tape.h"
#include "etch/random.h"
#include "frontend/progress.h"
#include "frontend/rows.h"
#include "frontend/tensor_impl.h"

namespace etch {

using detail::fail;
using detail::Hook;
using detail::Progress;

namespace detail {

/// What copies of a Model share.
struct [[gnu::visibility("hidden")]] ModelState {
  layers::Layer layer;
  Model::OwnSteps own;
  bool is_compiled = false;
  std::optional<optimizers::Optimizer> optimizer;
  losses::Loss loss;
  std::vector<metrics::Metric> metrics;
  size_t num_unweighted = 0;  // the first ones
  std::map<std::string, metrics::Mean> trackers;  // of what steps report
  bool runs_eagerly = false;
  Model::TrainFunction train, test;
  Function<Tensor(Tensor)> apply;
  bool stops = false;
  std::atomic<Location> where{Location()};  // of the call that steps belong to; threads that predict write it

  void make_apply(FunctionOptions options) {
    if (options.name.empty()) options.name = "predict_step";
    apply = function([this](Tensor x) { return layer(Operand(x, where), false); }, std::move(options), where);
  }

  StepLogs train_step(const Batch& batch) {
    const Trainer trainer(*this);
    if (own.train) return tracked(own.train(layer, trainer, batch), batch);
    GradientTape tape;
    const Tensor p = layer(Operand(batch.x, where), true);
    const Tensor loss = trainer.compute_loss(batch, p);
    const std::vector<Variable> variables = etch::trainable_variables(layer);
    if (variables.empty()) {
      fail(where, "Model: there is nothing to train: no variable of the module is trainable; set_trainable(model, true) sets"
                  " free what was frozen");
    }
    const std::vector<Tensor> gradients = tape.gradient(loss, variables, GradientOptions(), where);
    optimizer->apply_gradients(gradients, variables, where);
    trainer.update_metrics(batch, p);
    return tracked({{"loss", loss}}, batch);
  }

  StepLogs test_step(const Batch& batch) {
    const Trainer trainer(*this);
    if (own.test) return tracked(own.test(layer, trainer, batch), batch);
    const Tensor p = layer(Operand(batch.x, where), false);
    const Tensor loss = trainer.compute_loss(batch, p);
    trainer.update_metrics(batch, p);
    return tracked({{"loss", loss}}, batch);
  }

  /// The means so far of what a step reports, weighted by the samples of each batch, and the metrics.
  StepLogs tracked(StepLogs logs, const Batch& batch) {
    for (auto& [name, value] : logs) {
      if (value.rank() != 0) {
        fail(where, cat("Model: a step reports ", name, " as ", to_string(Type{value.dtype(), value.shape()}),
                        "; what it reports is one number each"));
      }
      const metrics::Mean& mean = trackers[name];
      mean.update_state(Operand(value, where), full({}, static_cast<double>(batch.x.shape()[0]), DType::f32));
      value = mean.result(where);
    }
    for (const metrics::Metric& metric : metrics) {
      const Tensor result = metric.result();
      if (result.rank() == 0) logs.emplace_back(metric.name(), result);
    }
    return logs;
  }

  void reset_metrics() const {
    for (const auto& [name, mean] : trackers) mean.reset_state();
    for (const metrics::Metric& metric : metrics) metric.reset_state();
  }

  Logs run(const Batch& batch, bool is_training) {
    const auto given = [](const Tensor& x) { return x.defined() ? std::optional(x) : std::nullopt; };
    const auto step = [&] { return is_training ? train_step(batch) : test_step(batch); };
    const Model::TrainFunction& compiled = is_training ? train : test;
    const StepLogs values =
        runs_eagerly ? step() : compiled(batch.x, given(batch.y), given(batch.sample_weight), where);
    Logs logs;
    for (const auto& [name, value] : values) {
      const bool is_f32 = value.dtype() == DType::f32;
      logs.set(name, is_f32 ? value.item<float>() : cast(value, DType::f64).item<double>());
    }
    return logs;
  }
};

}  // namespace detail

const optimizers::Optimizer& Trainer::optimizer() const { return *state_.optimizer; }

Tensor Trainer::compute_loss(const Batch& batch, const Tensor& p) const {
  const Location where = state_.where;
  if (!batch.y.defined()) fail(where, "Model: the loss needs y; a module with a train_step of its own may do without");
  const Tensor loss = state_.loss(batch.y, p, batch.sample_weight, where);
  if (loss.rank() != 0) {
    fail(where, cat("Model: the loss of a batch is ", to_string(Type{loss.dtype(), loss.shape()}),
                    "; to train by it takes one number: leave its reduction at mean"));
  }
  const Tensor of_weights = detail::regularization_loss(trainable_variables(state_.layer), where);
  return of_weights.defined() ? loss + cast(of_weights, loss.dtype()) : loss;
}

void Trainer::update_metrics(const Batch& batch, const Tensor& p) const {
  for (size_t i = 0; i < state_.metrics.size(); ++i) {
    const bool is_weighted = i >= state_.num_unweighted;
    state_.metrics[i].update_state(Operand(batch.y, state_.where), Operand(p, state_.where),
                                   is_weighted ? batch.sample_weight : Tensor());
  }
}

const std::vector<double>& History::operator[](std::string_view name) const {
  const auto found = history.find(name);
  if (found != history.end()) return found->second;
  std::string names;
  for (const auto& [known, values] : history) names += cat(names.empty() ? "" : ", ", known);
  throw Error(cat("History: there is no ", name, "; there are: ", names.empty() ? "none" : names));
}

Model::Model(layers::Layer layer, OwnSteps steps) : state_(std::make_shared<detail::ModelState>()) {
  state_->layer = std::move(layer);
  state_->own = steps;
  state_->make_apply({.on_retrace = Retrace::allow});
}

const layers::Layer& Model::layer() const { return state_->layer; }

Model Model::etch_clone(detail::Cloner& cloner) const { return Model(layer().etch_clone(cloner), state_->own); }

Tensor Model::operator()(const Tensor& x, bool training) const { return layer()(x, training); }

void Model::compile(optimizers::Optimizer optimizer, losses::Loss loss, TrainingOptions options, Location where) {
  if (!loss) fail(where, "compile: there is no loss");
  std::set<std::string> names{"loss"};
  for (const auto* metrics : {&options.metrics, &options.weighted_metrics}) {
    for (const metrics::Metric& metric : *metrics) {
      if (names.insert(metric.name()).second) continue;
      fail(where, cat("compile: the name ", metric.name(),
                      " stands twice; name a metric as in {\"other\", metrics::Accuracy()}"));
    }
  }
  detail::ModelState& state = *state_;
  state.where = where;
  state.optimizer = std::move(optimizer);
  state.loss = std::move(loss);
  state.num_unweighted = options.metrics.size();
  state.metrics = std::move(options.metrics);
  state.metrics.insert(state.metrics.end(), options.weighted_metrics.begin(), options.weighted_metrics.end());
  state.trackers = {{"loss", metrics::Mean()}};
  state.runs_eagerly = options.run_eagerly;

  // Batches of several sizes are no mistake.
  if (options.function.on_retrace == Retrace::warn) options.function.on_retrace = Retrace::allow;
  const auto named = [&](const char* name) {
    FunctionOptions own = options.function;
    if (own.name.empty()) own.name = name;
    return own;
  };
  using Optional = std::optional<Tensor>;
  state.train = function(
      [&state](Tensor x, Optional y, Optional weight) {
        return state.train_step({x, y.value_or(Tensor()), weight.value_or(Tensor())});
      },
      named("train_step"), where);
  state.test = function(
      [&state](Tensor x, Optional y, Optional weight) {
        return state.test_step({x, y.value_or(Tensor()), weight.value_or(Tensor())});
      },
      named("test_step"), where);
  state.make_apply(named("predict_step"));
  state.is_compiled = true;
}

namespace {

void check_compiled(const detail::ModelState& state, std::string_view call, Location where) {
  if (!state.is_compiled) fail(where, cat(call, ": the model is not compiled; call compile(optimizer, loss) first"));
}

/// How many samples there are. Error unless x, y and weights, as far as there are such, have as many.
int64_t check_samples(const Batch& data, std::string_view call, Location where) {
  const int64_t n = detail::count_rows(data.x, call, where);
  const auto check = [&](const Tensor& other, const char* name) {
    if (!other.defined()) return;
    const int64_t rows = detail::count_rows(other, call, where);
    if (rows != n) fail(where, cat(call, ": x has ", n, " samples, but ", name, " ", rows));
  };
  check(data.y, "y");
  check(data.sample_weight, "sample_weight");
  if (n == 0) fail(where, cat(call, ": there are no samples"));
  return n;
}

void check_at_least_one(int64_t value, std::string_view option, std::string_view call, Location where) {
  if (value < 1) fail(where, cat(call, ": ", option, " is ", value, "; it is 1 or more"));
}

/// A weight for each sample by its label: an integer, or the place of the largest of several.
Tensor weights_of_classes(const Tensor& y, const std::map<int64_t, double>& class_weight, Location where) {
  const bool has_columns = y.rank() > 1 && y.shape()[y.rank() - 1] != 1;
  const Tensor labels = cast(has_columns ? argmax(Operand(y, where), -1) : y, DType::i64);
  std::vector<float> weights;
  for (int64_t label : labels.to_vector<int64_t>()) {
    const auto known = class_weight.find(label);
    weights.push_back(known == class_weight.end() ? 1.f : static_cast<float>(known->second));
  }
  return Tensor::from(weights, has_columns ? labels.shape() : Shape(y.shape()[0]), where);
}

/// Samples with the weights that their classes have.
Batch with_weights(Batch data, const std::map<int64_t, double>& class_weight, std::string_view call, Location where) {
  if (class_weight.empty()) return data;
  if (data.sample_weight.defined()) fail(where, cat(call, ": class_weight and sample_weight are given; there may be one"));
  if (!data.y.defined()) fail(where, cat(call, ": class_weight needs y"));
  data.sample_weight = weights_of_classes(data.y, class_weight, where);
  return data;
}

Batch rows_of(const Batch& data, std::span<const int64_t> numbers) {
  const auto rows = [&](const Tensor& x) { return x.defined() ? detail::take_rows(x, numbers) : Tensor(); };
  return {rows(data.x), rows(data.y), rows(data.sample_weight)};
}

std::vector<int64_t> numbers_between(int64_t begin, int64_t end) {
  std::vector<int64_t> numbers(static_cast<size_t>(end - begin));
  for (int64_t i = begin; i < end; ++i) numbers[static_cast<size_t>(i - begin)] = i;
  return numbers;
}

/// Calls `step(number, rows)` for each batch, until it gives false.
template <class Step>
void for_each_batch(std::span<const int64_t> order, int64_t batch_size, const Step& step) {
  const auto size = static_cast<size_t>(batch_size);
  int64_t number = 0;
  for (size_t first = 0; first < order.size(); first += size) {
    if (!step(number++, order.subspan(first, std::min(size, order.size() - first)))) return;
  }
}

detail::ProgressTarget target_of(Verbose verbose) {
  if (verbose == Verbose::silent) return {};
  const bool is_bar = verbose == Verbose::bar || (verbose == Verbose::automatic && detail::is_terminal());
  return detail::standard_output(is_bar);
}

/// Calls the hooks of callbacks in their order.
class Hooks {
 public:
  Hooks(Model& model, const std::vector<Callback>& callbacks) : model_(model), callbacks_(callbacks) {}

  void operator()(Hook hook, int64_t number = 0) const {
    Logs none;
    (*this)(hook, number, none);
  }
  void operator()(Hook hook, int64_t number, Logs& logs) const {
    for (const Callback& callback : callbacks_) callback.call(hook, model_, number, logs);
  }

 private:
  Model& model_;
  const std::vector<Callback>& callbacks_;
};

/// How training goes over samples and how validation does.
struct Walk {
  detail::ModelState& state;
  const Hooks& hooks;
  int64_t batch_size;

  /// A training's epoch over rows in an order.
  Logs train(const Batch& data, std::span<const int64_t> order, Progress& progress) const {
    Logs logs;
    state.reset_metrics();
    for_each_batch(order, batch_size, [&](int64_t number, std::span<const int64_t> rows) {
      hooks(Hook::on_train_batch_begin, number);
      logs = state.run(rows_of(data, rows), true);
      hooks(Hook::on_train_batch_end, number, logs);
      progress.step(static_cast<int64_t>(rows.size()), logs);
      return !state.stops;
    });
    return logs;
  }

  Logs test(const Batch& data, Progress& progress) const {
    Logs logs;
    state.reset_metrics();
    hooks(Hook::on_test_begin);
    for_each_batch(numbers_between(0, data.x.shape()[0]), batch_size, [&](int64_t number, std::span<const int64_t> rows) {
      hooks(Hook::on_test_batch_begin, number);
      logs = state.run(rows_of(data, rows), false);
      hooks(Hook::on_test_batch_end, number, logs);
      progress.step(static_cast<int64_t>(rows.size()), logs);
      return true;
    });
    hooks(Hook::on_test_end, 0, logs);
    return logs;
  }
};

int64_t num_batches(int64_t samples, int64_t batch_size) { return (samples + batch_size - 1) / batch_size; }

/// Takes the last part of samples out for validation.
Batch split_off(Batch& data, double part, Location where) {
  if (!(part > 0 && part < 1)) {
    fail(where, cat("fit: validation_split is ", detail::number_text(part), "; it is a part, above 0 and below 1"));
  }
  const int64_t n = data.x.shape()[0];
  const auto kept = static_cast<int64_t>(std::floor(static_cast<double>(n) * (1 - part)));
  if (kept == 0 || kept == n) {
    fail(where, cat("fit: validation_split ", detail::number_text(part), " of ", n, " samples leaves none for ",
                    kept == 0 ? "training" : "validation"));
  }
  Batch validation = rows_of(data, numbers_between(kept, n));
  data = rows_of(data, numbers_between(0, kept));
  return validation;
}

}  // namespace

History Model::fit(const Tensor& x, const Tensor& y, const FitOptions& options, Location where) {
  detail::ModelState& state = *state_;
  check_compiled(state, "fit", where);
  Batch data = {x, y, options.sample_weight};
  check_samples(data, "fit", where);
  check_at_least_one(options.batch_size, "batch_size", "fit", where);
  check_at_least_one(options.validation_freq, "validation_freq", "fit", where);
  Batch validation = options.validation_data;
  if (validation.x.defined()) check_samples(validation, "fit's validation_data", where);
  else if (options.validation_split != 0) validation = split_off(data, options.validation_split, where);
  data = with_weights(std::move(data), options.class_weight, "fit", where);
  state.where = where;
  state.stops = false;

  const int64_t n = data.x.shape()[0];
  const int64_t validation_size = options.validation_batch_size > 0 ? options.validation_batch_size : options.batch_size;
  const uint64_t seed = options.seed ? *options.seed : options.shuffle ? random::next_seed() : 0;
  const Hooks hooks(*this, options.callbacks);
  const Walk walk{state, hooks, options.batch_size}, validation_walk{state, hooks, validation_size};
  History history;
  Logs logs;
  hooks(Hook::on_train_begin);
  for (int64_t epoch = options.initial_epoch; epoch < options.epochs && !state.stops; ++epoch) {
    hooks(Hook::on_epoch_begin, epoch);
    Progress progress(target_of(options.verbose), cat("epoch ", epoch + 1, "/", options.epochs),
                      num_batches(n, options.batch_size));
    std::vector<int64_t> order = numbers_between(0, n);
    if (options.shuffle) {
      const Tensor key(std::array<uint64_t, 3>{0, static_cast<uint64_t>(epoch), seed});
      order = random::permutation(key, n).to_vector<int64_t>();
    }
    logs = walk.train(data, order, progress);
    const bool is_validated = validation.x.defined() && (epoch + 1) % options.validation_freq == 0;
    if (is_validated) {
      Progress silent({}, "", 0);
      for (const auto& [name, value] : validation_walk.test(validation, silent)) logs.set("val_" + name, value);
    }
    hooks(Hook::on_epoch_end, epoch, logs);
    progress.end(logs);
    history.epoch.push_back(epoch);
    for (const auto& [name, value] : logs) history.history[name].push_back(value);
  }
  if (!history.epoch.empty()) state.optimizer->finalize_variable_values(trainable_variables(*this));
  hooks(Hook::on_train_end, 0, logs);
  return history;
}

Logs Model::evaluate(const Tensor& x, const Tensor& y, const EvaluateOptions& options, Location where) {
  detail::ModelState& state = *state_;
  check_compiled(state, "evaluate", where);
  const Batch data{x, y, options.sample_weight};
  const int64_t n = check_samples(data, "evaluate", where);
  check_at_least_one(options.batch_size, "batch_size", "evaluate", where);
  state.where = where;
  Progress progress(target_of(options.verbose), "evaluate", num_batches(n, options.batch_size));
  const Logs logs = Walk{state, Hooks(*this, options.callbacks), options.batch_size}.test(data, progress);
  progress.end(logs);
  return logs;
}

Tensor Model::predict(const Tensor& x, const PredictOptions& options, Location where) {
  detail::ModelState& state = *state_;
  const Batch data{x};
  const int64_t n = check_samples(data, "predict", where);
  check_at_least_one(options.batch_size, "batch_size", "predict", where);
  state.where = where;
  const Hooks hooks(*this, options.callbacks);
  Progress progress(target_of(options.verbose), "predict", num_batches(n, options.batch_size));
  std::vector<Tensor> parts;
  hooks(Hook::on_predict_begin);
  for_each_batch(numbers_between(0, n), options.batch_size, [&](int64_t number, std::span<const int64_t> rows) {
    hooks(Hook::on_predict_batch_begin, number);
    const Batch batch = rows_of(data, rows);
    parts.push_back(state.runs_eagerly ? state.layer(Operand(batch.x, where), false) : state.apply(batch.x, where));
    const bool has_rows = parts.back().rank() > 0 && parts.back().shape()[0] == static_cast<int64_t>(rows.size());
    if (!has_rows) {
      fail(where, cat("predict: the module made ", to_string(Type{parts.back().dtype(), parts.back().shape()}), " of ",
                      rows.size(), " samples; it must give one row for each"));
    }
    hooks(Hook::on_predict_batch_end, number);
    progress.step(static_cast<int64_t>(rows.size()), {});
    return true;
  });
  hooks(Hook::on_predict_end);
  progress.end({});
  return detail::join_rows(parts);
}

Logs Model::train_on_batch(const Tensor& x, const Tensor& y, const TrainOnBatchOptions& options, Location where) {
  check_compiled(*state_, "train_on_batch", where);
  const Batch data{x, y, options.sample_weight};
  check_samples(data, "train_on_batch", where);
  state_->where = where;
  return state_->run(with_weights(data, options.class_weight, "train_on_batch", where), true);
}

Logs Model::test_on_batch(const Tensor& x, const Tensor& y, const Tensor& sample_weight, Location where) {
  check_compiled(*state_, "test_on_batch", where);
  const Batch data{x, y, sample_weight};
  check_samples(data, "test_on_batch", where);
  state_->where = where;
  return state_->run(data, false);
}

void Model::reset_metrics() { state_->reset_metrics(); }

void Model::stop_training() { state_->stops = true; }

Location Model::where() const { return state_->where; }

const optimizers::Optimizer& Model::optimizer(Location where) const {
  check_compiled(*state_, "optimizer", where);
  return *state_->optimizer;
}

const std::vector<metrics::Metric>& Model::metrics() const { return state_->metrics; }

const Model::TrainFunction& Model::train_function(Location where) const {
  check_compiled(*state_, "train_function", where);
  return state_->train;
}

const Model::TrainFunction& Model::test_function(Location where) const {
  check_compiled(*state_, "test_function", where);
  return state_->test;
}

}  // namespace etch
