// Stages that make data sets of elements, or choose among data sets: flat_map, interleave, group_by_window,
// sample_from_datasets, choose_from_datasets. Internal.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "etch/data/batch_stages.h"
#include "etch/data/element_stages.h"
#include "etch/data/order_stages.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {
namespace detail {

/// A data set that a callable made, opened for what follows its element number `index`.
template <class R>
struct Inner {
  StageRef<R> stage;
  std::unique_ptr<Cursor<R>> cursor;

  void open(const OpenContext& outer, int64_t index, bool prefetches, bool is_restored) {
    OpenContext context = outer;
    context.salt = mix(outer.salt, static_cast<uint64_t>(index) + 1);
    context.is_restored = is_restored;
    if (prefetches) stage = std::make_shared<const PrefetchStage<R>>(stage, AUTOTUNE);
    cursor = stage->open(context);
  }
};

template <class D>
struct ElementOfDataset {
  static_assert(kFalse<D>, "etch: this callable must give an etch::data::Dataset for each element");
};
template <class R>
struct ElementOfDataset<Dataset<R>> {
  using type = R;
};

// ---- interleave; flat_map is one with a cycle of one

struct InterleaveShape {
  int64_t cycle, block;
  int threads;  // 1: none
};

template <class T, class F>
class InterleaveStage final : public OneInputStage<T, typename ElementOfDataset<ResultOf<F, T>>::type> {
 public:
  using R = typename ElementOfDataset<ResultOf<F, T>>::type;

  InterleaveStage(StageRef<T> input, F f, InterleaveShape shape, std::string_view name, std::vector<ElementSpec> spec,
                  Location where)
      : OneInputStage<T, R>(std::move(input)),
        f_(std::move(f)),
        shape_(shape),
        name_(name),
        spec_(std::move(spec)),
        where_(where) {}
  std::string_view name() const override { return name_; }
  int64_t cardinality() const override { return this->input_->cardinality() == 0 ? 0 : UNKNOWN_CARDINALITY; }
  std::vector<ElementSpec> element_spec() const override { return spec_; }
  std::unique_ptr<Cursor<R>> open(const OpenContext& context) const override {
    return std::make_unique<InterleaveCursor>(this->input_->open(context), *this, context);
  }

 private:
  struct Slot {
    T element{};  // of which the data set was made
    int64_t index = 0;
    Inner<R> inner;
  };

  class InterleaveCursor final : public OneInputCursor<T, R> {
   public:
    InterleaveCursor(std::unique_ptr<Cursor<T>> input, const InterleaveStage& stage, const OpenContext& context)
        : OneInputCursor<T, R>(std::move(input)),
          stage_(stage),
          context_(context),
          running_(stage.f_, context, stage.where_),
          slots_(static_cast<size_t>(stage.shape_.cycle)) {}
    bool next(R& out) override {
      while (Slot* slot = find()) {
        if (slot->inner.cursor->next(out)) {
          ++given_;
          step(1);
          return true;
        }
        close(*slot);
      }
      return false;
    }
    int64_t skip(int64_t n) override {
      int64_t done = 0;
      while (done < n) {
        Slot* const slot = find();
        if (slot == nullptr) break;
        const int64_t most = num_open_ == 1 && has_ended_ ? n - done : std::min(n - done, stage_.shape_.block - block_);
        const int64_t skipped = slot->inner.cursor->skip(most);
        done += skipped;
        given_ += skipped;
        if (skipped < most) {
          close(*slot);
        } else {
          step(most);
        }
      }
      return done;
    }
    void save(SavedState& state) const override {
      state.set("given", given_);
      SavedState slots;
      for (size_t i = 0; i < slots_.size(); ++i) {
        const Slot& slot = slots_[i];
        if (!slot.inner.cursor) continue;
        SavedState part, inner;
        if (!save_elements(part, "element", std::vector<T>{slot.element})) return;
        slot.inner.cursor->save(inner);
        part.set("index", slot.index);
        part.set_part("inner", inner);
        slots.set_part(std::to_string(i), part);
      }
      state.set_part("slot", slots);
      state.set("outer", outer_);
      state.set("turn", static_cast<int64_t>(turn_));
      state.set("block", block_);
      state.set("has_ended", has_ended_);
      OneInputCursor<T, R>::save(state);
    }
    void restore(const SavedState& state) override {
      const auto target = state.get<int64_t>("given");
      if (!state.contains("turn")) return replay(*this, target, given_);
      OneInputCursor<T, R>::restore(state);
      given_ = target;
      outer_ = state.get<int64_t>("outer");
      turn_ = static_cast<size_t>(state.get<int64_t>("turn")) % slots_.size();
      block_ = state.get<int64_t>("block");
      has_ended_ = state.get<bool>("has_ended");
      for (size_t i = 0; i < slots_.size(); ++i) {
        const SavedState part = state.part("slot/" + std::to_string(i));
        if (part.empty()) continue;
        std::vector<T> elements;
        restore_elements(part, "element", elements);
        open(slots_[i], std::move(elements.at(0)), part.get<int64_t>("index"), i, true);
        slots_[i].inner.cursor->restore(part.part("inner"));
      }
    }
    bool replays() const override {
      if (!kSavable<T> || this->input_->replays()) return true;
      return std::any_of(slots_.begin(), slots_.end(),
                         [](const Slot& slot) { return slot.inner.cursor && slot.inner.cursor->replays(); });
    }

