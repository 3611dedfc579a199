// What stands behind a Model.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/ir/cat.h"
#include "etch/gradient_tape.h"
#include "etch/model.h"
#include "frontend/tensor_impl.h"

namespace etch {
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

  void check_compiled(std::string_view call, Location place) const;

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

}  // namespace etch
