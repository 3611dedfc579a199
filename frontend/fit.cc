// Walks of a Model over batches: training, evaluation and prediction.
#include <algorithm>
#include <list>

#include "compiler/ir/cat.h"
#include "etch/checkpoint.h"
#include "etch/random.h"
#include "frontend/batching.h"
#include "frontend/checkpoint/backup.h"
#include "frontend/default_seed.h"
#include "frontend/flags.h"
#include "frontend/model_state.h"
#include "frontend/progress.h"
#include "frontend/rows.h"

namespace etch {

using detail::BatchRange;
using detail::BatchWalk;
using detail::fail;
using detail::Hook;
using detail::Progress;

namespace {

void check_at_least(int64_t least, int64_t value, std::string_view option, std::string_view call, Location where) {
  if (value < least) fail(where, cat(call, ": ", option, " is ", value, "; it is ", least, " or more"));
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

/// Batches of samples that are cut, or those of a range.
class BatchSource {
 public:
  BatchSource(const BatchSet& data, int64_t size, std::optional<uint64_t> seed, std::string_view call, Location where)
      : data_(data) {
    if (data.range()) return;
    detail::check_samples(data.samples(), call, where);
    cut_ = std::make_unique<detail::SampleBatches>(data.samples(), size, seed);
  }
  /// The order of samples follows from another seed.
  void set_seed(uint64_t seed) {
    if (cut_) cut_->set_seed(seed);
  }
  std::unique_ptr<BatchWalk> walk(uint64_t epoch) const { return range().walk(epoch); }
  bool is_range() const { return data_.range() != nullptr; }
  /// Below 0 if it is not known.
  int64_t count() const { return range().count(); }

 private:
  BatchRange& range() const { return cut_ ? *cut_ : *data_.range(); }
  const BatchSet data_;
  std::unique_ptr<detail::SampleBatches> cut_;
};

/// Data with the weights of samples that an option has.
BatchSet with_option(const BatchSet& data, const Tensor& weight, std::string_view call, Location where) {
  if (!weight.defined()) return data;
  if (data.range()) {
    fail(where, cat(call, ": sample_weight is for tensors; a data set gives (x, y, sample_weight)"));
  }
  const Batch& samples = data.samples();
  if (samples.sample_weight.defined()) fail(where, cat(call, ": weights of samples are given twice"));
  return BatchSet(samples.x, samples.y, weight);
}

/// How many batches there will be, of which an option says a number or 0 for all.
int64_t expected_steps(int64_t option, const BatchSource& batches) {
  const int64_t count = batches.count();
  if (option == 0) return count;
  return count < 0 ? option : std::min(option, count);
}

int64_t samples_in(const Batch& batch, std::string_view call, Location where) {
  return detail::check_samples(batch, call, where);
}

/// The loss and the metrics of a walk.
Logs test(detail::ModelState& state, const Hooks& hooks, const BatchSource& batches, uint64_t epoch, int64_t steps,
          Progress& progress, std::string_view call) {
  Logs logs;
  state.reset_metrics();
  hooks(Hook::on_test_begin);
  const std::unique_ptr<BatchWalk> walk = batches.walk(epoch);
  Batch batch;
  int64_t number = 0;
  for (; (steps == 0 || number < steps) && walk->next(batch); ++number) {
    const int64_t samples = samples_in(batch, call, state.where);
    hooks(Hook::on_test_batch_begin, number);
    logs = state.run(batch, false);
    hooks(Hook::on_test_batch_end, number, logs);
    progress.step(samples, logs);
  }
  if (number == 0) fail(state.where, cat(call, ": there are no samples"));
  hooks(Hook::on_test_end, 0, logs);
  return logs;
}

}  // namespace

namespace detail {
namespace {

/// The states of all callbacks.
struct CallbackStates {
  const std::vector<Callback>& callbacks;

