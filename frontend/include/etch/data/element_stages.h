// Stages that treat each element by itself: map, filter, take_while, scan, prefetch, ignore_errors, with_spec.
// Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/data/callable.h"
#include "etch/data/stage.h"
#include "etch/data/workers.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {
namespace detail {

/// A number made of two, each bit of which depends on all of theirs.
uint64_t mix(uint64_t a, uint64_t b);
/// Random number `draw` of a walk, and one below n of it.
inline uint64_t mix_key(uint64_t seed, const OpenContext& context) {
  return mix(mix(seed, context.salt), context.epoch);
}
inline int64_t random_below(uint64_t key, uint64_t draw, int64_t n) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<int64_t>((Wide{mix(key, draw)} * static_cast<uint64_t>(n)) >> 64);
}
/// A number of 0 <= x < 1.
inline double random_unit(uint64_t key, uint64_t draw) { return static_cast<double>(mix(key, draw) >> 11) * 0x1p-53; }

/// The seed of etch::random for one element: u64[3].
Tensor seed_of(uint64_t key, int64_t index);
inline TensorSpec seed_spec() { return {DType::u64, {3}}; }

/// Error unless the element has one of these types.
void check_spec(const ElementSpec& spec, const std::vector<ElementSpec>& stated);
template <class T>
void check_element(const T& element, const std::vector<ElementSpec>& stated) {
  if constexpr (kIsTensors<T>) {
    if (!stated.empty()) check_spec(spec_of(element), stated);
  }
}

/// Error unless it is 1 or more, or AUTOTUNE.
void check_threads(std::string_view op, int threads, Location where);
[[noreturn]] void fail_argument(std::string_view op, std::string_view what, int64_t value, Location where);

/// A cursor with one input, whose state and the like stand under `input/`.
template <class T, class R>
class OneInputCursor : public Cursor<R> {
 public:
  explicit OneInputCursor(std::unique_ptr<Cursor<T>> input) : input_(std::move(input)) {}
  void save(SavedState& state) const override {
    SavedState part;
    input_->save(part);
    state.set_part("input", part);
  }
  void restore(const SavedState& state) override { input_->restore(state.part("input")); }
  bool replays() const override { return input_->replays(); }

 protected:
  const std::unique_ptr<Cursor<T>> input_;
};

template <class T, class R>
class OneInputStage : public Stage<R> {
 public:
  explicit OneInputStage(StageRef<T> input) : input_(std::move(input)) {}
  std::vector<const StageBase*> inputs() const override { return {input_.get()}; }

 protected:
  const StageRef<T> input_;
};

// ---- map

template <class T, class F, bool kSeeded>
struct MapTypes {
  using Result = ResultOf<F, T>;
};
template <class T, class F>
struct MapTypes<T, F, true> {
  using Result = ResultOf<F, T, Tensor>;
};

/// The call of map's callable for one element.
template <class T, class F, bool kSeeded>
class MapWork {
 public:
  using R = ElementOf<typename MapTypes<T, F, kSeeded>::Result>;
  static_assert(!std::is_void_v<R>, "etch: map's callable must give something for each element");

  MapWork(std::shared_ptr<Running<F>> running, const std::vector<ElementSpec>* stated, uint64_t key)
      : running_(std::move(running)), stated_(stated), key_(key) {}

  R operator()(int64_t index, T&& element) const {
    if constexpr (kSeeded) {
      return checked(index, R((*running_)("map_random", index, std::move(element), seed_of(key_, index))));
    } else {
      return checked(index, R((*running_)("map", index, std::move(element))));
    }
  }
  void save(SavedState& state) const { running_->save(state); }
  void restore(const SavedState& state) { running_->restore(state); }

 private:
  R checked(int64_t index, R result) const {
    if (!stated_->empty()) [[unlikely]] {
      try {
        check_element(result, *stated_);
      } catch (...) {
        rethrow_at("map", index);
      }
    }
    return result;
  }

  std::shared_ptr<Running<F>> running_;
  const std::vector<ElementSpec>* stated_;
  uint64_t key_;
};

