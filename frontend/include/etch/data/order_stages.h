// Stages that choose and order elements: shuffle, repeat, take, skip, shard, concatenate, zip, enumerate. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "etch/data/element_stages.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {
namespace detail {

// ---- shuffle

/// A buffer of indices in a state, and back.
Tensor indices_tensor(const std::vector<int64_t>& indices);
std::vector<int64_t> tensor_indices(const Tensor& tensor);

/// Chooses in a buffer that is refilled from a sequence: TensorFlow's shuffle. Random number k decides the k-th
/// element.
template <class T>
class ShuffleBuffer {
 public:
  ShuffleBuffer(int64_t capacity, uint64_t key) : capacity_(capacity), key_(key) {}

  /// `fill(element)` gives the next one of the sequence, or false at its end.
  template <class Fill>
  bool next(T& out, Fill&& fill) {
    while (static_cast<int64_t>(elements.size()) < capacity_ && !has_ended) {
      T element{};
      has_ended = !fill(element);
      if (!has_ended) elements.push_back(std::move(element));
    }
    if (elements.empty()) return false;
    const auto i = static_cast<size_t>(random_below(key_, draws++, static_cast<int64_t>(elements.size())));
    out = std::move(elements[i]);
    if (i + 1 < elements.size()) elements[i] = std::move(elements.back());
    elements.pop_back();
    return true;
  }

  std::vector<T> elements;
  uint64_t draws = 0;
  bool has_ended = false;

 private:
  const int64_t capacity_;
  const uint64_t key_;
};

template <class T>
class ShuffleStage final : public OneInputStage<T, T> {
 public:
  ShuffleStage(StageRef<T> input, int64_t capacity, uint64_t seed, bool by_epoch)
      : OneInputStage<T, T>(std::move(input)), capacity_(capacity), seed_(seed), by_epoch_(by_epoch) {}
  std::string_view name() const override { return "shuffle"; }
  int64_t cardinality() const override { return this->input_->cardinality(); }
  std::vector<ElementSpec> element_spec() const override { return this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    const uint64_t key = mix(mix(seed_, context.salt), by_epoch_ ? context.epoch : 0);
    if (const RandomAccess<T>* source = this->input_->random_access()) {
      return std::make_unique<IndexShuffle>(*source, capacity_, key);
    }
    return std::make_unique<ElementShuffle>(this->input_->open(context), capacity_, key);
  }

 private:
  /// Of a source with random access: the buffer holds indices, and elements are made when they are given.
  class IndexShuffle final : public Cursor<T> {
   public:
    IndexShuffle(const RandomAccess<T>& source, int64_t capacity, uint64_t key)
        : source_(source), count_(source.cardinality()), buffer_(capacity, key) {}
    bool next(T& out) override {
      int64_t index = 0;
      if (!next_index(index)) return false;
      out = source_.at(index);
      return true;
    }
    int64_t skip(int64_t n) override {
      int64_t index = 0, done = 0;
      while (done < n && next_index(index)) ++done;
      return done;
    }
    int64_t next_indices(std::span<int64_t> indices) override {
      size_t done = 0;
      while (done < indices.size() && next_index(indices[done])) ++done;
      return static_cast<int64_t>(done);
    }
    const RandomAccess<T>* indexed() const override { return &source_; }
    void save(SavedState& state) const override {
      state.set("buffer", indices_tensor(buffer_.elements));
      state.set("draws", buffer_.draws);
      state.set("next", next_);
    }
    void restore(const SavedState& state) override {
      buffer_.elements = tensor_indices(state.get<Tensor>("buffer"));
      for (int64_t index : buffer_.elements) {
        if (index < 0 || index >= count_) throw Error("shuffle: a saved index is not one of this data set");
      }
      buffer_.draws = state.get<uint64_t>("draws");
      next_ = state.get<int64_t>("next");
    }

   private:
    bool next_index(int64_t& index) {
      return buffer_.next(index, [&](int64_t& next) { return next_ < count_ ? next = next_++, true : false; });
    }

    const RandomAccess<T>& source_;
    const int64_t count_;
    ShuffleBuffer<int64_t> buffer_;
    int64_t next_ = 0;
  };