   private:
    /// The slot whose turn it is, with a data set in it; nullptr at the end.
    Slot* find() {
      while (!has_ended_ || num_open_ > 0) {
        Slot& slot = slots_[turn_];
        if (slot.inner.cursor) return &slot;
        if (has_ended_) {
          go_on();
          continue;
        }
        T element{};
        if (!this->input_->next(element)) {
          has_ended_ = true;
          continue;
        }
        open(slot, std::move(element), outer_++, turn_, false);
      }
      return nullptr;
    }
    void open(Slot& slot, T element, int64_t index, size_t place, bool is_restored) {
      slot.inner.stage = running_(stage_.name_, index, std::as_const(element)).stage();
      slot.inner.open(context_, index, prefetches(place), is_restored);
      slot.element = std::move(element);
      slot.index = index;
      ++num_open_;
    }
    bool prefetches(size_t place) const {
      const int threads = stage_.shape_.threads;
      return threads == AUTOTUNE || (threads > 1 && place < static_cast<size_t>(threads));
    }
    void close(Slot& slot) {
      slot = Slot();
      --num_open_;
      go_on();
    }
    void step(int64_t n) {
      block_ += n;
      if (block_ >= stage_.shape_.block) go_on();
    }
    void go_on() {
      block_ = 0;
      turn_ = (turn_ + 1) % slots_.size();
    }

    const InterleaveStage& stage_;
    const OpenContext context_;
    Running<F> running_;
    std::vector<Slot> slots_;
    size_t turn_ = 0;
    int64_t block_ = 0, given_ = 0, outer_ = 0, num_open_ = 0;
    bool has_ended_ = false;
  };

