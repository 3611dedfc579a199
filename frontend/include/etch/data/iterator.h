// Iterator: one walk over a data set.
#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "etch/data/element.h"
#include "etch/data/element_loop.h"
#include "etch/data/stage.h"
#include "etch/saved_state.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

struct IteratorOptions {
  uint64_t epoch = 0;  // which walk over the data set it is: another epoch is shuffled in another way
};

namespace detail {

class CellRegistry;
std::shared_ptr<CellRegistry> make_cell_registry();
/// Functions must not take the values of variables that the call assigns which runs on this thread, if one does: it holds those.
void note_running_call(CellRegistry& cells);

/// To be called in a catch: throws what was caught as an Error with the pipeline's path before it, and the number of
/// the consumer's element where the error does not name one of its own. An InternalError passes.
[[noreturn]] void rethrow_with_path(const StageBase& stage, int64_t position);
[[noreturn]] void fail_empty_iterator();
[[noreturn]] void fail_empty_dataset(Location where);
/// Error unless a state was saved by an iterator over such a pipeline.
void check_saved(const SavedState& state, const StageBase& stage);

}  // namespace detail

namespace detail {

/// One walk. What a traced function knows of an iterator, which it does not keep alive.
template <class T>
class Walk {
 public:
  Walk(StageRef<T> stage, uint64_t epoch) : stage_(std::move(stage)), epoch_(epoch) { open(false); }
  ~Walk() { close(); }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  bool next(T& element) {
    if (!cursor_) [[unlikely]] return false;
    try {
      if (cursor_->next(element)) [[likely]] {
        ++position_;
        return true;
      }
    } catch (...) {
      fail();
    }
    close();
    return false;
  }
  int64_t skip(int64_t n) {
    if (!cursor_ || n <= 0) return 0;
    int64_t done = 0;
    try {
      done = cursor_->skip(n);
    } catch (...) {
      fail();
    }
    position_ += done;
    if (done < n) close();
    return done;
  }

  const StageBase& stage() const { return *stage_; }
  int64_t position() const { return position_; }
  uint64_t epoch() const { return epoch_; }
  bool has_ended() const { return !cursor_; }
  bool replays() const { return cursor_ && cursor_->replays(); }

  SavedState state() const {
    SavedState state;
    state.set("pipeline", stage_->path());
    state.set("epoch", epoch_);
    state.set("position", position_);
    state.set("has_ended", has_ended());
    if (!cursor_) return state;
    SavedState part;
    cursor_->save(part);
    state.set_part("walk", part);
    return state;
  }
  void restore(const SavedState& state) {
    check_saved(state, *stage_);
    const auto epoch = state.get<uint64_t>("epoch");
    const auto position = state.get<int64_t>("position");
    close();
    epoch_ = epoch;
    position_ = position;
    if (state.get<bool>("has_ended")) return;
    open(true);
    try {
      cursor_->restore(state.part("walk"));
    } catch (...) {
      fail();
    }
  }

  /// A compiled call goes on with it.
  void enter_call() { note_running_call(*cells_); }
  std::shared_ptr<const etch::detail::ElementLoopPlan> plan;  // of traced functions that use it

 private:
  void open(bool is_restored) {
    cells_ = make_cell_registry();
    cancellation_ = std::make_unique<Cancellation>();
    try {
      cursor_ = stage_->open(
          {.epoch = epoch_, .cancellation = cancellation_.get(), .is_restored = is_restored, .cells = cells_.get()});
    } catch (...) {
      fail();
    }
  }
  [[noreturn]] void fail() {
    try {
      rethrow_with_path(*stage_, position_);
    } catch (...) {
      close();
      throw;
    }
  }
  void close() noexcept {
    if (cancellation_) cancellation_->cancel();
    cursor_.reset();
    cancellation_.reset();
  }

  const StageRef<T> stage_;
  std::shared_ptr<CellRegistry> cells_;
  std::unique_ptr<Cancellation> cancellation_;
  std::unique_ptr<Cursor<T>> cursor_;  // none at the end
  uint64_t epoch_ = 0;
  int64_t position_ = 0;
};

/// Elements of a walk as their tensors.
template <class T, class Ref>
class WalkTensors final : public etch::detail::TensorSource {
 public:
  explicit WalkTensors(Ref walk) : walk_(std::move(walk)) {}
  bool next(std::vector<Tensor>& tensors) override {
    if (!walk_->next(element_)) return false;
    tensors.clear();
    for_each_tensor(element_, [&](Tensor& tensor) { tensors.push_back(std::move(tensor)); });
    return true;
  }
  std::optional<int64_t> position() const override {
    if constexpr (std::is_same_v<Ref, std::shared_ptr<Walk<T>>>) return walk_->position();
    else return {};
  }