  class ElementShuffle final : public OneInputCursor<T, T> {
   public:
    ElementShuffle(std::unique_ptr<Cursor<T>> input, int64_t capacity, uint64_t key)
        : OneInputCursor<T, T>(std::move(input)), buffer_(capacity, key) {}
    bool next(T& out) override {
      if (!buffer_.next(out, [&](T& element) { return this->input_->next(element); })) return false;
      ++given_;
      return true;
    }
    void save(SavedState& state) const override {
      state.set("given", given_);
      if (!save_elements(state, "buffer", buffer_.elements)) return;
      state.set("draws", buffer_.draws);
      state.set("has_ended", buffer_.has_ended);
      OneInputCursor<T, T>::save(state);
    }
    void restore(const SavedState& state) override {
      const auto target = state.get<int64_t>("given");
      if (!state.contains("draws")) return replay(*this, target, given_);
      OneInputCursor<T, T>::restore(state);
      restore_elements(state, "buffer", buffer_.elements);
      buffer_.draws = state.get<uint64_t>("draws");
      buffer_.has_ended = state.get<bool>("has_ended");
      given_ = target;
    }
    bool replays() const override { return !fits_in_state(buffer_.elements) || this->input_->replays(); }

   private:
    ShuffleBuffer<T> buffer_;
    int64_t given_ = 0;
  };

  const int64_t capacity_;
  const uint64_t seed_;
  const bool by_epoch_;
};

// ---- repeat

int64_t repeated_cardinality(int64_t elements, int64_t count);

template <class T>
class RepeatStage final : public OneInputStage<T, T> {
 public:
  RepeatStage(StageRef<T> input, int64_t count) : OneInputStage<T, T>(std::move(input)), count_(count) {}
  std::string_view name() const override { return "repeat"; }
  int64_t cardinality() const override { return repeated_cardinality(this->input_->cardinality(), count_); }
  std::vector<ElementSpec> element_spec() const override { return this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    return std::make_unique<RepeatCursor>(*this->input_, count_, context);
  }

 private:
  class RepeatCursor final : public Cursor<T> {
   public:
    RepeatCursor(const Stage<T>& input, int64_t count, const OpenContext& context)
        : stage_(input), count_(count), context_(context) {
      if (count_ != 0) open();
    }
    bool next(T& out) override {
      while (cursor_) {
        if (cursor_->next(out)) {
          is_empty_ = false;
          return true;
        }
        next_turn();
      }
      return false;
    }
    int64_t skip(int64_t n) override {
      int64_t done = 0;
      while (cursor_ && done < n) {
        const int64_t step = cursor_->skip(n - done);
        done += step;
        is_empty_ = is_empty_ && step == 0;
        if (done < n) next_turn();
      }
      return done;
    }
    int64_t next_indices(std::span<int64_t> indices) override {
      size_t done = 0;
      while (cursor_ && done < indices.size()) {
        const int64_t step = cursor_->next_indices(indices.subspan(done));
        done += static_cast<size_t>(step);
        is_empty_ = is_empty_ && step == 0;
        if (done < indices.size()) next_turn();
      }
      return static_cast<int64_t>(done);
    }
    const RandomAccess<T>* indexed() const override { return cursor_ ? cursor_->indexed() : nullptr; }
    void save(SavedState& state) const override {
      state.set("turn", turn_);
      state.set("is_empty", is_empty_);
      if (!cursor_) return;
      SavedState part;
      cursor_->save(part);
      state.set_part("input", part);
    }
    void restore(const SavedState& state) override {
      turn_ = state.get<int64_t>("turn");
      is_empty_ = state.get<bool>("is_empty");
      const SavedState part = state.part("input");
      cursor_.reset();
      if (part.empty()) return;
      open(true);
      cursor_->restore(part);
    }
    bool replays() const override { return cursor_ && cursor_->replays(); }

   private:
    void open(bool is_restored = false) {
      OpenContext context = context_;
      const auto turn = static_cast<uint64_t>(turn_);
      // Each turn is an epoch of its own, unlike those of other epochs of the whole.
      context.epoch =
          count_ > 0 ? context_.epoch * static_cast<uint64_t>(count_) + turn : (context_.epoch << 32) + turn;
      context.is_restored = is_restored || (context_.is_restored && turn_ == 0);
      cursor_ = stage_.open(context);
    }
    void next_turn() {
      cursor_.reset();
      ++turn_;
      if (is_empty_ || (count_ >= 0 && turn_ >= count_)) return;
      is_empty_ = true;
      open();
    }

    const Stage<T>& stage_;
    const int64_t count_;
    const OpenContext context_;
    std::unique_ptr<Cursor<T>> cursor_;
    int64_t turn_ = 0;
    bool is_empty_ = true;  // this turn has given nothing
  };

