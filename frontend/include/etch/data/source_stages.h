// Sources that are no files: tensors and their slices, numbers, generators, ranges of C++. Internal.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "etch/data/batch_stages.h"
#include "etch/data/element_stages.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {
namespace detail {

/// The rows of the tensors of a value.
template <class T>
class SlicesStage final : public RandomAccess<UnbatchedOf<T>> {
 public:
  using R = UnbatchedOf<T>;

  explicit SlicesStage(T value) : value_(std::move(value)) {
    int64_t rows = -1;
    count_element_rows(value_, "from_tensor_slices", rows);
    rows_ = rows;
    if constexpr (kIsTensors<T>) tensors_ = tensors_of(value_);
  }
  std::string_view name() const override { return "from_tensor_slices"; }
  int64_t cardinality() const override { return rows_; }
  std::vector<ElementSpec> element_spec() const override {
    if constexpr (kIsTensors<T>) return unbatched_spec({spec_of(value_)});
    return {};
  }
  R at(int64_t i) const override { return row_of_element(value_, i); }
  bool gather(std::span<const int64_t> indices, std::vector<Tensor>& stacked) const override {
    if constexpr (!kIsTensors<T>) return false;
    for (const Tensor& tensor : tensors_) stacked.push_back(gather_rows(tensor, indices));
    return true;
  }

 private:
  const T value_;
  std::vector<Tensor> tensors_;
  int64_t rows_ = 0;
};

class RangeStage final : public RandomAccess<int64_t> {
 public:
  RangeStage(int64_t start, int64_t step, int64_t count) : start_(start), step_(step), count_(count) {}
  std::string_view name() const override { return "range"; }
  int64_t cardinality() const override { return count_; }
  int64_t at(int64_t i) const override { return start_ + i * step_; }

 private:
  const int64_t start_, step_, count_;
};
/// How many numbers start, start + step, ... stand before stop. Error for a step of 0.
int64_t count_of_range(int64_t start, int64_t stop, int64_t step, Location where);

/// A callable that gives elements one by one. Each walk calls a copy of it.
template <class T, class F>
class GeneratorStage final : public Stage<T> {
 public:
  GeneratorStage(F f, std::vector<ElementSpec> spec, int64_t cardinality)
      : f_(std::move(f)), spec_(std::move(spec)), cardinality_(cardinality) {}
  std::string_view name() const override { return "from_generator"; }
  int64_t cardinality() const override { return cardinality_; }
  std::vector<ElementSpec> element_spec() const override { return spec_; }
  std::unique_ptr<Cursor<T>> open(const OpenContext&) const override {
    return std::make_unique<GeneratorCursor>(*this);
  }

 private:
  static constexpr bool kSaves = etch::detail::Stateful<F>;

  class GeneratorCursor final : public CountingCursor<T> {
   public:
    explicit GeneratorCursor(const GeneratorStage& stage) : stage_(stage), f_(stage.f_) {}
    void save(SavedState& state) const override {
      CountingCursor<T>::save(state);
      if constexpr (kSaves) state.set_part("generator", f_.save_state());
    }
    void restore(const SavedState& state) override {
      if constexpr (kSaves) {
        f_.restore_state(state.part("generator"));
        this->set_position(state.get<int64_t>("position"));
      } else {
        CountingCursor<T>::restore(state);
      }
    }
    bool replays() const override { return !kSaves; }

   protected:
    bool take(T& out) override {
      if (has_ended_) return false;
      try {
        has_ended_ = true;
        HostScope scope;
        std::optional<T> element = f_();
        scope.end();
        if (!element) return false;
        check_element(*element, stage_.spec_);
        out = *std::move(element);
        has_ended_ = false;
        return true;
      } catch (...) {
        rethrow_at("from_generator", this->position());
      }
    }

   private:
    const GeneratorStage& stage_;
    F f_;
    bool has_ended_ = false;  // nor does one that threw go on
  };

  const F f_;
  const std::vector<ElementSpec> spec_;
  const int64_t cardinality_;
};

/// A range as a walk goes along it: the stage's own, or, where it cannot be walked as const, a copy (views such as
/// filter remember where they begin).
template <class Range>
inline constexpr bool kWalksConst = std::ranges::forward_range<const Range>;
template <class Range>
using WalkedRange = std::conditional_t<kWalksConst<Range>, const Range, Range>;

/// The elements of a range of C++, of which the stage has a copy.
template <class Range>
class RangeOfStage final : public Stage<std::ranges::range_value_t<WalkedRange<Range>>> {
 public:
  using T = std::ranges::range_value_t<WalkedRange<Range>>;

  explicit RangeOfStage(Range range) : range_(std::move(range)) {}
  std::string_view name() const override { return "from_range"; }
  int64_t cardinality() const override {
    if constexpr (std::ranges::sized_range<const Range>) return static_cast<int64_t>(std::ranges::size(range_));
    return UNKNOWN_CARDINALITY;
  }
  std::unique_ptr<Cursor<T>> open(const OpenContext&) const override { return std::make_unique<RangeCursor>(range_); }

 private:
  class RangeCursor final : public CountingCursor<T> {
   public:
    explicit RangeCursor(const Range& range)
        : range_(range), next_(std::ranges::begin(range_)), end_(std::ranges::end(range_)) {}

   protected:
    bool take(T& out) override {
      if (next_ == end_) return false;
      out = *next_;
      ++next_;
      return true;
    }
    int64_t seek_by(int64_t n) override {
      return n - static_cast<int64_t>(std::ranges::advance(next_, static_cast<Difference>(n), end_));
    }

   private:
    using Walked = WalkedRange<Range>;
    using Difference = std::ranges::range_difference_t<Walked>;
    std::conditional_t<kWalksConst<Range>, const Range&, Range> range_;
    std::ranges::iterator_t<Walked> next_;
    std::ranges::sentinel_t<Walked> end_;
  };

  const Range range_;
};

/// The same of one with random access.
template <class Range>
class IndexedRangeStage final : public RandomAccess<std::ranges::range_value_t<const Range>> {
 public:
  using T = std::ranges::range_value_t<const Range>;

  explicit IndexedRangeStage(Range range) : range_(std::move(range)) {}
  std::string_view name() const override { return "from_range"; }
  int64_t cardinality() const override { return static_cast<int64_t>(std::ranges::size(range_)); }
  T at(int64_t i) const override {
    return std::ranges::begin(range_)[static_cast<std::ranges::range_difference_t<const Range>>(i)];
  }

 private:
  const Range range_;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
