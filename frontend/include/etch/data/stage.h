// What a data set is made of: stages, which describe, and cursors, which walk. For those who write sources and
// transforms.
//
// A stage is an immutable description that data sets, iterators and threads share. Opening it gives a cursor, which
// one thread at a time uses. A source is written as a class derived from Stage<T> with a cursor derived from
// Cursor<T>, and becomes a data set by Dataset<T>(std::make_shared<const Source>(...)).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "etch/function.h"
#include "etch/saved_state.h"
#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

/// Cardinalities that are no counts, with TensorFlow's values.
inline constexpr int64_t INFINITE_CARDINALITY = -1;
inline constexpr int64_t UNKNOWN_CARDINALITY = -2;
/// In the place of a count of threads or of a buffer's size: found while the pipeline runs. No element depends on it.
inline constexpr int AUTOTUNE = -1;

/// One type that elements have: the dtypes and shapes of their tensors, in order. Numbers and texts of the host are
/// no part.
struct ElementSpec {
  std::vector<TensorSpec> tensors;
};
bool operator==(const ElementSpec& a, const ElementSpec& b);
/// `f32[784], i64[]`.
std::string to_string(const ElementSpec& spec);

/// Says that a walk is to end at once: to whoever waits inside of it. Children end with their parent.
class Cancellation {
 public:
  Cancellation();
  /// One that also ends with another, which outlives it.
  explicit Cancellation(Cancellation& parent);
  ~Cancellation();
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  /// Calls what `on_cancel` left here, once.
  void cancel() noexcept;
  bool is_cancelled() const noexcept;

  /// Calls `wake`, which must not throw and takes no time, when the walk is cancelled (at once, if it is), from any
  /// thread, until it is destroyed.
  class Listener {
   public:
    Listener(Cancellation& of, void (*wake)(void* context), void* context);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    friend class Cancellation;
    Cancellation& of_;
    void (*const wake_)(void*);
    void* const context_;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
};

namespace detail {
class CellRegistry;
}

/// What a walk is opened with.
struct OpenContext {
  /// Which walk over the data set it is: shuffles give another order in another epoch, random maps other numbers.
  uint64_t epoch = 0;
  /// Tells walks of one epoch apart, such as those over the data sets that flat_map makes: 0 but inside of these.
  /// Whoever draws random numbers makes them of (seed, salt, epoch, index of the element) and of nothing else.
  uint64_t salt = 0;
  /// Never null; outlives the cursor. A cursor that waits longer than a millisecond or so (for a socket, for a
  /// thread) ends its wait when this is cancelled, and then may give false.
  Cancellation* cancellation = nullptr;
  /// The cursor will be restored before its first element: what is done for the first one ahead of time can be left
  /// out.
  bool is_restored = false;
  /// What functions of the pipeline found in variables.
  detail::CellRegistry* cells = nullptr;
};

/// The part of a cursor that does not know its elements.
///
/// Rules for all cursors. One thread at a time calls it. `next` and `skip` may throw: an error of one element (a bad
/// record) comes once, and the call after it goes on behind that element; an error that leaves nothing to go on with
/// (a file that is gone) comes once, and later calls give false (0). A cursor never gives another element after its
/// end. What it throws is etch::Error, or anything that user code threw; the iterator puts the pipeline's path before
/// it.
class CursorBase {
 public:
  CursorBase() = default;
  virtual ~CursorBase();
  CursorBase(const CursorBase&) = delete;
  CursorBase& operator=(const CursorBase&) = delete;

  /// Goes over up to n elements without giving them; how many there were, fewer than n only at the end. Cheap where
  /// it can be: a source seeks, map does not call its function. (Default in Cursor: takes them and drops them.)
  virtual int64_t skip(int64_t n) = 0;

  /// Saves where it stands: behind the last element that `next` gave or `skip` went over, never what was read ahead.
  /// Names are the cursor's own, such as `position`; those of its inputs stand under `input/` (SavedState::set_part).
  /// `state` comes empty. Must not throw where next() would not.
  virtual void save(SavedState& state) const = 0;
  /// On a cursor that was just opened by the same stage with the same epoch and salt: goes to where `save` was
  /// called, so that the rest is the same to the bit. A source that cannot seek skips.
  virtual void restore(const SavedState& state) = 0;
  /// True if `restore` must take all elements from the beginning anew, here or in an input: a generator without state.
  virtual bool replays() const { return false; }
};

template <class T>
class RandomAccess;

namespace detail {
/// Skips until `position`, which the cursor counts, is `target`. Errors of single elements are passed over. Error if
/// the end comes first.
void replay(CursorBase& cursor, int64_t target, const int64_t& position);
}  // namespace detail

/// A walk over elements.
template <class T>
class Cursor : public CursorBase {
 public:
  /// Puts the next element into `out` and gives true; at the end false, and `out` is as it may be. `out` may hold an
  /// old element; it is assigned, never changed in place.
  virtual bool next(T& out) = 0;

  int64_t skip(int64_t n) override {
    T dropped{};
    int64_t done = 0;
    while (done < n && next(dropped)) ++done;
    return done;
  }