template <class T, class R, class Work>
class MapCursor final : public OneInputCursor<T, R> {
 public:
  MapCursor(std::unique_ptr<Cursor<T>> input, Work work)
      : OneInputCursor<T, R>(std::move(input)), work_(std::move(work)) {}
  bool next(R& out) override {
    if (!this->input_->next(element_)) return false;
    out = work_(position_++, std::move(element_));
    return true;
  }
  int64_t skip(int64_t n) override {
    const int64_t done = this->input_->skip(n);
    position_ += done;
    return done;
  }
  void save(SavedState& state) const override {
    OneInputCursor<T, R>::save(state);
    state.set("position", position_);
    work_.save(state);
  }
  void restore(const SavedState& state) override {
    OneInputCursor<T, R>::restore(state);
    position_ = state.get<int64_t>("position");
    work_.restore(state);
  }

 private:
  Work work_;
  T element_{};
  int64_t position_ = 0;
};

template <class T, class F, bool kSeeded>
class MapStage final : public OneInputStage<T, typename MapWork<T, F, kSeeded>::R> {
 public:
  using Work = MapWork<T, F, kSeeded>;
  using R = typename Work::R;

  MapStage(StageRef<T> input, F f, int threads, std::vector<ElementSpec> spec, uint64_t seed, Location where)
      : OneInputStage<T, R>(std::move(input)),
        f_(std::move(f)),
        threads_(threads),
        spec_(std::move(spec)),
        seed_(seed),
        where_(where) {}
  std::string_view name() const override { return kSeeded ? "map_random" : "map"; }
  int64_t cardinality() const override { return this->input_->cardinality(); }
  std::vector<ElementSpec> element_spec() const override {
    if (!spec_.empty()) return spec_;
    if constexpr (!kIsTensors<R>) {
      return {};
    } else if constexpr (kSeeded) {
      return traced_spec<F, T>(f_, where_, this->input_->element_spec(), Tensor(seed_spec()));
    } else {
      return traced_spec<F, T>(f_, where_, this->input_->element_spec());
    }
  }
  std::unique_ptr<Cursor<R>> open(const OpenContext& context) const override {
    auto running = std::make_shared<Running<F>>(f_, context, where_);
    const auto ready = [&](std::unique_ptr<Cursor<T>> cursor, const OpenContext& inner) {
      if constexpr (kSeeded) {
        return prepare(*running, *this->input_, std::move(cursor), inner, Tensor(seed_spec()));
      } else {
        return prepare(*running, *this->input_, std::move(cursor), inner);
      }
    };
    Work work(running, &spec_, mix_key(seed_, context));
    if (threads_ == 1) {
      return std::make_unique<MapCursor<T, R, Work>>(ready(this->input_->open(context), context), std::move(work));
    }
    const int most = threads_ == AUTOTUNE ? 2 * kMostAutomatic : 2 * threads_;
    auto cursor = std::make_unique<WorkerCursor<T, R, Work>>(
        *this->input_, context,
        WorkerOptions{.threads = threads_, .buffer = kMaxBlock * most, .max_blocks = most, .pulls_alone = false});
    cursor->source() = ready(std::move(cursor->source()), cursor->inner_context());
    cursor->set_work(std::move(work));
    return cursor;
  }

 private:
  static constexpr int kMostAutomatic = 16;
  const F f_;
  const int threads_;
  const std::vector<ElementSpec> spec_;
  const uint64_t seed_;
  const Location where_;
};

// ---- prefetch

template <class T>
class PrefetchStage final : public OneInputStage<T, T> {
 public:
  PrefetchStage(StageRef<T> input, int64_t buffer) : OneInputStage<T, T>(std::move(input)), buffer_(buffer) {}
  std::string_view name() const override { return "prefetch"; }
  int64_t cardinality() const override { return this->input_->cardinality(); }
  std::vector<ElementSpec> element_spec() const override { return this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    auto cursor =
        std::make_unique<WorkerCursor<T, T, Moves<T>>>(*this->input_, context, WorkerOptions{.buffer = buffer_});
    cursor->set_work({});
    return cursor;
  }

 private:
  const int64_t buffer_;
};

// ---- filter, take_while

template <class F>
class FilterState {
 public:
  explicit FilterState(std::shared_ptr<Running<F>> running) : running_(std::move(running)) {}
  template <class T>
  bool operator()(std::string_view stage, const T& element) {
    return static_cast<bool>((*running_)(stage, position_++, element));
  }
  void save(SavedState& state) const {
    state.set("position", position_);
    running_->save(state);
  }
  void restore(const SavedState& state) {
    position_ = state.get<int64_t>("position");
    running_->restore(state);
  }

