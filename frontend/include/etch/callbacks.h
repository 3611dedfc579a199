// Callbacks: what happens beside training, at its beginnings and ends.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/saved_state.h"
#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

class Model;

/// Names and numbers, in the order in which they came: what a step, an epoch or an evaluation reports.
class Logs {
 public:
  Logs() = default;
  Logs(std::initializer_list<std::pair<std::string, double>> values) : values_(values) {}

  /// A number by its name. Error if there is none, which lists the names.
  double operator[](std::string_view name) const;
  bool contains(std::string_view name) const;
  void set(std::string_view name, double value);

  size_t size() const { return values_.size(); }
  bool empty() const { return values_.empty(); }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::vector<std::pair<std::string, double>> values_;
};

namespace detail {

// The hooks of a callback, with what they get of: the model, the number of the epoch or of the batch, the logs.
#define ETCH_CALLBACK_HOOKS(HOOK)                    \
  HOOK(on_train_begin, model)                        \
  HOOK(on_train_end, model, logs)                    \
  HOOK(on_epoch_begin, model, number)                \
  HOOK(on_epoch_end, model, number, logs)            \
  HOOK(on_train_batch_begin, model, number)          \
  HOOK(on_train_batch_end, model, number, logs)      \
  HOOK(on_test_begin, model)                         \
  HOOK(on_test_end, model, logs)                     \
  HOOK(on_test_batch_begin, model, number)           \
  HOOK(on_test_batch_end, model, number, logs)       \
  HOOK(on_predict_begin, model)                      \
  HOOK(on_predict_end, model)                        \
  HOOK(on_predict_batch_begin, model, number)        \
  HOOK(on_predict_batch_end, model, number)

enum class Hook : uint8_t {
#define ETCH_HOOK(name, ...) name,
  ETCH_CALLBACK_HOOKS(ETCH_HOOK)
#undef ETCH_HOOK
};

/// Whether C has one of them.
template <class C>
consteval bool has_hook() {
#define ETCH_HOOK(name, ...) \
  if (requires(C & c, Model & model, int64_t number, Logs & logs) { c.name(__VA_ARGS__); }) return true;
  ETCH_CALLBACK_HOOKS(ETCH_HOOK)
#undef ETCH_HOOK
  return false;
}

}  // namespace detail

/// Anything with hooks, shared by its copies: a struct with some of these as member functions, or as members of type
/// std::function.
///
///   on_train_begin(Model&)                            on_train_end(Model&, Logs&)
///   on_epoch_begin(Model&, int64_t epoch)             on_epoch_end(Model&, int64_t epoch, Logs&)
///   on_train_batch_begin(Model&, int64_t batch)       on_train_batch_end(Model&, int64_t batch, Logs&)
///   on_test_begin(Model&)                             on_test_end(Model&, Logs&)
///   on_test_batch_begin(Model&, int64_t batch)        on_test_batch_end(Model&, int64_t batch, Logs&)
///   on_predict_begin(Model&)                          on_predict_end(Model&)
///   on_predict_batch_begin(Model&, int64_t batch)     on_predict_batch_end(Model&, int64_t batch)
///
/// Numbers count from 0. The logs of a batch are those of all batches of the epoch so far. What on_epoch_end puts into the logs
/// is in the History and in what is printed. Callbacks are called in the order of their list, from the thread that trains.
///
/// One that counts from epoch to epoch has `SavedState save_state() const` and `restore_state(const SavedState&)` as well: so a
/// training that was killed goes on with the counts that it had (callbacks::BackupAndRestore). It is restored behind
/// on_train_begin, and behind on_epoch_begin in the middle of an epoch.
class Callback {
 public:
  template <class C>
    requires(!std::is_same_v<C, Callback> && detail::has_hook<C>())
  Callback(C callback) : held_(std::make_shared<Held<C>>(std::move(callback))) {}  // NOLINT: callbacks convert

  void call(detail::Hook hook, Model& model, int64_t number, Logs& logs) const { held_->call(hook, model, number, logs); }
  /// The callback itself, or nullptr if it is of another class.
  template <class C>
  C* get() const {
    auto* held = dynamic_cast<Held<C>*>(held_.get());
    return held ? &held->callback : nullptr;
  }

