// Summaries: scalars, histograms, images, texts and graphs in TensorBoard's event files, from eager code and from traced functions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "etch/callbacks.h"
#include "etch/function.h"
#include "etch/saved_state.h"
#include "etch/tensor.h"
#include "etch/variable.h"

// Names and behaviour are TensorFlow's tf.summary. What differs: a traced function notices whether there is a default writer, and
// is traced again when that changes; record_if takes what it guards as a callable; names get no prefix of scopes.
namespace [[gnu::visibility("default")]] etch {
namespace detail {
class SummaryWriter;
struct WriterScope;
struct FileWriterAccess;
struct TensorBoardRun;
}  // namespace detail

namespace summary {

class As;

/// A handle to an event file; copies share it. One that is made by default holds no file: what is written to it is dropped.
class FileWriter {
 public:
  FileWriter() = default;
  explicit operator bool() const { return writer_ != nullptr; }

  /// The path of the event file; empty without one.
  std::string path() const;
  /// Makes it the default writer of this thread, for as long as the result stands. See As.
  [[nodiscard]] As as_default(std::optional<int64_t> step = {}) const;
  /// Hands all that was written to the system. Error with the path and the system's reason if that fails or failed before, such
  /// as on a full disk, which says how many events wait and how many are lost; the writer may still be used then.
  void flush(Location where = Location::current()) const;
  /// Flushes and closes; what is written to it from now on is an Error. It is closed with its last handle, too: then an Error
  /// of the flush is a warning.
  void close(Location where = Location::current()) const;

 private:
  friend struct detail::FileWriterAccess;
  std::shared_ptr<detail::SummaryWriter> writer_;
};

struct FileWriterOptions {
  double flush_every_seconds = 120;      // what was written waits so long at most; a crash of the process loses no more
  int64_t max_queue = 10;                // events that may wait; one more and they are written
  std::string filename_suffix = ".v2";   // of the event file
};

/// Makes a new event file in a directory, which is made if it is not there: `events.out.tfevents.TIME.HOST.PID.N` and the suffix.
/// Each run of a program gets a directory of its own: TensorBoard shows them side by side. Records are TFRecords of
/// TensorFlow's Event messages (tensorflow/core/util/event.proto, fields as in version 2's files). Error with the path if it
/// cannot be made, or for options below 0. A child of fork() cannot write to it: that is an Error.
[[nodiscard]] FileWriter create_file_writer(const std::string& directory, const FileWriterOptions& options = {},
                                            Location where = Location::current());

/// Makes a writer the default of this thread for as long as it stands. Scopes nest; an empty FileWriter stands for none, so that
/// nothing is recorded. A step becomes the default step and comes before that of set_step. Made while a function is traced, both are
/// part of the trace: those ops write to this writer always.
class [[nodiscard]] As {
 public:
  explicit As(const FileWriter& writer, std::optional<int64_t> step = {});
  As(As&& other) noexcept = default;
  As& operator=(As&& other) = delete;
  ~As();

 private:
  std::shared_ptr<detail::WriterScope> scope_;
};

/// The step that a summary belongs to: an integer, or a tensor or variable of one. None stands for the default of the thread.
class Step {
 public:
  Step() = default;
  template <class T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  Step(T step, Location where = Location::current())  // NOLINT: converts
      : number_(static_cast<int64_t>(step)), where_(where) {}
  Step(const Tensor& step, Location where = Location::current()) : tensor_(step), where_(where) {}  // NOLINT: converts
  Step(const Variable& step, Location where = Location::current()) : variable_(step), where_(where) {}  // NOLINT: converts

  const std::optional<int64_t>& number() const { return number_; }
  /// A tensor, or the value that a variable has now; no tensor for a step that is none of both.
  Tensor tensor() const { return variable_.defined() ? variable_.value(where_) : tensor_; }
  Location where() const { return where_; }