  const F f_;
  const InterleaveShape shape_;
  const std::string_view name_;
  const std::vector<ElementSpec> spec_;
  const Location where_;
};

// ---- group_by_window

int64_t integer_of(const Tensor& key);
/// A key that a callable gave: an integer, or a tensor with one.
template <class K>
int64_t key_of(const K& key) {
  if constexpr (std::is_same_v<K, Tensor>) {
    return integer_of(key);
  } else {
    return static_cast<int64_t>(key);
  }
}
[[noreturn]] void fail_window_size(int64_t key, int64_t size);

template <class T, class Key, class Reduce, class Size>
class GroupStage final
    : public OneInputStage<T, typename ElementOfDataset<ResultOf<Reduce, int64_t, Dataset<T>>>::type> {
 public:
  using R = typename ElementOfDataset<ResultOf<Reduce, int64_t, Dataset<T>>>::type;

  GroupStage(StageRef<T> input, Key key, Reduce reduce, Size size, std::string_view name, Location where)
      : OneInputStage<T, R>(std::move(input)),
        key_(std::move(key)),
        reduce_(std::move(reduce)),
        size_(std::move(size)),
        name_(name),
        where_(where) {}
  std::string_view name() const override { return name_; }
  std::unique_ptr<Cursor<R>> open(const OpenContext& context) const override {
    auto key = std::make_unique<Running<Key>>(key_, context, where_);
    auto input = prepare(*key, *this->input_, this->input_->open(context), context);
    return std::make_unique<GroupCursor>(std::move(input), *this, std::move(key), context);
  }

 private:
  class GroupCursor final : public OneInputCursor<T, R> {
   public:
    GroupCursor(std::unique_ptr<Cursor<T>> input, const GroupStage& stage, std::unique_ptr<Running<Key>> key,
                const OpenContext& context)
        : OneInputCursor<T, R>(std::move(input)),
          stage_(stage),
          context_(context),
          key_(std::move(key)),
          reduce_(stage.reduce_, context, stage.where_),
          size_(stage.size_, context, stage.where_) {}
    bool next(R& out) override {
      while (true) {
        if (inner_.cursor) {
          if (inner_.cursor->next(out)) {
            ++given_;
            return true;
          }
          inner_ = {};
          window_.clear();
        }
        if (!fill()) return false;
      }
    }
    void save(SavedState& state) const override {
      state.set("given", given_);
      SavedState groups;
      size_t i = 0;
      for (const auto& [key, elements] : groups_) {
        SavedState group;
        group.set("key", key);
        if (!save_elements(group, "elements", elements)) return;
        groups.set_part(std::to_string(i++), group);
      }
      if (inner_.cursor) {
        SavedState inner;
        if (!save_elements(groups, "window", window_)) return;
        inner_.cursor->save(inner);
        groups.set_part("inner", inner);
        groups.set("window_key", window_key_);
      }
      state.set_part("group", groups);
      state.set("windows", windows_);
      state.set("taken", taken_);
      state.set("has_ended", has_ended_);
      key_->save(state);
      OneInputCursor<T, R>::save(state);
    }
    void restore(const SavedState& state) override {
      const auto target = state.get<int64_t>("given");
      if (!state.contains("windows")) return replay(*this, target, given_);
      OneInputCursor<T, R>::restore(state);
      key_->restore(state);
      given_ = target;
      windows_ = state.get<int64_t>("windows");
      taken_ = state.get<int64_t>("taken");
      has_ended_ = state.get<bool>("has_ended");
      const SavedState groups = state.part("group");
      for (size_t i = 0;; ++i) {
        const SavedState group = groups.part(std::to_string(i));
        if (group.empty()) break;
        restore_elements(group, "elements", groups_[group.get<int64_t>("key")]);
      }
      if (!groups.contains("window_key")) return;
      window_key_ = groups.get<int64_t>("window_key");
      restore_elements(groups, "window", window_);
      --windows_;
      open(true);
      inner_.cursor->restore(groups.part("inner"));
    }
    bool replays() const override {
      return !kSavable<T> || this->input_->replays() || (inner_.cursor && inner_.cursor->replays());
    }

   private:
    /// Takes elements until a window is full or there are no more, and opens what is made of it; false at the end.
    bool fill() {
      T element{};
      while (!has_ended_) {
        if (!this->input_->next(element)) {
          has_ended_ = true;
          break;
        }
        const auto key = key_of((*key_)(stage_.name_, taken_++, std::as_const(element)));
        std::vector<T>& group = groups_[key];
        group.push_back(std::move(element));
        const auto size = static_cast<int64_t>(size_(stage_.name_, taken_ - 1, key));
        if (size < 1) fail_window_size(key, size);
        if (static_cast<int64_t>(group.size()) < size) continue;
        take(groups_.find(key));
        return true;
      }
      if (groups_.empty()) return false;
      take(groups_.begin());
      return true;
    }
    void take(typename std::map<int64_t, std::vector<T>>::iterator group) {
      window_key_ = group->first;
      window_ = std::move(group->second);
      groups_.erase(group);
      open(false);
    }
    void open(bool is_restored) {
      const Dataset<T> window(std::make_shared<const ListStage<T>>(window_, "window"));
      inner_.stage = reduce_(stage_.name_, windows_, window_key_, window).stage();
      inner_.open(context_, windows_++, false, is_restored);
    }

    const GroupStage& stage_;
    const OpenContext context_;
    std::unique_ptr<Running<Key>> key_;
    Running<Reduce> reduce_;
    Running<Size> size_;
    std::map<int64_t, std::vector<T>> groups_;
    std::vector<T> window_;  // of the data set that gives elements now
    int64_t window_key_ = 0;
    Inner<R> inner_;
    int64_t given_ = 0, windows_ = 0, taken_ = 0;
    bool has_ended_ = false;
  };

  const Key key_;
  const Reduce reduce_;
  const Size size_;
  const std::string_view name_;
  const Location where_;
};

/// In which bucket a length stands.
int64_t bucket_of(int64_t length, const std::vector<int64_t>& boundaries);
/// Fills along axes that have no extent up to what the longest of a bucket may have. Error for what stands behind the
/// last boundary.
void pad_to_boundary(Padding& padding, int64_t bucket, const std::vector<int64_t>& boundaries,
                     const std::vector<ElementSpec>& specs);
/// Error unless boundaries grow and there is one more of batch sizes.
void check_buckets(const std::vector<int64_t>& boundaries, const std::vector<int64_t>& batch_sizes, Location where);

// ---- sample_from_datasets, choose_from_datasets

/// Which data set gives the next element.
class Chooser {
 public:
  virtual ~Chooser() = default;
  /// Its number, or -1 at the end. `is_open` says which of them have not ended.
  virtual int64_t next(const std::vector<char>& is_open) = 0;
  virtual void save(SavedState& state) const = 0;
  virtual void restore(const SavedState& state) = 0;
  virtual bool replays() const { return false; }
};

/// By chance; the weights are positive or 0.
std::unique_ptr<Chooser> random_chooser(std::vector<double> weights, uint64_t key);
void check_weights(const std::vector<double>& weights, size_t count, Location where);
[[noreturn]] void fail_choice(int64_t choice, size_t count);

class DatasetChooser final : public Chooser {
 public:
  explicit DatasetChooser(std::unique_ptr<Cursor<int64_t>> choices) : choices_(std::move(choices)) {}
  int64_t next(const std::vector<char>& is_open) override {
    int64_t choice = 0;
    if (!choices_->next(choice)) return -1;
    if (choice < 0 || choice >= static_cast<int64_t>(is_open.size())) fail_choice(choice, is_open.size());
    return choice;
  }
  void save(SavedState& state) const override { choices_->save(state); }
  void restore(const SavedState& state) override { choices_->restore(state); }
  bool replays() const override { return choices_->replays(); }

