// The callbacks, as Keras 3's.
#include "etch/callbacks.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "compiler/ir/cat.h"
#include "etch/checkpoint.h"
#include "etch/model.h"
#include "etch/module.h"
#include "frontend/checkpoint/file_name.h"
#include "frontend/flags.h"
#include "frontend/tensor_impl.h"

namespace etch {
namespace {

std::string names_of(const Logs& logs) {
  std::string names;
  for (const auto& [name, value] : logs) names += cat(names.empty() ? "" : ", ", name);
  return names.empty() ? "none" : names;
}

/// The shortest text that reads as the same number, of f32 if it is one.
std::string shortest(double value) {
  char text[32];
  const auto narrow = static_cast<float>(value);
  const bool is_f32 = static_cast<double>(narrow) == value;
  const std::to_chars_result end =
      is_f32 ? std::to_chars(text, text + sizeof text, narrow) : std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}

}  // namespace

double Logs::operator[](std::string_view name) const {
  const auto found = std::ranges::find(values_, name, [](const auto& value) -> std::string_view { return value.first; });
  if (found == values_.end()) throw Error(cat("Logs: there is no ", name, "; there are: ", names_of(*this)));
  return found->second;
}

bool Logs::contains(std::string_view name) const {
  return std::ranges::any_of(values_, [&](const auto& value) { return value.first == name; });
}

void Logs::set(std::string_view name, double value) {
  for (auto& known : values_) {
    if (known.first != name) continue;
    known.second = value;
    return;
  }
  values_.emplace_back(name, value);
}

namespace callbacks {
namespace {

/// Whether more of what is monitored is better. Error if that is not known.
bool is_better_higher(const std::string& monitor, Mode mode, const Model& model, std::string_view callback) {
  if (mode != Mode::automatic) return mode == Mode::max;
  const std::string_view name = std::string_view(monitor).substr(monitor.starts_with("val_") ? 4 : 0);
  if (name == "loss") return false;
  for (const metrics::Metric& metric : model.metrics()) {
    if (metric.name() != name) continue;
    if (const std::optional<bool> is_known = metric.is_better_higher()) return *is_known;
  }
  detail::fail(model.where(),
               cat(callback, ": whether more or less of ", monitor, " is better is not known; set mode to min or max"));
}

/// What is monitored, or none and a warning.
std::optional<double> monitored(const std::string& monitor, const Logs& logs, std::string_view callback) {
  if (logs.contains(monitor)) return logs[monitor];
  detail::warn(cat(callback, ": there is no ", monitor, " to monitor; there are: ", names_of(logs)));
  return {};
}

bool improves(double value, const std::optional<double>& reference, double min_delta, bool is_higher_better) {
  if (!reference) return true;
  const double least = std::fabs(min_delta);
  return is_higher_better ? value - least > *reference : value + least < *reference;
}

const Variable& rate_variable(const Model& model) { return model.optimizer().learning_rate(model.where()); }
double rate_of(const Model& model) { return rate_variable(model).value().item<float>(); }
void set_rate(const Model& model, double rate) { rate_variable(model).assign(rate); }

/// A number that may not be there.
void set_optional(SavedState& state, const char* name, const std::optional<double>& value) {
  if (value) state.set(name, *value);
}
std::optional<double> get_optional(const SavedState& state, const char* name) {
  return state.contains(name) ? std::optional(state.get<double>(name)) : std::nullopt;
}

}  // namespace

void EarlyStopping::on_train_begin(Model&) {
  best = {};
  best_epoch = stopped_epoch = wait = 0;
  best_weights.clear();
}

void EarlyStopping::on_epoch_end(Model& model, int64_t epoch, const Logs& logs) {
  const std::optional<double> current = monitored(monitor, logs, "EarlyStopping");
  if (!current || epoch < start_from_epoch) return;
  const bool higher = is_better_higher(monitor, mode, model, "EarlyStopping");
  ++wait;
  if (improves(*current, best, min_delta, higher)) {
    best = current;
    best_epoch = epoch;
    if (restore_best_weights) best_weights = get_weights(model);
    if (!baseline || improves(*current, baseline, min_delta, higher)) wait = 0;
    return;
  }
  if (wait < patience || epoch == 0) return;
  stopped_epoch = epoch;
  model.stop_training();
}

void EarlyStopping::on_train_end(Model& model, const Logs&) {
  if (restore_best_weights && best) set_weights(model, best_weights);
}

SavedState EarlyStopping::save_state() const {
  SavedState state;
  set_optional(state, "best", best);
  state.set("best_epoch", best_epoch);
  state.set("stopped_epoch", stopped_epoch);
  state.set("wait", wait);
  state.set("weights", static_cast<int64_t>(best_weights.size()));
  for (size_t i = 0; i < best_weights.size(); ++i) state.set(cat("best_weights/", i), best_weights[i]);
  return state;
}

void EarlyStopping::restore_state(const SavedState& state) {
  best = get_optional(state, "best");
  best_epoch = state.get<int64_t>("best_epoch");
  stopped_epoch = state.get<int64_t>("stopped_epoch");
  wait = state.get<int64_t>("wait");
  best_weights.clear();
  for (int64_t i = 0, n = state.get<int64_t>("weights"); i < n; ++i) {
    best_weights.push_back(state.get<Tensor>(cat("best_weights/", i)));
  }
}

void ReduceLROnPlateau::on_train_begin(Model& model) {
  if (!(factor < 1)) {
    detail::fail(model.where(),
                 cat("ReduceLROnPlateau: factor is ", detail::number_text(factor), "; one that reduces is below 1"));
  }
  best = {};
  wait = cooldown_counter = 0;
}

void ReduceLROnPlateau::on_epoch_end(Model& model, int64_t, Logs& logs) {
  const double rate = rate_of(model);
  logs.set("learning_rate", rate);
  const std::optional<double> current = monitored(monitor, logs, "ReduceLROnPlateau");
  if (!current) return;
  if (cooldown_counter > 0) {
    --cooldown_counter;
    wait = 0;
  }
  if (improves(*current, best, min_delta, is_better_higher(monitor, mode, model, "ReduceLROnPlateau"))) {
    best = current;
    wait = 0;
    return;
  }
  if (cooldown_counter > 0 || ++wait < patience || rate <= static_cast<double>(static_cast<float>(min_lr))) return;
  set_rate(model, std::max(rate * factor, min_lr));
  cooldown_counter = cooldown;
  wait = 0;
}

SavedState ReduceLROnPlateau::save_state() const {
  SavedState state;
  set_optional(state, "best", best);
  state.set("wait", wait);
  state.set("cooldown_counter", cooldown_counter);
  return state;
}

void ReduceLROnPlateau::restore_state(const SavedState& state) {
  best = get_optional(state, "best");
  wait = state.get<int64_t>("wait");
  cooldown_counter = state.get<int64_t>("cooldown_counter");
}

void LearningRateScheduler::on_epoch_begin(Model& model, int64_t epoch) {
  if (!schedule) detail::fail(model.where(), "LearningRateScheduler: there is no schedule");
  set_rate(model, schedule(epoch, rate_of(model)));
}

void LearningRateScheduler::on_epoch_end(Model& model, int64_t, Logs& logs) { logs.set("learning_rate", rate_of(model)); }

void CSVLogger::on_train_begin(Model& model) {
  names.clear();
  is_begun = append;
  // What stands there goes with the first line: a training may go on with it.
  const std::ofstream file(filename, std::ios::app);
  if (!file) detail::fail(model.where(), cat("CSVLogger: ", filename, " cannot be written"));
}

void CSVLogger::on_epoch_end(Model& model, int64_t epoch, const Logs& logs) {
  std::ofstream file(filename, is_begun ? std::ios::app : std::ios::trunc);
  is_begun = true;
  if (names.empty()) {
    for (const auto& [name, value] : logs) names.push_back(name);
    std::ranges::sort(names);
    // Validation may begin in a later epoch.
    const bool is_validated = std::ranges::any_of(names, [](const std::string& name) { return name.starts_with("val_"); });
    for (size_t i = 0, n = names.size(); i < n && !is_validated; ++i) names.push_back("val_" + names[i]);
    if (file.tellp() == 0) {
      file << "epoch";
      for (const std::string& name : names) file << separator << name;
      file << "\n";
    }
  }
  file << epoch;
  for (const std::string& name : names) file << separator << (logs.contains(name) ? shortest(logs[name]) : "NA");
  file << "\n";
  if (!file.flush()) detail::fail(model.where(), cat("CSVLogger: ", filename, " cannot be written"));
}

SavedState CSVLogger::save_state() const {
  SavedState state;
  if (!is_begun) return state;
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(filename, error);
  state.set("size", error ? int64_t{0} : static_cast<int64_t>(size));
  state.set("columns", static_cast<int64_t>(names.size()));
  for (size_t i = 0; i < names.size(); ++i) state.set(cat("names/", i), names[i]);
  return state;
}

void CSVLogger::restore_state(const SavedState& state) {
  names.clear();
  for (int64_t i = 0, n = state.get<int64_t>("columns"); i < n; ++i) names.push_back(state.get<std::string>(cat("names/", i)));
  is_begun = true;
  std::error_code error;
  const auto size = static_cast<uintmax_t>(state.get<int64_t>("size"));
  const uintmax_t now = std::filesystem::file_size(filename, error);
  if (!error && now > size) std::filesystem::resize_file(filename, size, error);
  if (error) throw Error(cat("CSVLogger: ", filename, ": ", error.message()));
}

void ModelCheckpoint::on_train_begin(Model& model) {
  if (filepath.empty()) detail::fail(model.where(), "ModelCheckpoint: filepath is empty");
  if (save_freq < 0) detail::fail(model.where(), cat("ModelCheckpoint: save_freq is ", save_freq, "; it is 0 for epochs, or more"));
  if (save_best_only) (void)is_better_higher(monitor, mode, model, "ModelCheckpoint");
  best = initial_value_threshold;
  epoch = batches_since = 0;
}

void ModelCheckpoint::on_epoch_begin(Model&, int64_t number) { epoch = number; }

void ModelCheckpoint::on_train_batch_end(Model& model, int64_t batch, const Logs& logs) {
  if (save_freq == 0 || ++batches_since < save_freq) return;
  batches_since = 0;
  save(model, epoch, batch, logs);
}

void ModelCheckpoint::on_epoch_end(Model& model, int64_t number, const Logs& logs) {
  if (save_freq == 0) save(model, number, -1, logs);
}

void ModelCheckpoint::save(Model& model, int64_t number, int64_t batch, const Logs& logs) {
  if (save_best_only) {
    const std::optional<double> current = monitored(monitor, logs, "ModelCheckpoint");
    if (!current || !improves(*current, best, 0, is_better_higher(monitor, mode, model, "ModelCheckpoint"))) return;
    best = current;
  }
  std::string path;
  try {
    path = detail::format_file_name(filepath, [&](std::string_view name) -> std::optional<double> {
      if (name == "epoch") return static_cast<double>(number + 1);
      if (name == "batch" && batch >= 0) return static_cast<double>(batch + 1);
      return logs.contains(name) ? std::optional(logs[name]) : std::nullopt;
    });
  } catch (const Error& error) {
    detail::fail(model.where(), cat("ModelCheckpoint: the name ", filepath, ": ", error.what(), "; there are: epoch",
                                    batch >= 0 ? ", batch" : "", logs.empty() ? "" : ", ", logs.empty() ? "" : names_of(logs)));
  }
  if (save_weights_only) return save_weights(model, path, model.where());
  Checkpoint(named("model", model), named("optimizer", model.optimizer(model.where()))).save(path, model.where());
}

SavedState ModelCheckpoint::save_state() const {
  SavedState state;
  set_optional(state, "best", best);
  state.set("batches_since", batches_since);
  state.set("epoch", epoch);
  return state;
}

void ModelCheckpoint::restore_state(const SavedState& state) {
  best = get_optional(state, "best");
  batches_since = state.get<int64_t>("batches_since");
  epoch = state.get<int64_t>("epoch");
}

/// fit backs up and restores.
void BackupAndRestore::on_train_begin(Model&) {}

void TerminateOnNaN::on_train_batch_end(Model& model, int64_t batch, const Logs& logs) {
  if (!logs.contains("loss") || std::isfinite(logs["loss"])) return;
  const std::string text = cat("TerminateOnNaN: the loss is ", shortest(logs["loss"]), " after batch ", batch);
  if (raise_error) detail::fail(model.where(), text);
  detail::warn(text + "; the training ends");
  model.stop_training();
}

}  // namespace callbacks
}  // namespace etch
