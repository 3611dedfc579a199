// A training that can be killed: a program of its own, which tests run in children of their process.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "etch/data.h"
#include "etch/model.h"
#include "etch/random.h"
#include "etch/safetensors.h"
#include "tests/checkpoint/scratch.h"

namespace etch {

/// Ends the process before a batch, counted over all epochs of this process.
struct Killer {
  int64_t before = -1;
  int64_t* batches = nullptr;
  void on_train_batch_begin(Model&, int64_t) {
    if (*batches == before) raise(SIGKILL);
    ++*batches;
  }
};

struct Program {
  std::string folder{};   // of backups
  std::string results{};  // the file that it writes at its end
  int64_t kill_before = -1;
  int64_t save_freq = 3;  // of backups; 0 for epochs
  int64_t steps_per_epoch = 0;
  bool uses_tensors = false;  // and no data set
  bool uses_generator = false;  // a source without positions
  bool uses_plateaus = false;   // callbacks set the rate, and no schedule
  bool asynchronous = false;
  std::vector<Callback> more{};  // callbacks
};

/// 64 samples of 4 numbers in 3 classes.
inline std::pair<Tensor, Tensor> training_data() {
  const Tensor x = random::normal(Tensor(uint64_t{5}), {64, 4});
  return {x, argmax(x[{ellipsis, Slice::to(3)}], -1)};
}

/// Trains and writes what came of it: weights, history and how many batches this process trained on.
inline void run(const Program& program) {
  random::set_seed(11);
  Model model(layers::Sequential{layers::Dense{16, activations::relu}, layers::Dropout{0.5}, layers::Dense{3}});
  const optimizers::LearningRate rate =
      program.uses_plateaus ? optimizers::LearningRate(0.05) : schedules::exponential_decay(0.05, 5, 0.7);
  model.compile(optimizers::Adam(rate),
                {losses::sparse_categorical_crossentropy, {.from_logits = true}},
                {.metrics = {metrics::SparseCategoricalAccuracy()}});
  const auto [x, y] = training_data();
  int64_t batches = 0;
  FitOptions options{.epochs = 6, .verbose = Verbose::silent, .validation_data = {x[Slice::to(16)], y[Slice::to(16)]}};
  options.batch_size = 8;
  options.steps_per_epoch = program.steps_per_epoch;
  // Nothing ever improves by so much: it ends the training in its fourth epoch.
  options.callbacks = {
      Killer{program.kill_before, &batches},
      callbacks::EarlyStopping{.monitor = "loss", .min_delta = 100, .patience = 3, .restore_best_weights = true},
      callbacks::BackupAndRestore{
          .backup_dir = program.folder, .save_freq = program.save_freq, .asynchronous = program.asynchronous}};
  if (program.uses_plateaus) {
    options.callbacks.push_back(
        callbacks::LearningRateScheduler{.schedule = [](int64_t, double before) { return before * 0.9; }});
    options.callbacks.push_back(callbacks::ReduceLROnPlateau{
        .monitor = "loss", .factor = 0.5, .patience = 2, .min_delta = 100, .cooldown = 1});
  }
  options.callbacks.insert(options.callbacks.end(), program.more.begin(), program.more.end());
  auto dataset = data::from_tensor_slices(std::pair(x, y)).shuffle(20, {.seed = 3}).batch(8);
  if (program.steps_per_epoch > 0) dataset = dataset.repeat();
  const auto generated = data::from_generator([x = x, y = y, i = int64_t{0}]() mutable {
    const int64_t begin = i;
    i += 8;
    const bool is_over = begin >= 64;
    return is_over ? std::nullopt : std::optional(std::pair(Tensor(x[Slice(begin, i)]), Tensor(y[Slice(begin, i)])));
  });
  const BatchSet data = program.uses_tensors     ? BatchSet(x, y)
                        : program.uses_generator ? BatchSet(generated)
                                                 : BatchSet(dataset);
  const History history = model.fit(data, options);
  NamedTensors results{
      {"batches", Tensor(batches)}, {"epochs", Tensor(history.epoch)}, {"next_seed", Tensor(random::next_seed())}};
  for (const auto& [name, values] : history.history) results.emplace("history/" + name, Tensor(values));
  for (const NamedVariable& variable : named_variables(model)) {
    results.emplace("model/" + variable.name, variable.variable.value());
  }
  for (const Variable& variable : variables(model.optimizer())) {
    results.emplace("optimizer/" + variable.name(), variable.value());
  }
  save_safetensors(program.results, results);
}

/// Runs f in a child of this process; true if that was killed.
inline bool is_killed_in(const std::function<void()>& f) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      f();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return true;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return false;
}

/// What a program that nothing interrupts writes.
inline NamedTensors results_of(Program program) {
  const Scratch scratch;
  program.folder = scratch.file("backup");
  program.results = scratch.file("results");
  EXPECT_FALSE(is_killed_in([&] { run(program); }));
  return load_safetensors(program.results);
}

/// The first result that differs, `batches` aside; empty if none does.
inline std::string difference(const NamedTensors& a, const NamedTensors& b) {
  for (const auto& [name, tensor] : a) {
    if (name == "batches") continue;
    const auto other = b.find(name);
    if (other == b.end() || to_string(other->second) != to_string(tensor)) return name;
  }
  return a.size() == b.size() ? "" : "another number of results";
}

}  // namespace etch