  SavedState save_state() const {
    SavedState state;
    state.set("count", static_cast<int64_t>(callbacks.size()));
    for (size_t i = 0; i < callbacks.size(); ++i) state.set_part(std::to_string(i), callbacks[i].save_state());
    return state;
  }
  void restore_state(const SavedState& state) {
    if (state.get<int64_t>("count") != static_cast<int64_t>(callbacks.size())) {
      throw Error(cat("there were ", state.get<int64_t>("count"), " callbacks, and now there are ", callbacks.size()));
    }
    for (size_t i = 0; i < callbacks.size(); ++i) {
      Callback callback = callbacks[i];
      if (const SavedState part = state.part(std::to_string(i)); !part.empty()) callback.restore_state(part);
    }
  }
};

/// Texts in one, and back. Names of metrics have no ends of lines.
std::string lines_of(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) lines += text + "\n";
  return lines;
}
std::vector<std::string> split_lines(std::string_view lines) {
  std::vector<std::string> texts;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    texts.emplace_back(lines.substr(0, end));
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return texts;
}

template <class T>
Tensor tensor_of(const std::vector<T>& values) {
  return Tensor::from(values, Shape(static_cast<int64_t>(values.size())));
}

}  // namespace

/// One call of fit: how far it is, and how it goes on.
class FitRun {
 public:
  FitRun(Model& model, ModelState& state, BatchSource& batches, std::optional<BatchSource> validation, uint64_t seed,
         const FitOptions& options, Location where)
      : state_(state),
        batches_(batches),
        validation_(std::move(validation)),
        options_(options),
        seed_(seed),
        hooks_(model, options.callbacks),
        callback_states_{options.callbacks},
        epoch_(options.initial_epoch) {
    for (const Callback& callback : options.callbacks) {
      if (const auto* backup = callback.get<callbacks::BackupAndRestore>()) {
        backups_.emplace_back(*backup, objects(), where);
      }
    }
  }

  History run() {
    bool is_restored = false;
    for (Backup& backup : backups_) {
      if (!is_restored) is_restored = backup.read();
      backup.restore(false);  // so that the hooks see what they would have seen
    }
    hooks_(Hook::on_train_begin);
    if (is_restored && !is_inside_) restore();
    while (epoch_ < options_.epochs && !(state_.stops && !is_inside_)) {
      const bool resumes = is_inside_;
      hooks_(Hook::on_epoch_begin, epoch_);
      if (resumes) restore();
      else begin_epoch();
      if (!run_epoch()) break;
    }
    if (!history_.epoch.empty()) state_.optimizer->finalize_variable_values(etch::trainable_variables(state_.layer));
    hooks_(Hook::on_train_end, 0, logs_);
    for (Backup& backup : backups_) backup.finish();
    return std::move(history_);
  }

  SavedState save_state() const {
    SavedState state;
    state.set("epoch", epoch_);
    state.set("batch", batch_);
    state.set("batches_done", batches_done_);
    state.set("is_inside", is_inside_);
    state.set("stops", state_.stops);
    state.set("seed", seed_);
    state.set("steps_known", steps_known_);
    std::vector<std::string> names;
    std::vector<double> values;
    for (const auto& [name, value] : logs_) {
      names.push_back(name);
      values.push_back(value);
    }
    state.set("logs/names", lines_of(names));
    state.set("logs/values", tensor_of(values));
    names.clear();
    for (const auto& [name, numbers] : history_.history) {
      state.set(cat("history/", names.size()), tensor_of(numbers));
      names.push_back(name);
    }
    state.set("history/names", lines_of(names));
    state.set("history/epochs", tensor_of(history_.epoch));
    names.clear();
    for (const auto& [name, mean] : state_.trackers) names.push_back(name);
    state.set("reports", lines_of(names));
    if (walk_ && (is_inside_ || options_.steps_per_epoch > 0)) {
      state.set("walk_number", walk_number_);
      state.set_part("walk", walk_->save_state());
    }
    return state;
  }

  void restore_state(const SavedState& state) {
    // What a step reports has a mean, which the first step makes.
    for (const std::string& name : split_lines(state.get<std::string>("reports"))) state_.trackers[name];
    epoch_ = state.get<int64_t>("epoch");
    batch_ = state.get<int64_t>("batch");
    batches_done_ = state.get<int64_t>("batches_done");
    is_inside_ = state.get<bool>("is_inside");
    state_.stops = state.get<bool>("stops");
    seed_ = state.get<uint64_t>("seed");
    batches_.set_seed(seed_);
    steps_known_ = state.get<int64_t>("steps_known");
    if (!restores_walk_) return;
    logs_ = {};
    const auto values = state.get<Tensor>("logs/values").to_vector<double>();
    const std::vector<std::string> names = split_lines(state.get<std::string>("logs/names"));
    for (size_t i = 0; i < std::min(names.size(), values.size()); ++i) logs_.set(names[i], values[i]);
    history_ = {};
    history_.epoch = state.get<Tensor>("history/epochs").to_vector<int64_t>();
    size_t number = 0;
    for (const std::string& name : split_lines(state.get<std::string>("history/names"))) {
      history_.history[name] = state.get<Tensor>(cat("history/", number++)).to_vector<double>();
    }
    const SavedState walk = state.part("walk");
    if (walk.empty()) return;
    begin_walk(state.get<uint64_t>("walk_number"));
    if (walk_->replays()) {
      warn(cat("fit: the data set has no position to go back to; the ", batch_,
               " batches of this epoch so far are taken and"
               " dropped"));
    }
    walk_->restore_state(walk);
  }