  /// Cursors over a stage with random access may give the indices of elements in the place of these: how many they
  /// put into `indices`, fewer than it has room for only at the end. What comes by next() and by this are one
  /// sequence.
  virtual int64_t next_indices(std::span<int64_t> indices) {
    static_cast<void>(indices);
    return 0;
  }
  /// The stage whose elements next_indices() means, or nullptr if it must not be called.
  virtual const RandomAccess<T>* indexed() const { return nullptr; }
};

/// The part of a stage that does not know its elements.
class StageBase {
 public:
  StageBase();
  virtual ~StageBase();
  StageBase(const StageBase&) = delete;
  StageBase& operator=(const StageBase&) = delete;

  /// The word for it in paths, as users call it: `map`, `tfrecord`.
  virtual std::string_view name() const = 0;
  /// The stages that it takes elements of; the first one is the main one, of which the path goes on.
  virtual std::vector<const StageBase*> inputs() const { return {}; }
  /// How many elements an epoch has, INFINITE_CARDINALITY or UNKNOWN_CARDINALITY. Nothing is opened or read to tell it.
  virtual int64_t cardinality() const { return UNKNOWN_CARDINALITY; }
  /// All types that elements may have: a closed list; empty if it is not known. Nothing is opened, read or run to
  /// tell it.
  virtual std::vector<ElementSpec> element_spec() const { return {}; }

  /// Unlike that of any other stage.
  uint64_t number() const { return number_; }
  /// `tfrecord > map > batch`: from the source along the first inputs; other inputs are not named.
  std::string path() const;

 private:
  const uint64_t number_;
};

/// An immutable description of elements; any number of threads may open it at once. Must stay unchanged, and give the
/// same elements for the same context, as long as it lives.
template <class T>
class Stage : public StageBase {
 public:
  using value_type = T;

  /// A walk from the first element. It keeps nothing of the context but the pointer in it; the stage outlives the
  /// cursor. Files are opened here or at the first element; no thread starts before that.
  virtual std::unique_ptr<Cursor<T>> open(const OpenContext& context) const = 0;
  /// This stage, if elements can be had by index.
  virtual const RandomAccess<T>* random_access() const { return nullptr; }
};

/// A stage whose elements can be had by index, from many threads at once, at a cost that does not depend on the index.
template <class T>
class RandomAccess : public Stage<T> {
 public:
  /// Element i of 0 .. cardinality() - 1, which is a count; the same in every epoch.
  virtual T at(int64_t i) const = 0;
  /// The tensors of these elements, each stacked along a new first axis, in one copy: [indices.size(), ...] per
  /// tensor of T, in order. False, and nothing happens, where there is no faster way than at().
  virtual bool gather(std::span<const int64_t> indices, std::vector<Tensor>& stacked) const {
    static_cast<void>(indices);
    static_cast<void>(stacked);
    return false;
  }

  const RandomAccess* random_access() const final { return this; }
  /// A walk by index: seeks, and saves a position.
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override;
};

/// A stage as data sets share it.
template <class T>
using StageRef = std::shared_ptr<const Stage<T>>;

/// A cursor that saves a count of elements and goes back by skipping: to derive from where there is no better state.
/// Derived classes give `take`, and may override `seek_by` where they can seek.
template <class T>
class CountingCursor : public Cursor<T> {
 public:
  bool next(T& out) final {
    if (!take(out)) return false;
    ++position_;
    return true;
  }
  int64_t skip(int64_t n) final {
    int64_t done = seek_by(n);
    if (done >= 0) {
      position_ += done;
      return done;
    }
    T dropped{};
    for (done = 0; done < n && next(dropped);) ++done;
    return done;
  }
  void save(SavedState& state) const override { state.set("position", position_); }
  /// Errors of elements that were gone over then are gone over now.
  void restore(const SavedState& state) override { detail::replay(*this, state.get<int64_t>("position"), position_); }
  bool replays() const override { return true; }

  /// How many elements it has given or gone over.
  int64_t position() const { return position_; }

 protected:
  /// As next().
  virtual bool take(T& out) = 0;
  /// For derived classes with a state of their own.
  void set_position(int64_t position) { position_ = position; }
  /// As skip(), where that takes no elements; a negative number if it cannot.
  virtual int64_t seek_by(int64_t n) {
    static_cast<void>(n);
    return -1;
  }

 private:
  int64_t position_ = 0;
};

namespace detail {

/// Walks over a stage with random access.
template <class T>
class IndexCursor final : public Cursor<T> {
 public:
  explicit IndexCursor(const RandomAccess<T>& stage) : stage_(stage), count_(stage.cardinality()) {}

  bool next(T& out) override {
    if (next_ >= count_) return false;
    out = stage_.at(next_++);
    return true;
  }
  int64_t skip(int64_t n) override {
    const int64_t done = n < count_ - next_ ? n : count_ - next_;
    next_ += done;
    return done;
  }
  int64_t next_indices(std::span<int64_t> indices) override {
    size_t done = 0;
    while (done < indices.size() && next_ < count_) indices[done++] = next_++;
    return static_cast<int64_t>(done);
  }
  const RandomAccess<T>* indexed() const override { return &stage_; }
  void save(SavedState& state) const override { state.set("position", next_); }
  void restore(const SavedState& state) override { next_ = state.get<int64_t>("position"); }

 private:
  const RandomAccess<T>& stage_;
  const int64_t count_;
  int64_t next_ = 0;
};

}  // namespace detail

template <class T>
std::unique_ptr<Cursor<T>> RandomAccess<T>::open(const OpenContext&) const {
  return std::make_unique<detail::IndexCursor<T>>(*this);
}

}  // namespace data
}  // namespace etch