  /// Its state; empty if it has none.
  SavedState save_state() const { return held_->save_state(); }
  void restore_state(const SavedState& state) { held_->restore_state(state); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void call(detail::Hook hook, Model& model, int64_t number, Logs& logs) = 0;
    virtual SavedState save_state() const = 0;
    virtual void restore_state(const SavedState& state) = 0;
  };
  template <class C>
  struct Held final : Base {
    explicit Held(C c) : callback(std::move(c)) {}
    void call(detail::Hook hook, Model& model, [[maybe_unused]] int64_t number, [[maybe_unused]] Logs& logs) override {
      switch (hook) {
#define ETCH_HOOK(name, ...)                                             \
  case detail::Hook::name:                                               \
    if constexpr (requires { static_cast<bool>(callback.name); }) {      \
      if (callback.name) callback.name(__VA_ARGS__);                     \
    } else if constexpr (requires { callback.name(__VA_ARGS__); }) {     \
      callback.name(__VA_ARGS__);                                        \
    } else {                                                             \
      static_assert(!requires { &C::name; }, "etch: " #name " of a callback has other parameters; see etch::Callback"); \
    }                                                                    \
    return;
        ETCH_CALLBACK_HOOKS(ETCH_HOOK)
#undef ETCH_HOOK
      }
    }
    SavedState save_state() const override {
      if constexpr (detail::Stateful<C>) return callback.save_state();
      else return {};
    }
    void restore_state([[maybe_unused]] const SavedState& state) override {
      if constexpr (detail::Stateful<C>) callback.restore_state(state);
    }
    C callback;
  };

  std::shared_ptr<Base> held_;
};

// Names, defaults and behaviour are Keras'.
namespace callbacks {

/// Functions as a callback.
struct LambdaCallback {
  std::function<void(Model&)> on_train_begin{};
  std::function<void(Model&, Logs&)> on_train_end{};
  std::function<void(Model&, int64_t epoch)> on_epoch_begin{};
  std::function<void(Model&, int64_t epoch, Logs&)> on_epoch_end{};
  std::function<void(Model&, int64_t batch)> on_train_batch_begin{};
  std::function<void(Model&, int64_t batch, Logs&)> on_train_batch_end{};
  std::function<void(Model&)> on_test_begin{};
  std::function<void(Model&, Logs&)> on_test_end{};
  std::function<void(Model&, int64_t batch)> on_test_batch_begin{};
  std::function<void(Model&, int64_t batch, Logs&)> on_test_batch_end{};
  std::function<void(Model&)> on_predict_begin{};
  std::function<void(Model&)> on_predict_end{};
  std::function<void(Model&, int64_t batch)> on_predict_batch_begin{};
  std::function<void(Model&, int64_t batch)> on_predict_batch_end{};
};

/// Which values of what is monitored are better. `automatic` knows losses and the metrics of etch/metrics.h; of others it is an
/// Error.
enum class Mode : uint8_t { automatic, min, max };

/// Ends a training when what it monitors has not improved for more than `patience` epochs.
struct EarlyStopping {
  std::string monitor = "val_loss";  // what is not in the logs gives a warning
  double min_delta = 0;              // what is less is no improvement
  int64_t patience = 0;
  Mode mode = Mode::automatic;
  std::optional<double> baseline{};   // an improvement counts only beyond it
  bool restore_best_weights = false;  // at the end of the training, those of the best epoch
  int64_t start_from_epoch = 0;

  // What it found.
  std::optional<double> best{};
  int64_t best_epoch = 0;
  int64_t stopped_epoch = 0;  // 0 if it did not end the training
  int64_t wait = 0;
  std::vector<Tensor> best_weights{};

  void on_train_begin(Model& model);
  void on_epoch_end(Model& model, int64_t epoch, const Logs& logs);
  void on_train_end(Model& model, const Logs& logs);
  SavedState save_state() const;
  void restore_state(const SavedState& state);
};

/// Multiplies the learning rate by `factor` when what it monitors has not improved for `patience` epochs. The logs get
/// `learning_rate`. Error for a factor of 1 or more, and for an optimizer with a schedule.
struct ReduceLROnPlateau {
  std::string monitor = "val_loss";
  double factor = 0.1;
  int64_t patience = 10;
  Mode mode = Mode::automatic;
  double min_delta = 1e-4;
  int64_t cooldown = 0;  // epochs to wait after a change
  double min_lr = 0;