 private:
  std::shared_ptr<Running<F>> running_;
  int64_t position_ = 0;
};

template <class T, class F>
class FilterCursor final : public OneInputCursor<T, T> {
 public:
  FilterCursor(std::unique_ptr<Cursor<T>> input, FilterState<F> test, bool ends)
      : OneInputCursor<T, T>(std::move(input)), test_(std::move(test)), ends_(ends) {}
  bool next(T& out) override {
    while (!has_ended_ && this->input_->next(out)) {
      if (test_(ends_ ? "take_while" : "filter", out)) return true;
      has_ended_ = ends_;
    }
    return false;
  }
  void save(SavedState& state) const override {
    OneInputCursor<T, T>::save(state);
    state.set("has_ended", has_ended_);
    test_.save(state);
  }
  void restore(const SavedState& state) override {
    OneInputCursor<T, T>::restore(state);
    has_ended_ = state.get<bool>("has_ended");
    test_.restore(state);
  }

 private:
  FilterState<F> test_;
  const bool ends_;  // the first one that does not pass ends it
  bool has_ended_ = false;
};

template <class T, class F>
class FilterStage final : public OneInputStage<T, T> {
 public:
  FilterStage(StageRef<T> input, F f, bool ends, Location where)
      : OneInputStage<T, T>(std::move(input)), f_(std::move(f)), ends_(ends), where_(where) {}
  std::string_view name() const override { return ends_ ? "take_while" : "filter"; }
  int64_t cardinality() const override { return this->input_->cardinality() == 0 ? 0 : UNKNOWN_CARDINALITY; }
  std::vector<ElementSpec> element_spec() const override { return this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    auto running = std::make_shared<Running<F>>(f_, context, where_);
    auto input = prepare(*running, *this->input_, this->input_->open(context), context);
    return std::make_unique<FilterCursor<T, F>>(std::move(input), FilterState<F>(running), ends_);
  }

 private:
  const F f_;
  const bool ends_;
  const Location where_;
};

// ---- scan

template <class T, class S, class F>
class ScanStage final : public OneInputStage<T, std::remove_cvref_t<decltype(ResultOf<F, S, T>::second)>> {
 public:
  using R = std::remove_cvref_t<decltype(ResultOf<F, S, T>::second)>;

  ScanStage(StageRef<T> input, S initial, F f, Location where)
      : OneInputStage<T, R>(std::move(input)), initial_(std::move(initial)), f_(std::move(f)), where_(where) {}
  std::string_view name() const override { return "scan"; }
  int64_t cardinality() const override { return this->input_->cardinality(); }
  std::unique_ptr<Cursor<R>> open(const OpenContext& context) const override {
    auto running = std::make_unique<Running<F>>(f_, context, where_);
    std::unique_ptr<Cursor<T>> input = this->input_->open(context);
    if constexpr (kIsFunction<F>) {
      if constexpr (kIsTensors<T>) {
        for (const ElementSpec& spec : this->input_->element_spec()) running->prepare(initial_, stand_in<T>(spec));
      }
      if (!running->is_ready() && !context.is_restored) {
        auto peeked = std::make_unique<PeekedCursor<T>>(std::move(input));
        if (const T* first = peeked->peek()) running->prepare(initial_, *first);
        input = std::move(peeked);
      }
    }
    return std::make_unique<ScanCursor>(std::move(input), std::move(running), initial_);
  }

 private:
  class ScanCursor final : public OneInputCursor<T, R> {
   public:
    ScanCursor(std::unique_ptr<Cursor<T>> input, std::unique_ptr<Running<F>> running, const S& initial)
        : OneInputCursor<T, R>(std::move(input)), running_(std::move(running)), carried_(initial) {}
    bool next(R& out) override {
      if (!this->input_->next(element_)) return false;
      auto [carried, result] = (*running_)("scan", position_++, std::as_const(carried_), std::as_const(element_));
      carried_ = std::move(carried);
      out = std::move(result);
      return true;
    }
    void save(SavedState& state) const override {
      state.set("position", position_);
      if (!save_elements(state, "carried", std::vector<S>{carried_})) return;
      OneInputCursor<T, R>::save(state);
      running_->save(state);
    }
    void restore(const SavedState& state) override {
      const auto target = state.get<int64_t>("position");
      if (!state.contains("carried")) return replay(*this, target, position_);
      std::vector<S> carried;
      restore_elements(state, "carried", carried);
      carried_ = std::move(carried.at(0));
      OneInputCursor<T, R>::restore(state);
      running_->restore(state);
      position_ = target;
    }
    bool replays() const override { return !kSavable<S> || this->input_->replays(); }

