// BatchSet: batches for a Model, of tensors or of any range.
#pragma once

#include <concepts>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <type_traits>
#include <utility>

#include "etch/batches.h"
#include "etch/saved_state.h"
#include "etch/values.h"

namespace [[gnu::visibility("default")]] etch {

/// Samples along the first axis, what they should give, and how much each counts; the last two may be missing.
struct Batch {
  Tensor x{}, y{};
  Tensor sample_weight{};
};

namespace detail {

/// One walk over batches.
class BatchWalk {
 public:
  virtual ~BatchWalk() = default;
  /// Puts the next batch into `batch`; false at the end.
  virtual bool next(Batch& batch) = 0;
  /// Where it stands, and back there; on a new walk over the same batches.
  virtual SavedState save_state() const = 0;
  virtual void restore_state(const SavedState& state) = 0;
  /// True if restoring takes all elements from the beginning anew.
  virtual bool replays() const = 0;
};

/// What a BatchSet holds of a range.
class BatchRange {
 public:
  virtual ~BatchRange() = default;
  virtual std::unique_ptr<BatchWalk> walk(uint64_t epoch) = 0;
  /// How many batches a walk has; below 0 if that is not known.
  virtual int64_t count() const = 0;
};

template <class E, size_t... I>
Batch batch_of_parts(const E& element, std::index_sequence<I...>) {
  return {Tensor(std::get<I>(element))...};
}
template <class E, size_t... I>
Batch batch_of_members(const E& element, std::index_sequence<I...>) {
  return {Tensor(member<I>(element))...};
}
/// The batch that an element of a range is.
template <class E>
Batch batch_of(const E& element) {
  constexpr size_t kMost = 3;
  if constexpr (std::is_same_v<E, Batch>) {
    return element;
  } else if constexpr (std::is_convertible_v<const E&, Tensor>) {
    return {Tensor(element)};
  } else if constexpr (TupleLike<E>) {
    constexpr size_t kCount = std::tuple_size_v<E>;
    static_assert(kCount >= 1 && kCount <= kMost, "etch: an element of a data set for a Model is x, (x, y) or (x, y, weight)");
    return batch_of_parts(element, std::make_index_sequence<kCount>());
  } else {
    static_assert(Plain<E>, "etch: an element of a data set for a Model is x, (x, y) or (x, y, weight): a tensor, a tuple, or a "
                            "struct of them in this order; map it to one");
    static_assert(kNumMembers<E> >= 1 && kNumMembers<E> <= kMost,
                  "etch: an element of a data set for a Model is x, (x, y) or (x, y, weight)");
    return batch_of_members(element, std::make_index_sequence<kNumMembers<E>>());
  }
}

/// A data set, whose walks have numbers and states.
template <class D>
concept WalkedByEpoch = requires(const D& dataset, uint64_t epoch, const SavedState& state) {
  { *dataset.iterator({.epoch = epoch}).next() };
  dataset.iterator({.epoch = epoch}).restore_state(state);
  { dataset.iterator({.epoch = epoch}).save_state() } -> std::same_as<SavedState>;
};
/// Any range of batches.
template <class D>
concept RangeOfBatches = !std::is_convertible_v<D, Tensor> && (WalkedByEpoch<D> || std::ranges::input_range<D&>);

template <class D>
class DatasetBatches final : public BatchRange {
 public:
  explicit DatasetBatches(D dataset) : dataset_(std::move(dataset)) {}
  std::unique_ptr<BatchWalk> walk(uint64_t epoch) override { return std::make_unique<Walk>(dataset_.iterator({.epoch = epoch})); }
  int64_t count() const override {
    if constexpr (requires { { dataset_.cardinality() } -> std::convertible_to<int64_t>; }) return dataset_.cardinality();
    else return -1;
  }