 private:
  const Ref walk_;
  T element_{};
};

template <class T>
class StageElements final : public etch::detail::ElementMaker {
 public:
  explicit StageElements(StageRef<T> stage) : stage_(std::move(stage)) {}
  std::string path() const override { return stage_->path(); }
  std::unique_ptr<etch::detail::TensorSource> open(uint64_t epoch) const override {
    return std::make_unique<WalkTensors<T, std::unique_ptr<Walk<T>>>>(std::make_unique<Walk<T>>(stage_, epoch));
  }

 private:
  const StageRef<T> stage_;
};

template <class T>
class WalkElements final : public etch::detail::ElementMaker {
 public:
  explicit WalkElements(const std::shared_ptr<Walk<T>>& walk) : path_(walk->stage().path()), walk_(walk) {}
  std::string path() const override { return path_; }
  std::unique_ptr<etch::detail::TensorSource> open(uint64_t) const override {
    auto walk = walk_.lock();
    if (!walk) etch::detail::fail_iterator_is_gone();
    walk->enter_call();
    return std::make_unique<WalkTensors<T, std::shared_ptr<Walk<T>>>>(std::move(walk));
  }

 private:
  const std::string path_;
  const std::weak_ptr<Walk<T>> walk_;
};

/// The types of the elements of a stage while a function is traced.
std::vector<ElementSpec> spec_in_trace(const StageBase& stage);

template <class T>
std::shared_ptr<const etch::detail::ElementLoopPlan> plan_of(const StageRef<T>& stage, Location where) {
  if constexpr (kIsTensors<T>) {
    return etch::detail::element_loop_plan_of(*stage, [&] {
      return etch::detail::make_element_loop_plan(std::make_shared<StageElements<T>>(stage), spec_in_trace(*stage), where);
    });
  } else {
    etch::detail::fail_elements_of_host(*stage, where);
  }
}
template <class T>
std::shared_ptr<const etch::detail::ElementLoopPlan> plan_of(const std::shared_ptr<Walk<T>>& walk, Location where) {
  if constexpr (kIsTensors<T>) {
    if (!walk->plan) {
      walk->plan = etch::detail::make_element_loop_plan(std::make_shared<WalkElements<T>>(walk), spec_in_trace(walk->stage()), where);
    }
    return walk->plan;
  } else {
    etch::detail::fail_elements_of_host(walk->stage(), where);
  }
}

/// The element that a recorded loop stands at.
template <class T>
T element_of(const etch::detail::ElementLoop& loop) {
  if constexpr (kIsTensors<T>) {
    std::vector<Tensor> tensors = loop.tensors();
    return from_tensors_of<T>(tensors);
  } else {
    return T{};
  }
}

/// Which walk over a data set: a number, or in a traced function a tensor of one integer.
class Epoch {
 public:
  Epoch(uint64_t number) : number_(number) {}  // NOLINT: converts
  Epoch(const Tensor& tensor, Location where);
  uint64_t number() const { return number_; }
  /// As a traced function takes it.
  Tensor tensor() const;

 private:
  uint64_t number_ = 0;
  Tensor tensor_;
};

}  // namespace detail

/// One walk over a data set, which goes once from its first element to its last. Its position is what it gave; threads of the
/// pipeline may be ahead of it. Functions of the pipeline read variables as they stood when it was made. When it is destroyed, has
/// ended or has thrown, it has no threads any more. One thread at a time uses it.
///
/// In a traced function `next` is what a call of the function does, and the iterator goes on from call to call:
/// `while (auto batch = iterator.next())` is a loop. If a call throws, the iterator stands behind the last element that it gave.
/// The function does not keep the iterator alive; an Error says that it is gone.
template <class T>
class Iterator {
 public:
  using value_type = T;

  Iterator() = default;
  /// See Dataset::iterator.
  Iterator(StageRef<T> stage, IteratorOptions options)
      : walk_(std::make_shared<detail::Walk<T>>(std::move(stage), options.epoch)) {}