 private:
  /// All that decides how the training goes on.
  std::vector<NamedObject> objects() {
    std::vector<NamedObject> objects;
    objects.push_back(named("fit", *this));
    objects.push_back(named("random", default_seed_));
    objects.push_back(named("callbacks", callback_states_));
    objects.push_back(named("model", state_.layer));
    objects.push_back(named("optimizer", *state_.optimizer));
    objects.push_back(named("metrics", state_.metrics));
    objects.push_back(named("reports", state_.trackers));
    return objects;
  }

  void restore() {
    restores_walk_ = true;
    for (Backup& backup : backups_) backup.restore(true);
    restores_walk_ = false;
  }

  void begin_walk(uint64_t number) {
    walk_number_ = number;
    walk_ = batches_.walk(number);
  }

  void begin_epoch() {
    if (!walk_ || options_.steps_per_epoch == 0) begin_walk(static_cast<uint64_t>(epoch_));
    state_.reset_metrics();
    logs_ = {};
    batch_ = 0;
    is_inside_ = true;
  }

  /// False if there was nothing to train on any more.
  bool run_epoch() {
    int64_t expected = expected_steps(options_.steps_per_epoch, batches_);
    if (expected < 0 && steps_known_ > 0) expected = steps_known_;
    Progress progress(target_of(options_.verbose), cat("epoch ", epoch_ + 1, "/", options_.epochs), expected);
    for (int64_t i = 0; i < batch_; ++i) progress.step(0, logs_);  // those before the training was killed
    const bool is_whole = train(progress);
    if (batch_ == 0) return false;
    steps_known_ = batch_;
    if (is_validated()) {
      Progress silent({}, "", 0);
      const Logs scores = test(state_, hooks_, *validation_, static_cast<uint64_t>(epoch_), options_.validation_steps,
                               silent, "fit's validation_data");
      for (const auto& [name, value] : scores) logs_.set("val_" + name, value);
    }
    hooks_(Hook::on_epoch_end, epoch_, logs_);
    progress.end(logs_);
    history_.epoch.push_back(epoch_);
    for (const auto& [name, value] : logs_) history_.history[name].push_back(value);
    ++epoch_;
    batch_ = 0;
    is_inside_ = false;
    if (!is_whole) state_.stops = true;
    for (Backup& backup : backups_) backup.after_epoch();
    return true;
  }

  bool is_validated() const { return validation_ && (epoch_ + 1) % options_.validation_freq == 0; }

  /// The batches of an epoch, or those that are left of it. False if the data ended before the epoch.
  bool train(Progress& progress) {
    const bool has_steps = options_.steps_per_epoch > 0;
    Batch batch;
    while (batch_ == 0 || !state_.stops) {
      if (has_steps && batch_ >= options_.steps_per_epoch) return true;
      if (!walk_->next(batch)) {
        if (batch_ == 0 && !has_steps) fail(state_.where, "fit: there are no samples");
        if (has_steps) {
          warn(cat("fit: the data ended after ", batch_, " of ", options_.steps_per_epoch, " batches of epoch ",
                   epoch_ + 1, "; the training ends. A data set that is to go on is made with repeat()"));
        }
        return !has_steps;
      }
      const int64_t samples = samples_in(batch, "fit", state_.where);
      hooks_(Hook::on_train_batch_begin, batch_);
      if (batches_.is_range()) batch = with_weights(std::move(batch), options_.class_weight, "fit", state_.where);
      logs_ = state_.run(batch, true);
      hooks_(Hook::on_train_batch_end, batch_, logs_);
      progress.step(samples, logs_);
      ++batch_;
      ++batches_done_;
      for (Backup& backup : backups_) backup.after_batch(batches_done_);
    }
    return true;
  }

  ModelState& state_;
  BatchSource& batches_;
  const std::optional<BatchSource> validation_;
  const FitOptions& options_;
  uint64_t seed_;
  const Hooks hooks_;
  CallbackStates callback_states_;
  DefaultSeed default_seed_;
  std::list<Backup> backups_;

