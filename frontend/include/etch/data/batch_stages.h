// Stages that put elements together and take them apart: batch, padded_batch, unbatch, window. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "etch/data/element_stages.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

template <class T>
class Dataset;

namespace detail {

/// How many batches there are, or the cardinality if that is no count.
inline int64_t num_batches(int64_t elements, int64_t size, bool drops) {
  return elements < 0 ? elements : elements / size + (!drops && elements % size != 0);
}
/// The types of batches of elements of these types; empty if they are not closed.
std::vector<ElementSpec> batched_spec(const std::vector<ElementSpec>& specs, int64_t elements, int64_t size,
                                      bool drops);

// ---- batch

template <class T>
class BatchCursor final : public OneInputCursor<T, BatchedOf<T>> {
 public:
  using R = BatchedOf<T>;

  BatchCursor(std::unique_ptr<Cursor<T>> input, int64_t size, bool drops)
      : OneInputCursor<T, R>(std::move(input)), size_(size), drops_(drops) {
    if constexpr (kIsTensors<T>) source_ = this->input_->indexed();
  }
  bool next(R& out) override {
    if constexpr (kIsTensors<T>) {
      if (source_) return next_indexed(out);
    }
    collector_.begin(size_);
    int64_t count = 0;
    while (count < size_ && this->input_->next(element_)) {
      ++count;
      ++position_;
      try {
        collector_.add(element_);
      } catch (...) {
        rethrow_at("batch", position_ - 1);
      }
    }
    if (count == 0 || (drops_ && count < size_)) return false;
    out = collector_.finish();
    return true;
  }
  int64_t skip(int64_t n) override {
    const int64_t most = INT64_MAX / size_;
    const int64_t done = this->input_->skip(std::min(n, most) * size_);
    position_ += done;
    return num_batches(done, size_, drops_);
  }
  void save(SavedState& state) const override {
    OneInputCursor<T, R>::save(state);
    state.set("position", position_);
  }
  void restore(const SavedState& state) override {
    OneInputCursor<T, R>::restore(state);
    position_ = state.get<int64_t>("position");
  }

 private:
  bool next_indexed(R& out) {
    indices_.resize(static_cast<size_t>(size_));
    const int64_t count = this->input_->next_indices(indices_);
    position_ += count;
    if (count == 0 || (drops_ && count < size_)) return false;
    const std::span<const int64_t> indices = std::span(indices_).first(static_cast<size_t>(count));
    stacked_.clear();
    if (source_->gather(indices, stacked_)) {
      out = from_tensors_of<R>(stacked_);
      return true;
    }
    collector_.begin(count);
    for (int64_t i = 0; i < count; ++i) {
      try {
        collector_.add(source_->at(indices[static_cast<size_t>(i)]));
      } catch (...) {
        rethrow_at("batch", position_ - count + i);
      }
    }
    out = collector_.finish();
    return true;
  }

  const int64_t size_;
  const bool drops_;
  const RandomAccess<T>* source_ = nullptr;  // whose rows are taken by their indices
  std::vector<int64_t> indices_;
  std::vector<Tensor> stacked_;
  Collector<T> collector_;
  T element_{};
  int64_t position_ = 0;  // elements of the input
};

template <class T>
class BatchStage final : public OneInputStage<T, BatchedOf<T>> {
 public:
  BatchStage(StageRef<T> input, int64_t size, bool drops)
      : OneInputStage<T, BatchedOf<T>>(std::move(input)), size_(size), drops_(drops) {}
  std::string_view name() const override { return "batch"; }
  int64_t cardinality() const override { return num_batches(this->input_->cardinality(), size_, drops_); }
  std::vector<ElementSpec> element_spec() const override {
    if constexpr (!kIsTensors<T>) return {};
    return batched_spec(this->input_->element_spec(), this->input_->cardinality(), size_, drops_);
  }
  std::unique_ptr<Cursor<BatchedOf<T>>> open(const OpenContext& context) const override {
    return std::make_unique<BatchCursor<T>>(this->input_->open(context), size_, drops_);
  }

 private:
  const int64_t size_;
  const bool drops_;
};

// ---- padded_batch

/// What padded_batch does with each tensor of an element.
struct Padding {
  std::vector<Shape> shapes;    // per tensor; -1: to the longest of the batch; empty: all so
  std::vector<Number> numbers;  // per tensor; empty: zeros
};
/// Tensors of one dtype and rank, filled up to one shape and stacked. `tensor` is its number in the element.
Tensor pad_rows(std::span<const Tensor> rows, const Padding& padding, size_t tensor);
/// The types of padded batches; empty unless all extents are stated.
std::vector<ElementSpec> padded_spec(const std::vector<ElementSpec>& specs, const Padding& padding, int64_t elements,
                                     int64_t size, bool drops);

template <class T>
class PaddedBatchStage final : public OneInputStage<T, TensoredOf<T>> {
 public:
  using R = TensoredOf<T>;
  static_assert(kIsTensors<R>, "etch: padded_batch takes tensors, numbers, and tuples and structs of tensors");