 private:
  std::unique_ptr<Cursor<int64_t>> choices_;
};

template <class T>
class ChooseStage final : public Stage<T> {
 public:
  /// By the numbers of `choices`, or by weights where that is null.
  ChooseStage(std::vector<StageRef<T>> inputs, StageRef<int64_t> choices, std::vector<double> weights, uint64_t seed,
              bool stops)
      : inputs_(std::move(inputs)),
        choices_(std::move(choices)),
        weights_(std::move(weights)),
        seed_(seed),
        stops_(stops) {}
  std::string_view name() const override { return choices_ ? "choose_from_datasets" : "sample_from_datasets"; }
  std::vector<const StageBase*> inputs() const override {
    std::vector<const StageBase*> inputs;
    for (const StageRef<T>& input : inputs_) inputs.push_back(input.get());
    if (choices_) inputs.push_back(choices_.get());
    return inputs;
  }
  std::vector<ElementSpec> element_spec() const override { return ConcatenateStage<T>(inputs_).element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    return std::make_unique<ChooseCursor>(*this, context);
  }

 private:
  class ChooseCursor final : public Cursor<T> {
   public:
    ChooseCursor(const ChooseStage& stage, const OpenContext& context) : stops_(stage.stops_) {
      for (const StageRef<T>& input : stage.inputs_) cursors_.push_back(input->open(context));
      is_open_.assign(cursors_.size(), 1);
      if (stage.choices_) {
        chooser_ = std::make_unique<DatasetChooser>(stage.choices_->open(context));
      } else {
        chooser_ = random_chooser(stage.weights_, mix_key(stage.seed_, context));
      }
    }
    bool next(T& out) override {
      while (!has_ended_) {
        const int64_t choice = chooser_->next(is_open_);
        if (choice < 0) break;
        const auto i = static_cast<size_t>(choice);
        if (!is_open_[i]) continue;
        if (cursors_[i]->next(out)) return true;
        is_open_[i] = 0;
        if (stops_ || std::find(is_open_.begin(), is_open_.end(), 1) == is_open_.end()) break;
      }
      has_ended_ = true;
      return false;
    }
    void save(SavedState& state) const override {
      SavedState chooser;
      chooser_->save(chooser);
      state.set_part("choice", chooser);
      state.set("has_ended", has_ended_);
      for (size_t i = 0; i < cursors_.size(); ++i) {
        SavedState part;
        cursors_[i]->save(part);
        state.set("is_open/" + std::to_string(i), is_open_[i] != 0);
        state.set_part("input/" + std::to_string(i), part);
      }
    }
    void restore(const SavedState& state) override {
      chooser_->restore(state.part("choice"));
      has_ended_ = state.get<bool>("has_ended");
      for (size_t i = 0; i < cursors_.size(); ++i) {
        is_open_[i] = state.get<bool>("is_open/" + std::to_string(i));
        cursors_[i]->restore(state.part("input/" + std::to_string(i)));
      }
    }
    bool replays() const override {
      return chooser_->replays() ||
             std::any_of(cursors_.begin(), cursors_.end(), [](const auto& cursor) { return cursor->replays(); });
    }

   private:
    const bool stops_;
    std::vector<std::unique_ptr<Cursor<T>>> cursors_;
    std::vector<char> is_open_;
    std::unique_ptr<Chooser> chooser_;
    bool has_ended_ = false;
  };

  const std::vector<StageRef<T>> inputs_;
  const StageRef<int64_t> choices_;
  const std::vector<double> weights_;
  const uint64_t seed_;
  const bool stops_;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