  const int64_t count_;
};

// ---- take, skip, shard

/// Elements start, start + step, ... of a source with random access.
template <class T>
class StridedStage final : public RandomAccess<T> {
 public:
  StridedStage(StageRef<T> input, std::string_view name, int64_t start, int64_t step, int64_t count)
      : input_(std::move(input)),
        source_(*input_->random_access()),
        name_(name),
        start_(start),
        step_(step),
        count_(count) {}
  std::string_view name() const override { return name_; }
  std::vector<const StageBase*> inputs() const override { return {input_.get()}; }
  int64_t cardinality() const override { return count_; }
  std::vector<ElementSpec> element_spec() const override { return input_->element_spec(); }
  T at(int64_t i) const override { return source_.at(start_ + i * step_); }
  bool gather(std::span<const int64_t> indices, std::vector<Tensor>& stacked) const override {
    std::vector<int64_t> inner(indices.begin(), indices.end());
    for (int64_t& index : inner) index = start_ + index * step_;
    return source_.gather(inner, stacked);
  }

 private:
  const StageRef<T> input_;
  const RandomAccess<T>& source_;
  const std::string_view name_;
  const int64_t start_, step_, count_;
};

/// What is left of so many elements.
int64_t cardinality_of_part(int64_t elements, int64_t start, int64_t step, int64_t most);

/// The same of any source: leaves out `start`, and then gives at most `most`, each followed by `step` - 1 that are
/// left out.
template <class T>
class PartStage final : public OneInputStage<T, T> {
 public:
  PartStage(StageRef<T> input, std::string_view name, int64_t start, int64_t step, int64_t most)
      : OneInputStage<T, T>(std::move(input)), name_(name), start_(start), step_(step), most_(most) {}
  std::string_view name() const override { return name_; }
  int64_t cardinality() const override {
    return cardinality_of_part(this->input_->cardinality(), start_, step_, most_);
  }
  std::vector<ElementSpec> element_spec() const override { return this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    return std::make_unique<PartCursor>(this->input_->open(context), *this);
  }

 private:
  class PartCursor final : public OneInputCursor<T, T> {
   public:
    PartCursor(std::unique_ptr<Cursor<T>> input, const PartStage& stage)
        : OneInputCursor<T, T>(std::move(input)), stage_(stage), gap_(stage.start_) {}
    bool next(T& out) override {
      if (!begin() || !this->input_->next(out)) return false;
      ++given_;
      gap_ = stage_.step_ - 1;
      return true;
    }
    int64_t skip(int64_t n) override {
      int64_t done = 0;
      if (stage_.step_ == 1) {
        if (n <= 0 || !begin()) return 0;
        done = this->input_->skip(stage_.most_ < 0 ? n : std::min(n, stage_.most_ - given_));
        given_ += done;
        return done;
      }
      while (done < n && begin() && this->input_->skip(1) == 1) {
        ++given_;
        gap_ = stage_.step_ - 1;
        ++done;
      }
      return done;
    }
    void save(SavedState& state) const override {
      OneInputCursor<T, T>::save(state);
      state.set("given", given_);
      state.set("gap", gap_);
    }
    void restore(const SavedState& state) override {
      OneInputCursor<T, T>::restore(state);
      given_ = state.get<int64_t>("given");
      gap_ = state.get<int64_t>("gap");
    }

   private:
    /// Goes to the next element; false if there is to be none.
    bool begin() {
      if (stage_.most_ >= 0 && given_ >= stage_.most_) return false;
      if (gap_ > 0) this->input_->skip(std::exchange(gap_, int64_t{0}));
      return true;
    }

    const PartStage& stage_;
    int64_t given_ = 0;
    int64_t gap_;  // elements to leave out first
  };

  const std::string_view name_;
  const int64_t start_, step_, most_;
};

template <class T>
StageRef<T> part_of(const StageRef<T>& input, std::string_view name, int64_t start, int64_t step, int64_t most) {
  if (input->random_access()) {
    const int64_t count = cardinality_of_part(input->cardinality(), start, step, most);
    return std::make_shared<const StridedStage<T>>(input, name, start, step, count);
  }
  return std::make_shared<const PartStage<T>>(input, name, start, step, most);
}

// ---- concatenate

int64_t sum_of_cardinalities(std::span<const int64_t> cardinalities);

template <class T>
class ConcatenateStage final : public Stage<T> {
 public:
  explicit ConcatenateStage(std::vector<StageRef<T>> parts) : parts_(std::move(parts)) {}
  std::string_view name() const override { return "concatenate"; }
  std::vector<const StageBase*> inputs() const override {
    std::vector<const StageBase*> inputs;
    for (const StageRef<T>& part : parts_) inputs.push_back(part.get());
    return inputs;
  }
  int64_t cardinality() const override {
    std::vector<int64_t> counts;
    for (const StageRef<T>& part : parts_) counts.push_back(part->cardinality());
    return sum_of_cardinalities(counts);
  }
  std::vector<ElementSpec> element_spec() const override {
    std::vector<ElementSpec> all;
    for (const StageRef<T>& part : parts_) {
      const std::vector<ElementSpec> specs = part->element_spec();
      if (specs.empty()) return {};
      for (const ElementSpec& spec : specs) {
        if (std::find(all.begin(), all.end(), spec) == all.end()) all.push_back(spec);
      }
    }
    return all;
  }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    return std::make_unique<ConcatenateCursor>(*this, context);
  }