  PaddedBatchStage(StageRef<T> input, int64_t size, bool drops, Padding padding)
      : OneInputStage<T, R>(std::move(input)), size_(size), drops_(drops), padding_(std::move(padding)) {}
  std::string_view name() const override { return "padded_batch"; }
  int64_t cardinality() const override { return num_batches(this->input_->cardinality(), size_, drops_); }
  std::vector<ElementSpec> element_spec() const override {
    if constexpr (!kIsTensors<T>) return {};
    return padded_spec(this->input_->element_spec(), padding_, this->input_->cardinality(), size_, drops_);
  }
  std::unique_ptr<Cursor<R>> open(const OpenContext& context) const override {
    return std::make_unique<PaddingCursor>(this->input_->open(context), *this);
  }

 private:
  class PaddingCursor final : public OneInputCursor<T, R> {
   public:
    PaddingCursor(std::unique_ptr<Cursor<T>> input, const PaddedBatchStage& stage)
        : OneInputCursor<T, R>(std::move(input)), stage_(stage) {}
    bool next(R& out) override {
      constexpr auto kCount = static_cast<size_t>(count_tensors<R>());
      std::vector<Tensor> rows[kCount];
      int64_t count = 0;
      T element{};
      for (; count < stage_.size_ && this->input_->next(element); ++count) {
        R tensors = tensored(std::move(element));
        size_t i = 0;
        for_each_tensor(tensors, [&](Tensor& tensor) { rows[i++].push_back(std::move(tensor)); });
      }
      position_ += count;
      if (count == 0 || (stage_.drops_ && count < stage_.size_)) return false;
      try {
        R batch{};
        size_t i = 0;
        for_each_tensor(batch, [&](Tensor& tensor) {
          tensor = pad_rows(rows[i], stage_.padding_, i);
          ++i;
        });
        out = std::move(batch);
      } catch (...) {
        rethrow_at("padded_batch", (position_ - 1) / stage_.size_);
      }
      return true;
    }
    int64_t skip(int64_t n) override {
      const int64_t done = this->input_->skip(std::min(n, INT64_MAX / stage_.size_) * stage_.size_);
      position_ += done;
      return num_batches(done, stage_.size_, stage_.drops_);
    }
    void save(SavedState& state) const override {
      OneInputCursor<T, R>::save(state);
      state.set("position", position_);
    }
    void restore(const SavedState& state) override {
      OneInputCursor<T, R>::restore(state);
      position_ = state.get<int64_t>("position");
    }

   private:
    const PaddedBatchStage& stage_;
    int64_t position_ = 0;
  };

  const int64_t size_;
  const bool drops_;
  const Padding padding_;
};

// ---- unbatch

std::vector<ElementSpec> unbatched_spec(const std::vector<ElementSpec>& specs);

template <class T>
class UnbatchStage final : public OneInputStage<T, UnbatchedOf<T>> {
 public:
  using R = UnbatchedOf<T>;

  explicit UnbatchStage(StageRef<T> input) : OneInputStage<T, R>(std::move(input)) {}
  std::string_view name() const override { return "unbatch"; }
  int64_t cardinality() const override {
    const int64_t batches = this->input_->cardinality();
    if (batches <= 0) return batches;
    const std::vector<ElementSpec> specs = this->input_->element_spec();
    if (specs.size() != 1 || specs[0].tensors.empty() || specs[0].tensors[0].shape.rank() == 0)
      return UNKNOWN_CARDINALITY;
    return batches * specs[0].tensors[0].shape[0];
  }
  std::vector<ElementSpec> element_spec() const override { return unbatched_spec(this->input_->element_spec()); }
  std::unique_ptr<Cursor<R>> open(const OpenContext& context) const override {
    return std::make_unique<UnbatchCursor>(this->input_->open(context));
  }

 private:
  class UnbatchCursor final : public OneInputCursor<T, R> {
   public:
    explicit UnbatchCursor(std::unique_ptr<Cursor<T>> input) : OneInputCursor<T, R>(std::move(input)) {}
    bool next(R& out) override {
      if (!has_row()) return false;
      out = row_of_element(batch_, row_++);
      ++given_;
      return true;
    }
    int64_t skip(int64_t n) override {
      int64_t done = 0;
      while (done < n && has_row()) {
        const int64_t step = std::min(n - done, rows_ - row_);
        row_ += step;
        done += step;
        given_ += step;
      }
      return done;
    }
    void save(SavedState& state) const override {
      state.set("given", given_);
      const bool is_inside = row_ < rows_;
      if (is_inside && !save_elements(state, "batch", std::vector<T>{batch_})) return;
      state.set("row", is_inside ? row_ : int64_t{0});
      state.set("batches", batches_);
      OneInputCursor<T, R>::save(state);
    }
    void restore(const SavedState& state) override {
      const auto target = state.get<int64_t>("given");
      if (!state.contains("row")) return replay(*this, target, given_);
      OneInputCursor<T, R>::restore(state);
      given_ = target;
      batches_ = state.get<int64_t>("batches");
      if (!state.contains("batch")) return;
      std::vector<T> batches;
      restore_elements(state, "batch", batches);
      batch_ = std::move(batches.at(0));
      row_ = state.get<int64_t>("row");
      rows_ = -1;
      count_element_rows(batch_, "unbatch", rows_);
    }

