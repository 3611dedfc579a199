// callbacks::TensorBoard: what a training reports, as Keras 3 writes it.
#include <chrono>
#include <optional>
#include <string>

#include "compiler/ir/cat.h"
#include "etch/model.h"
#include "etch/module.h"
#include "etch/optimizers.h"
#include "etch/summary.h"
#include "frontend/function_core.h"
#include "frontend/summary/events.h"
#include "frontend/summary/graph_def.h"
#include "frontend/summary/writer.h"
#include "frontend/tensor_impl.h"

namespace etch {
namespace detail {

struct [[gnu::visibility("hidden")]] TensorBoardRun {
  using Clock = std::chrono::steady_clock;

  summary::FileWriter train, validation;  // the latter is made when something is validated
  std::optional<summary::As> scope;       // while a batch is written
  std::shared_ptr<ObservedCall> step;     // until the graph of a step is written
  bool is_epoch = false;                  // an epoch is under way: what is tested belongs to it
  int64_t epoch_begin = 0;                // train_step then
  Clock::time_point epoch_began, batch_began;
};

}  // namespace detail

namespace callbacks {
namespace {

using detail::TensorBoardRun;

constexpr std::string_view kValidation = "val_";

double seconds_since(TensorBoardRun::Clock::time_point start) {
  return std::chrono::duration<double>(TensorBoardRun::Clock::now() - start).count();
}

void write(const summary::FileWriter& writer, const std::string& name, double value, int64_t step) {
  summary::scalar(name, value, step, {.writer = writer});
}

summary::FileWriter& validation_writer(const TensorBoard& board) {
  summary::FileWriter& writer = board.run->validation;
  if (!writer) writer = summary::create_file_writer(board.log_dir + "/validation");
  return writer;
}

TensorBoardRun& run_of(const TensorBoard& board) {
  if (board.run == nullptr) throw Error("TensorBoard: a hook is called before on_train_begin");
  return *board.run;
}

bool writes_batches(const TensorBoard& board) { return board.update_freq > 0 && board.train_step % board.update_freq == 0; }

/// The learning rate, unless it follows a schedule and is no variable.
std::optional<double> rate_of(const Model& model) {
  try {
    return model.optimizer().learning_rate().value().item<float>();
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The graph of the training step, once there is one.
void write_graph_of_step(TensorBoardRun& run) {
  if (!run.step || !run.step->concrete) return;
  detail::FileWriterAccess::get(run.train)->add(detail::graph_event(detail::wall_time(), detail::graph_def(*run.step->concrete)));
  run.step.reset();
}

}  // namespace

void TensorBoard::on_train_begin(Model& model) {
  if (histogram_freq < 0 || update_freq < 0) {
    detail::fail(model.where(), cat("TensorBoard: ", histogram_freq < 0 ? "histogram_freq" : "update_freq", " is ",
                                    histogram_freq < 0 ? histogram_freq : update_freq, "; it is 0 or more"));
  }
  run = std::make_shared<TensorBoardRun>();
  run->train = summary::create_file_writer(log_dir + "/train", {}, model.where());
  if (write_graph) run->step = detail::observe_calls(model.train_function().name());
}

void TensorBoard::on_epoch_begin(Model&, int64_t) {
  TensorBoardRun& now = run_of(*this);
  now.is_epoch = true;
  now.epoch_begin = train_step;
  now.epoch_began = TensorBoardRun::Clock::now();
}

void TensorBoard::on_train_batch_begin(Model&, int64_t) {
  TensorBoardRun& now = run_of(*this);
  ++train_step;
  now.batch_began = TensorBoardRun::Clock::now();
  now.scope.reset();  // of a batch that threw
  if (!writes_batches(*this)) return;
  now.scope.emplace(now.train, train_step);
}

void TensorBoard::on_train_batch_end(Model&, int64_t, const Logs& logs) {
  TensorBoardRun& now = run_of(*this);
  now.scope.reset();
  write_graph_of_step(now);
  if (writes_batches(*this)) {
    if (write_steps_per_second) write(now.train, "batch_steps_per_second", 1 / seconds_since(now.batch_began), train_step);
    for (const auto& [name, value] : logs) write(now.train, "batch_" + name, value, train_step);
  }
}

void TensorBoard::on_test_batch_begin(Model&, int64_t) {
  if (run == nullptr || !run->is_epoch) return;  // an evaluation beside a training
  ++test_step;
  run->scope.reset();
  if (update_freq > 0 && test_step % update_freq == 0) run->scope.emplace(validation_writer(*this), test_step);
}

void TensorBoard::on_test_batch_end(Model&, int64_t, const Logs&) {
  if (run) run->scope.reset();
}

void TensorBoard::on_epoch_end(Model& model, int64_t epoch, const Logs& logs) {
  TensorBoardRun& now = run_of(*this);
  now.is_epoch = false;
  bool has_rate = false;
  for (const auto& [name, value] : logs) {
    has_rate |= name == "learning_rate";
    const bool is_validation = name.starts_with(kValidation);
    if (is_validation) {
      write(validation_writer(*this), "epoch_" + name.substr(kValidation.size()), value, epoch);
    } else {
      write(now.train, "epoch_" + name, value, epoch);
    }
  }
  const std::optional<double> rate = has_rate ? std::nullopt : rate_of(model);
  if (rate) write(now.train, "epoch_learning_rate", *rate, epoch);
  if (write_steps_per_second) {
    write(now.train, "epoch_steps_per_second", static_cast<double>(train_step - now.epoch_begin) / seconds_since(now.epoch_began), epoch);
  }
  if (histogram_freq > 0 && epoch % histogram_freq == 0) {
    for (const auto& [path, variable] : named_variables(model)) {
      if (!is_floating(variable.dtype())) continue;  // the state of a random generator
      summary::histogram(path + "/histogram", variable, epoch, {.writer = now.train});
    }
  }
  now.train.flush(model.where());
  now.validation.flush(model.where());
}

void TensorBoard::on_test_end(Model& model, const Logs& logs) {
  if (run == nullptr || !run->is_epoch) return;
  const auto iterations = model.optimizer().iterations().value().item<int64_t>();
  for (const auto& [name, value] : logs) {  // the metrics of a validation
    write(validation_writer(*this), cat("evaluation_", name, "_vs_iterations"), value, iterations);
  }
}

void TensorBoard::on_train_end(Model& model, const Logs&) {
  if (run == nullptr) return;
  const std::shared_ptr<TensorBoardRun> ended = std::exchange(run, nullptr);
  ended->train.close(model.where());
  ended->validation.close(model.where());
}

SavedState TensorBoard::save_state() const {
  SavedState state;
  state.set("train_step", train_step);
  state.set("test_step", test_step);
  return state;
}

void TensorBoard::restore_state(const SavedState& state) {
  train_step = state.get<int64_t>("train_step");
  test_step = state.get<int64_t>("test_step");
}

}  // namespace callbacks
}  // namespace etch
