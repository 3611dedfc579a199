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

/// To be called in a catch: throws what was caught as an Error with the pipeline's path before it, and the number of
/// the consumer's element where the error does not name one of its own. An InternalError passes.
[[noreturn]] void rethrow_with_path(const StageBase& stage, int64_t position);
[[noreturn]] void fail_empty_iterator();
[[noreturn]] void fail_empty_dataset(Location where);
/// Error unless a state was saved by an iterator over such a pipeline.
void check_saved(const SavedState& state, const StageBase& stage);

}  // namespace detail

/// One walk over a data set, which goes once from its first element to its last. Its position is what it gave;
/// threads of the pipeline may be ahead of it. Functions of the pipeline read variables as they stood when it was
/// made. When it is destroyed, has ended or has thrown, it has no threads any more. One thread at a time uses it.
template <class T>
class Iterator {
 public:
  using value_type = T;

  Iterator() = default;
  /// See Dataset::iterator.
  Iterator(StageRef<T> stage, IteratorOptions options) : stage_(std::move(stage)), epoch_(options.epoch) {
    open(false);
  }
  Iterator(Iterator&& other) noexcept { swap(other); }
  Iterator& operator=(Iterator&& other) noexcept {
    Iterator taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~Iterator() { close(); }

  /// The next element, or none at the end. Error, which names the pipeline's path and the element's index, where a
  /// stage fails; then the iterator has ended.
  std::optional<T> next() {
    std::optional<T> element(std::in_place);
    if (!next(*element)) element.reset();
    return element;
  }
  /// The same into an existing element; false at the end.
  bool next(T& element) {
    if (!cursor_) [[unlikely]] {
      if (!stage_) detail::fail_empty_iterator();
      return false;
    }
    try {
      if (cursor_->next(element)) [[likely]] {
        ++position_;
        return true;
      }
    } catch (...) {
      fail();
    }
    end();
    return false;
  }
  /// Goes over up to n elements; how many there were. Cheaper than next: map does not call its function for them.
  int64_t skip(Integer n) {
    if (!cursor_ || n <= 0) return 0;
    int64_t done = 0;
    try {
      done = cursor_->skip(n);
    } catch (...) {
      fail();
    }
    position_ += done;
    if (done < n) end();
    return done;
  }

  /// How many elements it has given or gone over.
  int64_t position() const { return position_; }
  uint64_t epoch() const { return epoch_; }
  /// True behind the last element, and after an error.
  bool has_ended() const { return !cursor_; }

  /// Where it stands, to go on there in this or another process: an iterator over the same data set that restores it
  /// gives the same rest, to the bit. A shuffle's buffer is saved as indices where its source has random access, else
  /// as elements up to 64 MiB.
  SavedState state() const {
    if (!stage_) detail::fail_empty_iterator();
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
  /// Goes to where a state was saved. Error if that was another pipeline's; then the iterator stays where it was.
  void restore(const SavedState& state) {
    if (!stage_) detail::fail_empty_iterator();
    detail::check_saved(state, *stage_);
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
  /// True if restoring takes elements from the beginning anew, because a source or a buffer of the pipeline cannot be
  /// saved: it may take as long as the walk did.
  bool replays() const { return cursor_ && cursor_->replays(); }

  // As checkpoints ask for it.
  SavedState save_state() const { return state(); }
  void restore_state(const SavedState& state) { restore(state); }

 private:
  void swap(Iterator& other) noexcept {
    std::swap(stage_, other.stage_);
    std::swap(cells_, other.cells_);
    std::swap(cancellation_, other.cancellation_);
    std::swap(cursor_, other.cursor_);
    std::swap(epoch_, other.epoch_);
    std::swap(position_, other.position_);
  }
  void open(bool is_restored) {
    cells_ = detail::make_cell_registry();
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
      detail::rethrow_with_path(*stage_, position_);
    } catch (...) {
      close();
      throw;
    }
  }
  void end() {
    close();
  }
  void close() noexcept {
    if (cancellation_) cancellation_->cancel();
    cursor_.reset();
    cancellation_.reset();
  }

  StageRef<T> stage_;
  std::shared_ptr<detail::CellRegistry> cells_;
  std::unique_ptr<Cancellation> cancellation_;
  std::unique_ptr<Cursor<T>> cursor_;  // none at the end
  uint64_t epoch_ = 0;
  int64_t position_ = 0;
};

namespace detail {

/// A walk whose elements are tensors, for those who do not know the element's type.
class TensorWalk {
 public:
  virtual ~TensorWalk() = default;
  /// The tensors of the next element, in order; false at the end.
  virtual bool next(std::vector<Tensor>& tensors) = 0;
  virtual int64_t position() const = 0;
  virtual SavedState state() const = 0;
  virtual void restore(const SavedState& state) = 0;
};

template <class T>
  requires kIsTensors<T>
class TensorWalkOf final : public TensorWalk {
 public:
  explicit TensorWalkOf(Iterator<T> iterator) : iterator_(std::move(iterator)) {}
  bool next(std::vector<Tensor>& tensors) override {
    if (!iterator_.next(element_)) return false;
    tensors.clear();
    for_each_tensor(element_, [&](Tensor& tensor) { tensors.push_back(std::move(tensor)); });
    return true;
  }
  int64_t position() const override { return iterator_.position(); }
  SavedState state() const override { return iterator_.state(); }
  void restore(const SavedState& state) override { iterator_.restore(state); }

 private:
  Iterator<T> iterator_;
  T element_{};
};

/// What `for` goes along.
template <class T>
class ForIterator {
 public:
  using value_type = T;
  using difference_type = int64_t;
  using iterator_concept = std::input_iterator_tag;

  ForIterator() = default;
  explicit ForIterator(Iterator<T> walk) : walk_(std::move(walk)) { ++*this; }
  ForIterator(ForIterator&&) = default;
  ForIterator& operator=(ForIterator&&) = default;
  T& operator*() const { return element_; }
  T* operator->() const { return &element_; }
  ForIterator& operator++() {
    is_at_end_ = !walk_.next(element_);
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const { return is_at_end_; }

 private:
  Iterator<T> walk_;
  mutable T element_{};
  bool is_at_end_ = true;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