 private:
  class ConcatenateCursor final : public Cursor<T> {
   public:
    ConcatenateCursor(const ConcatenateStage& stage, const OpenContext& context) {
      for (const StageRef<T>& part : stage.parts_) cursors_.push_back(part->open(context));
    }
    bool next(T& out) override {
      for (; part_ < cursors_.size(); ++part_) {
        if (cursors_[part_]->next(out)) return true;
        cursors_[part_].reset();
      }
      return false;
    }
    int64_t skip(int64_t n) override {
      int64_t done = 0;
      while (part_ < cursors_.size()) {
        done += cursors_[part_]->skip(n - done);
        if (done >= n) break;
        cursors_[part_++].reset();
      }
      return done;
    }
    void save(SavedState& state) const override {
      state.set("part", static_cast<int64_t>(part_));
      for (size_t i = part_; i < cursors_.size(); ++i) {
        SavedState part;
        cursors_[i]->save(part);
        state.set_part("input/" + std::to_string(i), part);
      }
    }
    void restore(const SavedState& state) override {
      const auto part = static_cast<size_t>(state.get<int64_t>("part"));
      while (part_ < part && part_ < cursors_.size()) cursors_[part_++].reset();
      for (size_t i = part_; i < cursors_.size(); ++i) cursors_[i]->restore(state.part("input/" + std::to_string(i)));
    }
    bool replays() const override {
      return std::any_of(cursors_.begin(), cursors_.end(),
                         [](const auto& cursor) { return cursor && cursor->replays(); });
    }

   private:
    std::vector<std::unique_ptr<Cursor<T>>> cursors_;
    size_t part_ = 0;
  };

  const std::vector<StageRef<T>> parts_;
};

// ---- zip

int64_t least_cardinality(std::span<const int64_t> cardinalities);
/// All pairs of a type of one and a type of the other, in order.
std::vector<ElementSpec> zipped_spec(const std::vector<ElementSpec>& a, const std::vector<ElementSpec>& b);

template <class... T>
class ZipStage : public Stage<std::tuple<T...>> {
 public:
  using Element = std::tuple<T...>;
  using Stages = std::tuple<StageRef<T>...>;

  explicit ZipStage(Stages stages) : stages_(std::move(stages)) {}
  std::string_view name() const override { return "zip"; }
  std::vector<const StageBase*> inputs() const override {
    return std::apply([](const auto&... stage) { return std::vector<const StageBase*>{stage.get()...}; }, stages_);
  }
  int64_t cardinality() const override { return cardinality_of(stages_); }
  std::vector<ElementSpec> element_spec() const override { return spec_of_all(stages_); }
  std::unique_ptr<Cursor<Element>> open(const OpenContext& context) const override {
    return std::make_unique<ZipCursor>(std::apply(
        [&](const auto&... stage) { return std::tuple<std::unique_ptr<Cursor<T>>...>(stage->open(context)...); },
        stages_));
  }

  static int64_t cardinality_of(const Stages& stages) {
    return std::apply([](const auto&... stage) {
      const int64_t counts[] = {stage->cardinality()...};
      return least_cardinality(counts);
    }, stages);
  }
  static std::vector<ElementSpec> spec_of_all(const Stages& stages) {
    std::vector<ElementSpec> specs{ElementSpec()};
    std::apply([&](const auto&... stage) { ((specs = zipped_spec(specs, stage->element_spec())), ...); }, stages);
    return specs;
  }

 private:
  class ZipCursor final : public Cursor<Element> {
   public:
    explicit ZipCursor(std::tuple<std::unique_ptr<Cursor<T>>...> cursors) : cursors_(std::move(cursors)) {}
    bool next(Element& out) override {
      if (has_ended_) return false;
      return next_of(out, std::index_sequence_for<T...>());
    }
    int64_t skip(int64_t n) override {
      if (has_ended_) return 0;
      int64_t done = n;
      std::apply([&](auto&... cursor) { ((done = std::min(done, cursor->skip(n))), ...); }, cursors_);
      has_ended_ = done < n;
      return done;
    }
    void save(SavedState& state) const override {
      state.set("has_ended", has_ended_);
      each([&](const std::string& name, auto& cursor) {
        SavedState part;
        cursor.save(part);
        state.set_part(name, part);
      });
    }
    void restore(const SavedState& state) override {
      has_ended_ = state.get<bool>("has_ended");
      each([&](const std::string& name, auto& cursor) { cursor.restore(state.part(name)); });
    }
    bool replays() const override {
      return std::apply([](const auto&... cursor) { return (cursor->replays() || ...); }, cursors_);
    }