 private:
  using Iterator = decltype(std::declval<const D&>().iterator({.epoch = uint64_t{0}}));
  class Walk final : public BatchWalk {
   public:
    explicit Walk(Iterator iterator) : iterator_(std::move(iterator)) {}
    bool next(Batch& batch) override {
      auto element = iterator_.next();
      if (element) batch = batch_of(*element);
      return static_cast<bool>(element);
    }
    SavedState save_state() const override { return iterator_.save_state(); }
    void restore_state(const SavedState& state) override { iterator_.restore_state(state); }
    bool replays() const override {
      if constexpr (requires { iterator_.replays(); }) return iterator_.replays();
      else return false;
    }

   private:
    Iterator iterator_;
  };
  D dataset_;
};

/// A range of std, whose walks all begin at its beginning; their state is how many elements they gave.
template <class R>
class PlainBatches final : public BatchRange {
 public:
  explicit PlainBatches(R range) : range_(std::move(range)) {}
  std::unique_ptr<BatchWalk> walk(uint64_t epoch) override {
    if constexpr (std::is_same_v<R, Batches>) {
      for (; begun_ < epoch; ++begun_) (void)range_.begin();  // each beginning shuffles in another way
      ++begun_;
    }
    return std::make_unique<Walk>(range_);
  }
  int64_t count() const override {
    if constexpr (requires { std::ranges::size(range_); }) return static_cast<int64_t>(std::ranges::size(range_));
    else if constexpr (requires { { range_.count() } -> std::convertible_to<int64_t>; }) return range_.count();
    else return -1;
  }

 private:
  class Walk final : public BatchWalk {
   public:
    explicit Walk(R& range) : next_(std::ranges::begin(range)), end_(std::ranges::end(range)) {}
    bool next(Batch& batch) override {
      if (given_ > 0 && next_ != end_ && !is_ahead_) ++next_;
      is_ahead_ = false;
      if (next_ == end_) return false;
      batch = batch_of<std::remove_cvref_t<decltype(*next_)>>(*next_);
      ++given_;
      return true;
    }
    SavedState save_state() const override {
      SavedState state;
      state.set("given", given_);
      return state;
    }
    void restore_state(const SavedState& state) override {
      given_ = state.get<int64_t>("given");
      std::ranges::advance(next_, given_, end_);
      is_ahead_ = true;
    }
    bool replays() const override { return !std::random_access_iterator<Iterator>; }

   private:
    using Iterator = decltype(std::ranges::begin(std::declval<R&>()));
    Iterator next_;
    decltype(std::ranges::end(std::declval<R&>())) end_;
    int64_t given_ = 0;
    bool is_ahead_ = false;  // next_ stands at the next element, not at the one that was given last
  };
  R range_;
  uint64_t begun_ = 0;
};

}  // namespace detail

/// What a Model trains on, evaluates or predicts: samples, which it cuts into batches, or batches that a data set or any other
/// input range gives. An element is x, (x, y) or (x, y, sample_weight): a tensor, a pair, a tuple, a Batch, or a struct of such in
/// this order. A data set's walk is made with the number of the epoch.
class BatchSet {
 public:
  /// None.
  BatchSet() = default;
  BatchSet(Batch samples) : samples_(std::move(samples)) {}  // NOLINT: samples convert
  BatchSet(Tensor x, Tensor y, Tensor sample_weight = {}) : samples_{std::move(x), std::move(y), std::move(sample_weight)} {}
  template <class D>
    requires(!std::is_same_v<D, BatchSet> && !std::is_same_v<D, Batch> && detail::RangeOfBatches<D>)
  BatchSet(D dataset) {  // NOLINT: ranges convert
    if constexpr (detail::WalkedByEpoch<D>) range_ = std::make_shared<detail::DatasetBatches<D>>(std::move(dataset));
    else range_ = std::make_shared<detail::PlainBatches<D>>(std::move(dataset));
  }

  bool defined() const { return range_ || samples_.x.defined(); }
  /// Those that are to be cut into batches; empty for a range.
  const Batch& samples() const { return samples_; }
  /// The range, or nullptr.
  detail::BatchRange* range() const { return range_.get(); }

 private:
  Batch samples_;
  std::shared_ptr<detail::BatchRange> range_;
};

}  // namespace etch
