// Calls of user code in pipelines: host callables, which may not read variables, and etch::functions, which read them
// as they stood when the iterator was made. Internal.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/data/element.h"
#include "etch/function.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {
namespace detail {

/// An error of one element of a stage. The iterator puts the pipeline's path before it.
class ElementError : public Error {
 public:
  using Error::Error;
};

/// To be called in a catch: throws what was caught as an ElementError of that element, with the exception nested in
/// it; such an error itself, and an InternalError, pass.
[[noreturn]] void rethrow_at(std::string_view stage, int64_t index);

/// While it stands, this thread runs a host callable: what that reads of variables is noted, and is an Error at end().
class HostScope {
 public:
  HostScope() noexcept;
  ~HostScope();
  HostScope(const HostScope&) = delete;
  HostScope& operator=(const HostScope&) = delete;
  void end();

 private:
  alignas(8) std::byte snapshot_[40];
  const void* before_;
  bool stands_;
};

/// The values that one iterator found in variables, so that functions of it that are opened later read the same.
class CellRegistry;
std::shared_ptr<CellRegistry> make_cell_registry();

/// The values of the variables that a function uses, for one walk.
class FrozenCells {
 public:
  explicit FrozenCells(CellRegistry* registry);
  ~FrozenCells();
  FrozenCells(const FrozenCells&) = delete;
  FrozenCells& operator=(const FrozenCells&) = delete;

  /// Takes the values of the variables that a concrete function uses; those that it has stay. Error if the function
  /// assigns one.
  void take(const ConcreteFunctionBase& concrete, Location where);
  void save(SavedState& state) const;
  /// The values to take in the place of those that stand in the variables.
  void restore(const SavedState& state);

 private:
  friend class FrozenScope;
  struct State;
  std::unique_ptr<State> state_;
};

/// While it stands, functions that this thread calls read those values.
class FrozenScope {
 public:
  explicit FrozenScope(const FrozenCells& cells);
  ~FrozenScope();
  FrozenScope(const FrozenScope&) = delete;
  FrozenScope& operator=(const FrozenScope&) = delete;

 private:
  const void* before_;
  void* plain_ = nullptr;  // where functions run as plain C++
};

/// The types of the tensors of a function's result.
ElementSpec result_spec(const ConcreteFunctionBase& concrete);

template <class F>
inline constexpr bool kIsFunction = false;
template <class Sig>
inline constexpr bool kIsFunction<Function<Sig>> = true;

/// A callable during one walk. Any number of threads may call it at once.
template <class F>
class Running {
 public:
  Running(const F& f, const OpenContext& context, Location where) : f_(f), where_(where), cells_(context.cells) {}

  /// The result for an element, and for what is given beside it.
  template <class T, class... More>
  ResultOf<F, T, More...> operator()(std::string_view stage, int64_t index, T&& element, More&&... more) const {
    try {
      if constexpr (kIsFunction<F>) {
        if (!is_ready()) prepare_late(element, more...);
        const FrozenScope scope(cells_);
        return call(f_, static_cast<T&&>(element), static_cast<More&&>(more)..., where_);
      } else {
        HostScope scope;
        ResultOf<F, T, More...> result = call(f_, static_cast<T&&>(element), static_cast<More&&>(more)...);
        scope.end();
        return result;
      }
    } catch (...) {
      rethrow_at(stage, index);
    }
  }

  /// Traces a function for such arguments, unless it is known, and takes the variables that it uses.
  template <class T, class... More>
  ElementSpec prepare(const T& element, const More&... more) const {
    if constexpr (kIsFunction<F>) {
      const auto concrete = concrete_for(f_, where_, element, more...);
      const std::lock_guard lock(mutex_);
      cells_.take(concrete, where_);
      is_ready_.store(true, std::memory_order_release);
      return result_spec(concrete);
    } else {
      return {};
    }
  }
  /// The same at an element, by whichever thread comes first: of a restored walk, whose values are known.
  template <class T, class... More>
  void prepare_late(const T& element, const More&... more) const {
    const auto concrete = concrete_for(f_, where_, element, more...);
    const std::lock_guard lock(mutex_);
    if (is_ready_.load(std::memory_order_relaxed)) return;
    cells_.take(concrete, where_);
    is_ready_.store(true, std::memory_order_release);
  }
  bool is_ready() const { return !kIsFunction<F> || is_ready_.load(std::memory_order_acquire); }