   private:
    template <size_t... I>
    bool next_of(Element& out, std::index_sequence<I...>) {
      std::exception_ptr error;  // all go on by one, so that the others stay beside each other
      const auto one = [&](auto& cursor, auto& part) {
        try {
          has_ended_ = !cursor.next(part) || has_ended_;
        } catch (...) {
          if (!error) error = std::current_exception();
        }
      };
      ((has_ended_ ? void() : one(*std::get<I>(cursors_), std::get<I>(out))), ...);
      if (error) std::rethrow_exception(error);
      return !has_ended_;
    }
    template <class F>
    void each(F&& f) const {
      size_t i = 0;
      std::apply([&](const auto&... cursor) { (f("input/" + std::to_string(i++), *cursor), ...); }, cursors_);
    }

    std::tuple<std::unique_ptr<Cursor<T>>...> cursors_;
    bool has_ended_ = false;
  };

  const Stages stages_;
};

/// The same of sources with random access.
template <class... T>
class ZipRandomAccess final : public RandomAccess<std::tuple<T...>> {
 public:
  using Stages = std::tuple<StageRef<T>...>;

  ZipRandomAccess(Stages stages, std::string_view name) : stages_(std::move(stages)), name_(name) {}
  std::string_view name() const override { return name_; }
  std::vector<const StageBase*> inputs() const override {
    return std::apply([](const auto&... stage) { return std::vector<const StageBase*>{stage.get()...}; }, stages_);
  }
  int64_t cardinality() const override { return ZipStage<T...>::cardinality_of(stages_); }
  std::vector<ElementSpec> element_spec() const override { return ZipStage<T...>::spec_of_all(stages_); }
  std::tuple<T...> at(int64_t i) const override {
    return std::apply([&](const auto&... stage) { return std::tuple<T...>{stage->random_access()->at(i)...}; },
                      stages_);
  }
  bool gather(std::span<const int64_t> indices, std::vector<Tensor>& stacked) const override {
    const size_t before = stacked.size();
    const bool gathers = std::apply(
        [&](const auto&... stage) { return (stage->random_access()->gather(indices, stacked) && ...); }, stages_);
    if (!gathers) stacked.resize(before);
    return gathers;
  }

 private:
  const Stages stages_;
  const std::string_view name_;
};

template <class... T>
StageRef<std::tuple<T...>> zip_of(StageRef<T>... stages) {
  if ((stages->random_access() && ...)) {
    return std::make_shared<const ZipRandomAccess<T...>>(std::tuple(std::move(stages)...), "zip");
  }
  return std::make_shared<const ZipStage<T...>>(std::tuple(std::move(stages)...));
}

// ---- enumerate

template <class T>
class EnumerateStage final : public OneInputStage<T, std::tuple<int64_t, T>> {
 public:
  using R = std::tuple<int64_t, T>;

  EnumerateStage(StageRef<T> input, int64_t start) : OneInputStage<T, R>(std::move(input)), start_(start) {}
  std::string_view name() const override { return "enumerate"; }
  int64_t cardinality() const override { return this->input_->cardinality(); }
  std::unique_ptr<Cursor<R>> open(const OpenContext& context) const override {
    return std::make_unique<EnumerateCursor>(this->input_->open(context), start_);
  }

 private:
  class EnumerateCursor final : public OneInputCursor<T, R> {
   public:
    EnumerateCursor(std::unique_ptr<Cursor<T>> input, int64_t start)
        : OneInputCursor<T, R>(std::move(input)), next_(start) {}
    bool next(R& out) override {
      if (!this->input_->next(std::get<1>(out))) return false;
      std::get<0>(out) = next_++;
      return true;
    }
    int64_t skip(int64_t n) override {
      const int64_t done = this->input_->skip(n);
      next_ += done;
      return done;
    }
    void save(SavedState& state) const override {
      OneInputCursor<T, R>::save(state);
      state.set("next", next_);
    }
    void restore(const SavedState& state) override {
      OneInputCursor<T, R>::restore(state);
      next_ = state.get<int64_t>("next");
    }

   private:
    int64_t next_;
  };

  const int64_t start_;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