   private:
    bool has_row() {
      while (row_ >= rows_) {
        if (!this->input_->next(batch_)) return false;
        row_ = rows_ = 0;
        int64_t rows = -1;
        try {
          count_element_rows(batch_, "unbatch", rows);
        } catch (...) {
          rethrow_at("unbatch", batches_++);
        }
        ++batches_;
        rows_ = rows;
      }
      return true;
    }

    T batch_{};
    int64_t row_ = 0, rows_ = 0, given_ = 0, batches_ = 0;
  };
};

// ---- window

/// The elements of a window, as a data set has them.
template <class T>
class ListStage final : public RandomAccess<T> {
 public:
  ListStage(std::vector<T> elements, std::string_view name) : elements_(std::move(elements)), name_(name) {}
  std::string_view name() const override { return name_; }
  int64_t cardinality() const override { return static_cast<int64_t>(elements_.size()); }
  std::vector<ElementSpec> element_spec() const override {
    std::vector<ElementSpec> specs;
    if constexpr (kIsTensors<T>) {
      for (const T& element : elements_) {
        ElementSpec spec = spec_of(element);
        if (std::find(specs.begin(), specs.end(), spec) == specs.end()) specs.push_back(std::move(spec));
      }
    }
    return specs;
  }
  T at(int64_t i) const override { return elements_[static_cast<size_t>(i)]; }

 private:
  const std::vector<T> elements_;
  const std::string_view name_;
};

struct WindowShape {
  int64_t size, shift, stride;
  bool drops;
};
int64_t num_windows(int64_t elements, const WindowShape& shape);

template <class T>
class WindowStage final : public OneInputStage<T, Dataset<T>> {
 public:
  using R = Dataset<T>;

  WindowStage(StageRef<T> input, WindowShape shape) : OneInputStage<T, R>(std::move(input)), shape_(shape) {}
  std::string_view name() const override { return "window"; }
  int64_t cardinality() const override { return num_windows(this->input_->cardinality(), shape_); }
  std::unique_ptr<Cursor<R>> open(const OpenContext& context) const override {
    return std::make_unique<WindowCursor>(this->input_->open(context), shape_);
  }

 private:
  class WindowCursor final : public OneInputCursor<T, R> {
   public:
    WindowCursor(std::unique_ptr<Cursor<T>> input, WindowShape shape)
        : OneInputCursor<T, R>(std::move(input)), shape_(shape) {}
    bool next(R& out) override {
      const int64_t span = (shape_.size - 1) * shape_.stride + 1;
      if (gap_ > 0) this->input_->skip(std::exchange(gap_, int64_t{0}));
      T element{};
      while (static_cast<int64_t>(buffer_.size()) < span && this->input_->next(element))
        buffer_.push_back(std::move(element));
      if (buffer_.empty() || (shape_.drops && static_cast<int64_t>(buffer_.size()) < span)) return false;
      std::vector<T> elements;
      for (int64_t i = 0; i < span && i < static_cast<int64_t>(buffer_.size()); i += shape_.stride) {
        elements.push_back(buffer_[static_cast<size_t>(i)]);
      }
      const int64_t dropped = std::min(shape_.shift, static_cast<int64_t>(buffer_.size()));
      buffer_.erase(buffer_.begin(), buffer_.begin() + dropped);
      gap_ = shape_.shift - dropped;
      ++given_;
      out = R(std::make_shared<const ListStage<T>>(std::move(elements), "window"));
      return true;
    }
    void save(SavedState& state) const override {
      state.set("given", given_);
      if (!save_elements(state, "buffer", buffer_)) return;
      state.set("gap", gap_);
      OneInputCursor<T, R>::save(state);
    }
    void restore(const SavedState& state) override {
      const auto target = state.get<int64_t>("given");
      if (!state.contains("gap")) return replay(*this, target, given_);
      OneInputCursor<T, R>::restore(state);
      restore_elements(state, "buffer", buffer_);
      gap_ = state.get<int64_t>("gap");
      given_ = target;
    }
    bool replays() const override { return !fits_in_state(buffer_) || this->input_->replays(); }

   private:
    const WindowShape shape_;
    std::deque<T> buffer_;
    int64_t gap_ = 0;  // elements between the buffer and the next window
    int64_t given_ = 0;
  };

  const WindowShape shape_;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