  /// The next element, or none at the end. Error, which names the pipeline's path and the element's index, where a stage fails; then
  /// the iterator has ended.
  std::optional<T> next(Location where = Location::current()) {
    std::optional<T> element(std::in_place);
    if (!next(*element, where)) element.reset();
    return element;
  }
  /// The same into an existing element; false at the end.
  bool next(T& element, Location where = Location::current()) {
    if (etch::detail::is_element_loop_recorded()) [[unlikely]] return record_next(element, where);
    return walk().next(element);
  }
  /// Goes over up to n elements; how many there were. Cheaper than next: map does not call its function for them.
  int64_t skip(Integer n, Location where = Location::current()) {
    etch::detail::fail_if_recorded("skipping elements", where);
    return walk().skip(n);
  }

  /// How many elements it has given or gone over.
  int64_t position() const { return walk().position(); }
  uint64_t epoch() const { return walk().epoch(); }
  /// True behind the last element, and after an error.
  bool has_ended() const { return !walk_ || walk_->has_ended(); }

  /// Where it stands, to go on there in this or another process: an iterator over the same data set that restores it gives the same
  /// rest, to the bit. A shuffle's buffer is saved as indices where its source has random access, else as elements up to 64 MiB.
  /// Error inside of a traced function.
  SavedState state(Location where = Location::current()) const {
    etch::detail::fail_if_recorded("saving the state of an iterator", where);
    return walk().state();
  }
  /// Goes to where a state was saved. Error if that was another pipeline's; then the iterator stays where it was. Error inside of a
  /// traced function.
  void restore(const SavedState& state, Location where = Location::current()) {
    etch::detail::fail_if_recorded("restoring the state of an iterator", where);
    walk().restore(state);
  }
  /// True if restoring takes elements from the beginning anew, because a source or a buffer of the pipeline cannot be saved: it may
  /// take as long as the walk did.
  bool replays() const { return walk_ && walk_->replays(); }

  // As checkpoints ask for it.
  SavedState save_state() const { return state(); }
  void restore_state(const SavedState& state) { restore(state); }

  Iterator(Iterator&&) noexcept = default;
  Iterator& operator=(Iterator&&) noexcept = default;

 private:
  detail::Walk<T>& walk() const {
    if (!walk_) [[unlikely]] detail::fail_empty_iterator();
    return *walk_;
  }
  bool record_next(T& element, Location where) {
    walk();
    etch::detail::ElementLoop loop(detail::plan_of(walk_, where), detail::Epoch(0).tensor(), where);
    if (!loop.next()) return false;
    element = detail::element_of<T>(loop);
    return true;
  }

  std::shared_ptr<detail::Walk<T>> walk_;
};

namespace detail {

/// What `for` goes along. In a traced function it is a loop of the compiled function.
template <class T>
class ForIterator {
 public:
  using value_type = T;
  using difference_type = int64_t;
  using iterator_concept = std::input_iterator_tag;

  ForIterator() = default;
  ForIterator(const StageRef<T>& stage, const Epoch& epoch, Location where) {
    if (etch::detail::is_element_loop_recorded()) {
      loop_ = std::make_unique<etch::detail::ElementLoop>(plan_of(stage, where), epoch.tensor(), where);
    } else {
      walk_ = std::make_unique<Walk<T>>(stage, epoch.number());
    }
    ++*this;
  }
  T& operator*() const { return element_; }
  T* operator->() const { return &element_; }
  ForIterator& operator++() {
    if (loop_) [[unlikely]] {
      is_at_end_ = !loop_->next();
      if (!is_at_end_) element_ = element_of<T>(*loop_);
    } else {
      is_at_end_ = !walk_->next(element_);
    }
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return is_at_end_; }

 private:
  std::unique_ptr<Walk<T>> walk_;
  std::unique_ptr<etch::detail::ElementLoop> loop_;
  mutable T element_{};
  bool is_at_end_ = true;
};

/// An epoch of a data set as a range.
template <class T>
class EpochOf {
 public:
  EpochOf(StageRef<T> stage, Epoch epoch) : stage_(std::move(stage)), epoch_(std::move(epoch)) {}
  auto begin(Location where = Location::current()) const { return ForIterator<T>(stage_, epoch_, where); }
  std::default_sentinel_t end() const { return {}; }

 private:
  StageRef<T> stage_;
  Epoch epoch_;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