 private:
  std::optional<int64_t> number_;
  Tensor tensor_;
  Variable variable_;  // read only where the summary is recorded
  Location where_{};
};

/// The step of summaries of this thread that are given none. A number counts as it stands when the op runs, in traced functions
/// too. A variable is read where the op stands; a function that was traced with one is an Error under another.
void set_step(int64_t step);
void set_step(const Variable& step);
/// Summaries without a step are Errors again.
void clear_step();

// Summaries. Each is written to the writer of its options, or else to the default writer of the thread; without one, nothing
// happens, and in a traced function there is no op. In a traced function an op is an effect: it happens at each call, in its
// turn with print and require, in branches and loops too, and writes to the writer that the calling thread has then. `name` is
// the tag; slashes group tags. Errors: a step that is no integer scalar, none given and no default; a writer that was closed.
// Events are written by the system's clock. No derivative passes through.

struct ScalarOptions {
  std::string description{};  // Markdown
  FileWriter writer{};
};
/// One number, written as f32. Error unless the value has one element.
void scalar(std::string_view name, const Operand& value, const Step& step = {}, const ScalarOptions& options = {});

struct HistogramOptions {
  int64_t buckets = 30;
  std::string description{};
  FileWriter writer{};
};
/// How the elements of a tensor of any shape are spread: as many buckets of equal width between the smallest and the largest, as
/// rows (left edge, right edge, count) of f64, counted by tensor ops before the writer sees them. If all elements are equal the
/// last bucket holds them; if there are none all is 0 (tensorboard/plugins/histogram/summary_v2.py). Elements that are not
/// finite are left out, with a warning that counts them. Error for less than one bucket.
void histogram(std::string_view name, const Operand& data, const Step& step = {}, const HistogramOptions& options = {});

struct ImageOptions {
  int64_t max_outputs = 3;  // images that are written, the first ones
  std::string description{};
  FileWriter writer{};
};
/// Images [count, height, width, channels] of 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 channels (RGBA), written as PNG. u8, or
/// floats, of which 0 to 1 become 0 to 255 (rounded down of 255.5 x, as TensorFlow's convert_image_dtype) and what is beyond is clipped;
/// NaN becomes 0. Error for another shape or dtype, an image without pixels, and negative max_outputs.
void image(std::string_view name, const Operand& data, const Step& step = {}, const ImageOptions& options = {});

struct TextOptions {
  std::string description{};
  FileWriter writer{};
};
/// A text, UTF-8 in Markdown. In a traced function it is a constant of the trace.
void text(std::string_view name, std::string_view data, const Step& step = {}, const TextOptions& options = {},
          Location where = Location::current());
/// Several texts, which TensorBoard shows as a table of one column.
void text(std::string_view name, std::span<const std::string> data, const Step& step = {}, const TextOptions& options = {},
          Location where = Location::current());

/// The traced graph of a concrete function, as a GraphDef: nodes by the scopes of composite ops, layers and functions, branches and
/// loops as scopes of their own, types and shapes on the edges, places in the source as attributes. TensorBoard shows one graph of a
/// run, the first. It goes to the default writer unless one is given. Error while a function is traced.
void graph(const ConcreteFunctionBase& function, const FileWriter& writer = {}, Location where = Location::current());

/// Runs `body`, which writes summaries, where the condition, one element, is true. In a traced function that is control flow inside of
/// the compiled function: what only the summaries need is not computed in calls that do not record; without a writer nothing is
/// left of it. `summary::record_if(step % 100 == 0, [&] { summary::histogram("w", w, step); })`. A C++ bool counts as C++ code does:
/// while tracing. Error for a condition of more elements.
void record_if(const Operand& condition, const std::function<void()>& body);

/// True if this thread has a default writer. A function that asks this while it is traced is traced again when that changes.
bool has_default_writer();

/// Flushes the default writer, if there is one; in a traced function in its turn. See FileWriter::flush.
void flush(Location where = Location::current());

}  // namespace summary

namespace callbacks {

/// Writes what a training reports for TensorBoard: into `log_dir`/train `epoch_loss` and `epoch_...` of each metric, of what other
/// callbacks put into the logs and of the learning rate, unless that follows a schedule, by epoch; into `log_dir`/validation the
/// same of what is validated, and `evaluation_..._vs_iterations` by the iterations of the optimizer; with update_freq n also
/// `batch_...` of every n-th batch, counted from 1 (Keras 3, which leaves out those evaluations where update_freq does not divide the
/// batches validated so far). While such a batch trains or is validated, the run's writer is the default one and the batch's
/// number the step: summaries of the model itself land there. Files are flushed after each epoch; Errors are those of
/// create_file_writer and FileWriter::flush.
struct TensorBoard {
  std::string log_dir = "logs";
  int64_t histogram_freq = 0;   // epochs between histograms of all weights, `NAME/histogram`; 0: none
  bool write_graph = true;      // of the training step, once
  int64_t update_freq = 0;      // batches between summaries of batches; 0: of epochs only (Keras' "epoch"; 1 is its "batch")
  bool write_steps_per_second = false;  // `epoch_steps_per_second`, and with update_freq `batch_steps_per_second`

  void on_train_begin(Model& model);
  void on_epoch_begin(Model& model, int64_t epoch);
  void on_train_batch_begin(Model& model, int64_t batch);
  void on_train_batch_end(Model& model, int64_t batch, const Logs& logs);
  void on_epoch_end(Model& model, int64_t epoch, const Logs& logs);
  void on_test_batch_begin(Model& model, int64_t batch);
  void on_test_batch_end(Model& model, int64_t batch, const Logs& logs);
  void on_test_end(Model& model, const Logs& logs);
  void on_train_end(Model& model, const Logs& logs);

  /// The numbers of batches, so that a resumed training goes on along the same axis.
  SavedState save_state() const;
  void restore_state(const SavedState& state);

  int64_t train_step = 0, test_step = 0;  // batches so far, of all trainings with it
  std::shared_ptr<detail::TensorBoardRun> run{};  // what a training in progress needs
};

}  // namespace callbacks
}  // namespace etch