   private:
    std::unique_ptr<Running<F>> running_;
    S carried_;
    T element_{};
    int64_t position_ = 0;
  };

  const S initial_;
  const F f_;
  const Location where_;
};

// ---- ignore_errors

void warn_ignored(const std::string& path);

template <class T>
class IgnoreErrorsStage final : public OneInputStage<T, T> {
 public:
  IgnoreErrorsStage(StageRef<T> input, bool warns) : OneInputStage<T, T>(std::move(input)), warns_(warns) {}
  std::string_view name() const override { return "ignore_errors"; }
  int64_t cardinality() const override { return this->input_->cardinality() == 0 ? 0 : UNKNOWN_CARDINALITY; }
  std::vector<ElementSpec> element_spec() const override { return this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    return std::make_unique<IgnoringCursor>(this->input_->open(context), *this);
  }

 private:
  class IgnoringCursor final : public OneInputCursor<T, T> {
   public:
    IgnoringCursor(std::unique_ptr<Cursor<T>> input, const IgnoreErrorsStage& stage)
        : OneInputCursor<T, T>(std::move(input)), stage_(stage) {}
    bool next(T& out) override {
      while (true) {
        try {
          return this->input_->next(out);
        } catch (const InternalError&) {
          throw;
        } catch (...) {
          if (stage_.warns_) warn_ignored(stage_.path());
        }
      }
    }

   private:
    const IgnoreErrorsStage& stage_;
  };

  const bool warns_;
};

// ---- with_spec, assert_cardinality

[[noreturn]] void fail_cardinality(int64_t stated, int64_t found, bool has_more);

template <class T>
class StatedStage final : public OneInputStage<T, T> {
 public:
  StatedStage(StageRef<T> input, std::optional<std::vector<ElementSpec>> spec, std::optional<int64_t> cardinality)
      : OneInputStage<T, T>(std::move(input)), spec_(std::move(spec)), cardinality_(cardinality) {}
  std::string_view name() const override { return spec_ ? "with_spec" : "assert_cardinality"; }
  int64_t cardinality() const override { return cardinality_ ? *cardinality_ : this->input_->cardinality(); }
  std::vector<ElementSpec> element_spec() const override { return spec_ ? *spec_ : this->input_->element_spec(); }
  std::unique_ptr<Cursor<T>> open(const OpenContext& context) const override {
    return std::make_unique<CheckedCursor>(this->input_->open(context), *this);
  }

 private:
  class CheckedCursor final : public OneInputCursor<T, T> {
   public:
    CheckedCursor(std::unique_ptr<Cursor<T>> input, const StatedStage& stage)
        : OneInputCursor<T, T>(std::move(input)), stage_(stage) {}
    bool next(T& out) override {
      if (!this->input_->next(out)) {
        check_end();
        return false;
      }
      const int64_t index = position_++;
      if (stage_.cardinality_ && *stage_.cardinality_ >= 0 && position_ > *stage_.cardinality_) {
        fail_cardinality(*stage_.cardinality_, position_, true);
      }
      if (stage_.spec_) {
        try {
          check_element(out, *stage_.spec_);
        } catch (...) {
          rethrow_at("with_spec", index);
        }
      }
      return true;
    }
    int64_t skip(int64_t n) override {
      const int64_t done = this->input_->skip(n);
      position_ += done;
      if (done < n) check_end();
      return done;
    }
    void save(SavedState& state) const override {
      OneInputCursor<T, T>::save(state);
      state.set("position", position_);
    }
    void restore(const SavedState& state) override {
      OneInputCursor<T, T>::restore(state);
      position_ = state.get<int64_t>("position");
    }

   private:
    void check_end() {
      const bool is_short = stage_.cardinality_ && position_ != *stage_.cardinality_ && !was_short_;
      if (!is_short) return;
      was_short_ = true;
      fail_cardinality(*stage_.cardinality_, position_, false);
    }

    const StatedStage& stage_;
    int64_t position_ = 0;
    bool was_short_ = false;
  };

  const std::optional<std::vector<ElementSpec>> spec_;
  const std::optional<int64_t> cardinality_;
};

}  // namespace detail
}  // namespace data
}  // namespace etch