  int64_t epoch_;
  int64_t batch_ = 0;         // of the epoch, that comes next
  int64_t batches_done_ = 0;  // of all epochs
  bool is_inside_ = false;    // the epoch has begun
  uint64_t walk_number_ = 0;
  std::unique_ptr<BatchWalk> walk_;
  int64_t steps_known_ = 0;  // of the epoch before
  Logs logs_;
  History history_;
  bool restores_walk_ = false;
};

}  // namespace detail

History Model::fit(const Tensor& x, const Tensor& y, const FitOptions& options, Location where) {
  state_->check_compiled("fit", where);
  return fit(BatchSet(x, y), options, where);
}

History Model::fit(const BatchSet& given, const FitOptions& options, Location where) {
  detail::ModelState& state = *state_;
  state.check_compiled("fit", where);
  if (!given.defined()) fail(where, "fit: there is no data");
  BatchSet data = with_option(given, options.sample_weight, "fit", where), validation = options.validation_data;
  if (!data.range()) detail::check_samples(data.samples(), "fit", where);
  check_at_least(1, options.batch_size, "batch_size", "fit", where);
  check_at_least(1, options.validation_freq, "validation_freq", "fit", where);
  check_at_least(0, options.steps_per_epoch, "steps_per_epoch", "fit", where);
  check_at_least(0, options.validation_steps, "validation_steps", "fit", where);
  if (data.range() && options.validation_split != 0) {
    fail(where,
         "fit: validation_split is for tensors; of a data set take() and skip() give two parts, one for "
         "validation_data");
  }
  if (!validation.defined() && options.validation_split != 0) {
    Batch samples = data.samples();
    validation = detail::split_off(samples, options.validation_split, where);
    data = std::move(samples);
  }
  if (!data.range()) data = detail::with_weights(data.samples(), options.class_weight, "fit", where);
  state.where = where;
  state.stops = false;

  const bool shuffles = options.shuffle && !data.range();
  const std::optional<uint64_t> seed =
      shuffles ? std::optional(options.seed ? *options.seed : random::next_seed()) : std::nullopt;
  const int64_t validation_size =
      options.validation_batch_size > 0 ? options.validation_batch_size : options.batch_size;
  std::optional<BatchSource> validated;
  if (validation.defined()) {
    validated.emplace(validation, validation_size, std::nullopt, "fit's validation_data", where);
  }
  BatchSource batches(data, options.batch_size, seed, "fit", where);
  return detail::FitRun(*this, state, batches, std::move(validated), seed.value_or(0), options, where).run();
}

Logs Model::evaluate(const Tensor& x, const Tensor& y, const EvaluateOptions& options, Location where) {
  state_->check_compiled("evaluate", where);
  return evaluate(BatchSet(x, y), options, where);
}

Logs Model::evaluate(const BatchSet& given, const EvaluateOptions& options, Location where) {
  detail::ModelState& state = *state_;
  state.check_compiled("evaluate", where);
  if (!given.defined()) fail(where, "evaluate: there is no data");
  const BatchSet data = with_option(given, options.sample_weight, "evaluate", where);
  const BatchSource batches(data, options.batch_size, std::nullopt, "evaluate", where);
  check_at_least(1, options.batch_size, "batch_size", "evaluate", where);
  check_at_least(0, options.steps, "steps", "evaluate", where);
  state.where = where;
  Progress progress(target_of(options.verbose), "evaluate", expected_steps(options.steps, batches));
  const Logs logs = test(state, Hooks(*this, options.callbacks), batches, 0, options.steps, progress, "evaluate");
  progress.end(logs);
  return logs;
}

Tensor Model::predict(const Tensor& x, const PredictOptions& options, Location where) {
  return predict(BatchSet(Batch{x}), options, where);
}

Tensor Model::predict(const BatchSet& data, const PredictOptions& options, Location where) {
  detail::ModelState& state = *state_;
  if (!data.defined()) fail(where, "predict: there is no data");
  const BatchSource batches(data, options.batch_size, std::nullopt, "predict", where);
  check_at_least(1, options.batch_size, "batch_size", "predict", where);
  check_at_least(0, options.steps, "steps", "predict", where);
  state.where = where;
  const Hooks hooks(*this, options.callbacks);
  Progress progress(target_of(options.verbose), "predict", expected_steps(options.steps, batches));
  std::vector<Tensor> parts;
  hooks(Hook::on_predict_begin);
  const std::unique_ptr<BatchWalk> walk = batches.walk(0);
  Batch batch;
  for (int64_t number = 0; (options.steps == 0 || number < options.steps) && walk->next(batch); ++number) {
    hooks(Hook::on_predict_batch_begin, number);
    const int64_t samples = detail::count_rows(batch.x, "predict", where);
    parts.push_back(state.runs_eagerly ? state.layer(Operand(batch.x, where), false) : state.apply(batch.x, where));
    const bool has_rows = parts.back().rank() > 0 && parts.back().shape()[0] == samples;
    if (!has_rows) {
      fail(where, cat("predict: the module made ", to_string(Type{parts.back().dtype(), parts.back().shape()}), " of ",
                      samples, " samples; it must give one row for each"));
    }
    hooks(Hook::on_predict_batch_end, number);
    progress.step(samples, {});
  }
  if (parts.empty()) fail(where, "predict: there are no samples");
  hooks(Hook::on_predict_end);
  progress.end({});
  return detail::join_rows(parts);
}

}  // namespace etch