  std::optional<double> best{};
  int64_t wait = 0;
  int64_t cooldown_counter = 0;

  void on_train_begin(Model& model);
  void on_epoch_end(Model& model, int64_t epoch, Logs& logs);
  SavedState save_state() const;
  void restore_state(const SavedState& state);
};

/// Sets the learning rate at the beginning of each epoch, from its number and the rate so far. The logs get `learning_rate`.
struct LearningRateScheduler {
  std::function<double(int64_t epoch, double rate)> schedule{};

  void on_epoch_begin(Model& model, int64_t epoch);
  void on_epoch_end(Model& model, int64_t epoch, Logs& logs);
};

/// Writes a line for each epoch into a file, under a line with the names, which are sorted. Error if the file cannot be written.
struct CSVLogger {
  std::string filename{};
  char separator = ',';
  bool append = false;  // to what stands in the file

  std::vector<std::string> names{};  // of the columns, once they are known
  bool is_begun = false;             // something was written, or the file is gone on with

  void on_train_begin(Model& model);
  void on_epoch_end(Model& model, int64_t epoch, const Logs& logs);
  SavedState save_state() const;
  /// Goes on with the file, of which lines are taken off that were written after the state was saved.
  void restore_state(const SavedState& state);
};

/// Ends the training with a warning when the loss is NaN or infinite.
struct TerminateOnNaN {
  bool raise_error = false;  // an Error instead

  void on_train_batch_end(Model& model, int64_t batch, const Logs& logs);
};

/// Writes files while a model is trained, at the end of each epoch or after every so many batches: safetensors files (etch/
/// checkpoint.h), which appear whole or not at all.
struct ModelCheckpoint {
  /// The file's path. `{epoch}` and `{batch}` in it stand for numbers from 1 on, and other names for values of the logs, with a
  /// format as Python has it: `run/{epoch:02d}-{val_loss:.2f}.safetensors`. A file of the same name is replaced.
  std::string filepath{};
  std::string monitor = "val_loss";
  bool save_best_only = false;     // only when what it monitors is better than ever; what is not in the logs gives a warning
  /// The variables alone, for load_weights(model, path); else they and the optimizer's, for Checkpoint(named("model", model),
  /// named("optimizer", model.optimizer())).restore(path).
  bool save_weights_only = false;
  Mode mode = Mode::automatic;
  int64_t save_freq = 0;  // after so many batches; 0: at the end of each epoch
  std::optional<double> initial_value_threshold{};  // better is only what is better than this

  // What it found.
  std::optional<double> best{};
  int64_t epoch = 0;          // that goes on
  int64_t batches_since = 0;  // how many there were since a file was written

  void on_train_begin(Model& model);
  void on_epoch_begin(Model& model, int64_t epoch);
  void on_train_batch_end(Model& model, int64_t batch, const Logs& logs);
  void on_epoch_end(Model& model, int64_t epoch, const Logs& logs);
  SavedState save_state() const;
  void restore_state(const SavedState& state);

 private:
  void save(Model& model, int64_t epoch, int64_t batch, const Logs& logs);
};

/// Backs a training up, so that a fit that was killed goes on where it was: the same program calls the same fit again, and gets the
/// same History and variables, to the bit, as if nothing had happened. What is backed up are the variables of the module, of
/// the optimizer and of the metrics, the epoch and the batch, the position in the data set, the History, the default seed of random
/// numbers, and the states of all callbacks that have one. fit does so behind all other callbacks, and restores at its
/// beginning. Error if the file in the folder is damaged, or of another training; remove the folder to begin anew.
///
/// What a program does by itself beside fit is not backed up. A data set without positions is skipped through, with a warning.
struct BackupAndRestore {
  std::string backup_dir{};       // `backup.safetensors` stands there
  int64_t save_freq = 0;          // after so many batches; 0: at the end of each epoch
  bool delete_checkpoint = true;  // when the training has come to its end
  bool asynchronous = false;      // steps go on while a file is written

  void on_train_begin(Model& model);
};

}  // namespace callbacks
}  // namespace etch
