// A Model's steps, and what it is compiled with.
#include "etch/model.h"

#include <set>

#include "compiler/ir/cat.h"
#include "frontend/batching.h"
#include "frontend/model_state.h"
#include "frontend/tensor_impl.h"

namespace etch {

using detail::fail;

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

void detail::ModelState::check_compiled(std::string_view call, Location place) const {
  if (!is_compiled) fail(place, cat(call, ": the model is not compiled; call compile(optimizer, loss) first"));
}

Logs Model::train_on_batch(const Tensor& x, const Tensor& y, const TrainOnBatchOptions& options, Location where) {
  state_->check_compiled("train_on_batch", where);
  const Batch data{x, y, options.sample_weight};
  detail::check_samples(data, "train_on_batch", where);
  state_->where = where;
  return state_->run(detail::with_weights(data, options.class_weight, "train_on_batch", where), true);
}

Logs Model::test_on_batch(const Tensor& x, const Tensor& y, const Tensor& sample_weight, Location where) {
  state_->check_compiled("test_on_batch", where);
  const Batch data{x, y, sample_weight};
  detail::check_samples(data, "test_on_batch", where);
  state_->where = where;
  return state_->run(data, false);
}

void Model::reset_metrics() { state_->reset_metrics(); }

void Model::stop_training() { state_->stops = true; }

Location Model::where() const { return state_->where; }

const optimizers::Optimizer& Model::optimizer(Location where) const {
  state_->check_compiled("optimizer", where);
  return *state_->optimizer;
}

const std::vector<metrics::Metric>& Model::metrics() const { return state_->metrics; }

const Model::TrainFunction& Model::train_function(Location where) const {
  state_->check_compiled("train_function", where);
  return state_->train;
}

const Model::TrainFunction& Model::test_function(Location where) const {
  state_->check_compiled("test_function", where);
  return state_->test;
}

}  // namespace etch