  void save(SavedState& state) const {
    if constexpr (kIsFunction<F>) {
      const std::lock_guard lock(mutex_);
      if (is_ready_.load()) cells_.save(state);
    }
  }
  void restore(const SavedState& state) {
    if constexpr (kIsFunction<F>) cells_.restore(state);
  }

  template <class T, class... More>
  static auto concrete_for(const F& f, Location where, const T& element, const More&... more) {
    const auto get = [&](const auto&... args)
      requires(std::is_invocable_v<const F&, decltype(args)...>)
    { return f.concrete(args..., where); };
    return call(get, element, more...);
  }

 private:
  const F& f_;
  const Location where_;
  struct None {
    explicit None(CellRegistry*) {}
    void take(const ConcreteFunctionBase&, Location) {}
  };
  mutable std::atomic<bool> is_ready_{false};
  mutable std::mutex mutex_;
  mutable std::conditional_t<kIsFunction<F>, FrozenCells, None> cells_;
};

/// The types of what a function gives for elements of these types, traced, not run; empty where one is not known.
template <class F, class T, class... More>
std::vector<ElementSpec> traced_spec(const F& f, Location where, const std::vector<ElementSpec>& inputs,
                                     const More&... more) {
  std::vector<ElementSpec> specs;
  if constexpr (kIsFunction<F> && kIsTensors<T>) {
    for (const ElementSpec& input : inputs) {
      ElementSpec spec = result_spec(Running<F>::concrete_for(f, where, stand_in<T>(input), more...));
      bool is_new = true;
      for (const ElementSpec& known : specs) is_new = is_new && !(known == spec);
      if (is_new) specs.push_back(std::move(spec));
    }
  }
  return specs;
}

/// A cursor whose first element was taken ahead of time.
template <class T>
class PeekedCursor final : public Cursor<T> {
 public:
  explicit PeekedCursor(std::unique_ptr<Cursor<T>> input) : input_(std::move(input)) {}

  /// The first element, or nullptr if there is none or it is an error, which next() throws.
  const T* peek() {
    input_->save(before_);
    try {
      has_peeked_ = input_->next(first_);
      if (!has_peeked_) is_at_end_ = true;
    } catch (...) {
      error_ = std::current_exception();
    }
    return has_peeked_ ? &first_ : nullptr;
  }
  bool next(T& out) override {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    if (has_peeked_) {
      out = std::move(first_);
      has_peeked_ = false;
      return true;
    }
    return !is_at_end_ && input_->next(out);
  }
  int64_t skip(int64_t n) override {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    if (is_at_end_ || n <= 0) return 0;
    if (!has_peeked_) return input_->skip(n);
    has_peeked_ = false;
    first_ = T();
    return 1 + input_->skip(n - 1);
  }
  void save(SavedState& state) const override {
    if (has_peeked_ || error_) {
      state = before_;
    } else {
      input_->save(state);
    }
  }
  void restore(const SavedState& state) override { input_->restore(state); }
  bool replays() const override { return input_->replays(); }

 private:
  const std::unique_ptr<Cursor<T>> input_;
  SavedState before_;
  T first_{};
  bool has_peeked_ = false, is_at_end_ = false;
  std::exception_ptr error_;
};

/// Makes a callable ready for a walk: its variables are taken now, where the types of elements tell which these are,
/// or by means of the first element.
template <class F, class T, class... More>
std::unique_ptr<Cursor<T>> prepare(const Running<F>& running, const Stage<T>& input, std::unique_ptr<Cursor<T>> cursor,
                                   const OpenContext& context, const More&... more) {
  if constexpr (kIsFunction<F>) {
    if constexpr (kIsTensors<T>) {
      for (const ElementSpec& spec : input.element_spec()) running.prepare(stand_in<T>(spec), more...);
    }
    if (running.is_ready() || context.is_restored) return cursor;
    auto peeked = std::make_unique<PeekedCursor<T>>(std::move(cursor));
    if (const T* first = peeked->peek()) running.prepare(*first, more...);
    return peeked;
  }
  return cursor;
}

}  // namespace detail
}  // namespace data
}  // namespace etch
