// Control flow over tensors in explicit forms: cond, while_loop, for_range, scan, map and switch_case. In eager mode they are
// C++'s own if and for; while a function is traced each is one op, whose callables run once each to be recorded. And what
// C++'s own for goes over.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/gradient_tape.h"
#include "etch/ops.h"
#include "etch/tensor.h"
#include "etch/values.h"

namespace [[gnu::visibility("default")]] etch {

struct WhileOptions {
  int64_t max_iterations = -1;  // then the loop ends, as it stands; negative: there is no bound
  int64_t checkpoint = 0;       // in a traced function its gradient keeps the state of each turn of so many and runs those
                                // between again; 0: of as many turns as memory allows
};

namespace detail {

/// The tensors of a result, and its structure without them.
struct Flat {
  std::vector<Tensor> tensors;
  std::string structure;
};

/// The bytes of a signature (ArgReader) of a value that holds no tensors.
std::string structure_key(const ArgReader& reader);

template <class T>
Flat flatten(T value) {
  Flat flat;
  for (Tensor* tensor : TensorList::of(value)) flat.tensors.push_back(std::exchange(*tensor, Tensor()));
  ArgReader reader;
  read(value, reader);
  flat.structure = structure_key(reader);
  return flat;
}

/// A value of the same structure with these tensors.
template <class T>
T with_tensors(T value, std::span<const Tensor> tensors) {
  size_t next = 0;
  for (Tensor* tensor : TensorList::of(value)) *tensor = tensors[next++];
  return value;
}

using Arm = std::function<Flat()>;
using Turn = std::function<Flat(std::span<const Tensor> state)>;
using Test = std::function<Tensor(std::span<const Tensor> state)>;

/// True if ops of this thread are recorded.
bool is_recording();
/// See cond: records both arms, and gives the tensors of the result.
std::vector<Tensor> record_cond(const Tensor& predicate, const Arm& then, const Arm& otherwise, Location where);
/// See while_loop: the state when the loop has ended. In eager mode it runs.
std::vector<Tensor> run_while(std::string_view op, Flat state, const Test& test, const Turn& body, WhileOptions options,
                              Location where);
/// The truth of a predicate of one element; Error for more of them.
bool truth_of(const Tensor& predicate, std::string_view op, Location where);
/// The extent of the first axis, the same for all tensors.
int64_t num_rows(std::span<const Tensor> tensors, std::string_view op, Location where);
/// The tensors at an index of the first axis.
std::vector<Tensor> rows_at(std::span<const Tensor> tensors, const Tensor& i);
/// Zeros of the types that those have.
std::vector<Tensor> rows_like(std::span<const Tensor> tensors);
/// The tensors with these rows at an index of the first axis.
std::vector<Tensor> with_rows(std::span<const Tensor> tensors, std::span<const Tensor> rows, const Tensor& i);
/// Zeros for n of each tensor that `record` gives, which runs apart to tell the types.
std::vector<Tensor> stacks_like(int64_t n, const std::function<std::vector<Tensor>()>& record, Location where);

/// What a callable gives for a state: of a tuple it takes the elements, of anything else the whole.
template <class F, class State>
auto call_on(F& f, State state) {
  if constexpr (std::is_invocable_v<F&, State>) {
    return f(std::move(state));
  } else {
    return std::apply(f, std::move(state));
  }
}

/// A state as such: callables may give a tuple of what converts to it.
template <class State, class F>
Flat next_state(F& f, const State& state, std::span<const Tensor> tensors) {
  return flatten<State>(State(call_on(f, with_tensors(state, tensors))));
}

}  // namespace detail

/// `then()` if the predicate, one element, is true, else `otherwise()`. Both give the same type, any structure of tensors,
/// with the same dtypes and shapes; or nothing, where they only assign variables. In a traced function both are recorded
/// and one of them runs; tensors and variables that they use need not be named. Error that names both types where they
/// differ.
template <class Then, class Otherwise>
auto cond(const Operand& predicate, Then&& then, Otherwise&& otherwise) {
  using Result = std::invoke_result_t<Then&>;
  static_assert(std::is_same_v<Result, std::invoke_result_t<Otherwise&>>,
                "etch::cond: both callables must give the same type; write -> Tensor if one of them gives a number");
  const Location where = predicate.where();
  const Tensor asked = predicate.tensor() ? *predicate.tensor() : full(Shape{}, predicate.number(), where);
  if (!detail::is_recording()) {
    return detail::truth_of(asked, "cond", where) ? then() : otherwise();
  }
  if constexpr (std::is_void_v<Result>) {
    const auto arm = [](auto& f) { return [&f] { return f(), detail::Flat(); }; };
    detail::record_cond(asked, arm(then), arm(otherwise), where);
  } else {
    std::optional<Result> like;
    const auto arm = [&](auto& f) {
      return [&] {
        like = f();
        return detail::flatten(*like);
      };
    };
    const std::vector<Tensor> tensors = detail::record_cond(asked, arm(then), arm(otherwise), where);
    return detail::with_tensors(*std::move(like), tensors);
  }
}

/// Runs `state = body(state)` as long as `test(state)`, one element, is true, and gives the state then. A state is any
/// structure of tensors whose dtypes and shapes stay; a callable takes a tuple as its elements. In a traced function each
/// callable is recorded once and the loop is one op; tensors and variables that they use need not be named, and variables
/// that they assign are carried too. Error that names both types where one changes.
template <class Test, class Body, class State>
State while_loop(Test&& test, Body&& body, State state, WhileOptions options = {},
                 Location where = Location::current()) {
  const std::vector<Tensor> tensors = detail::run_while(
      "while_loop", detail::flatten(state),
      [&](std::span<const Tensor> now) -> Tensor { return detail::call_on(test, detail::with_tensors(state, now)); },
      [&](std::span<const Tensor> now) { return detail::next_state(body, state, now); }, options, where);
  return detail::with_tensors(std::move(state), tensors);
}

/// Runs `state = body(i, state)` for i = 0 .. n - 1, a scalar of n's dtype (i64 of a number), and gives the state then: a
/// while_loop that counts.
template <class Body, class State>
State for_range(const Operand& n, Body&& body, State state, WhileOptions options = {}) {
  const Location where = n.where();
  const Tensor end = n.tensor() ? *n.tensor() : full(Shape{}, n.number(), DType::i64, where);
  using Counted = std::tuple<Tensor, State>;
  return std::get<1>(while_loop([&](const Tensor& i, const State&) { return i < end; },
                                [&](const Tensor& i, const State& now) {
                                  const auto on_state = [&](auto&&... parts) { return body(i, parts...); };
                                  if constexpr (std::is_invocable_v<Body&, const Tensor&, const State&>) {
                                    return Counted(i + 1, State(body(i, now)));
                                  } else {
                                    return Counted(i + 1, State(std::apply(on_state, now)));
                                  }
                                },
                                Counted(zeros_like(end), std::move(state)), options, where));
}

/// Carries a state along the rows of tensors: `(state, y) = step(state, row)` for each row of `xs`, a structure of tensors
/// with one extent of the first axis. Gives the last state and the y of all rows, stacked along a new first axis (JAX's
/// scan). In a traced function the step is recorded twice, once to learn the types of y, and the loop is one op. Error
/// unless all extents are the same.
template <class Step, class State, class Xs>
auto scan(Step&& step, State state, const Xs& xs, WhileOptions options = {}, Location where = Location::current()) {
  using Y = std::remove_cvref_t<decltype(step(state, xs).second)>;
  const detail::Flat rows = detail::flatten(xs);
  const int64_t n = detail::num_rows(rows.tensors, "scan", where);
  std::optional<Y> like;
  const std::vector<Tensor> empty = detail::stacks_like(n, [&] {
    like = step(state, detail::with_tensors(xs, detail::rows_like(rows.tensors))).second;
    return detail::flatten(*like).tensors;
  }, where);
  if (n == 0) return std::pair(std::move(state), detail::with_tensors(*std::move(like), empty));
  using Carried = std::tuple<State, std::vector<Tensor>>;
  auto [last, stacks] = for_range(n, [&](const Tensor& i, const Carried& carried) {
    auto [next, y] = step(std::get<0>(carried), detail::with_tensors(xs, detail::rows_at(rows.tensors, i)));
    return Carried(std::move(next), detail::with_rows(std::get<1>(carried), detail::flatten(y).tensors, i));
  }, Carried(std::move(state), empty), options);
  return std::pair(std::move(last), detail::with_tensors(*std::move(like), stacks));
}

/// f of each row of the tensors, stacked along a new first axis: a scan that carries nothing.
template <class F, class Xs>
auto map(F&& f, const Xs& xs, Location where = Location::current()) {
  return scan([&](std::tuple<> none, const Xs& row) { return std::pair(none, f(row)); }, std::tuple<>(), xs, {}, where).second;
}

namespace detail {
/// Per sequence: the value where `live`, [batch], is true, else the other one.
std::vector<Tensor> where_live(const Tensor& live, std::span<const Tensor> values, std::span<const Tensor> others);
/// The same with zeros as the others.
std::vector<Tensor> where_live(const Tensor& live, std::span<const Tensor> values);
/// The tensors with their first two axes swapped.
std::vector<Tensor> with_batch_first(std::span<const Tensor> tensors);
Tensor with_time_first(const Tensor& x, Location where);
/// Per sequence, whether it is longer than `t`.
Tensor is_live(const Tensor& lengths, const Tensor& t, int64_t batch, Location where);
}  // namespace detail

/// Runs a recurrent cell over sequences of different lengths: x is [batch, time, ...], and `cell(x_t, state)` gives a pair of an
/// output and the next state, any structures of tensors [batch, ...]. A sequence that has ended keeps its state, and its outputs
/// are 0 (TensorFlow's dynamic_rnn). `lengths` are [batch] integers. Gives a pair of the outputs, [batch, time, ...], and the
/// last states. It is a scan along time.
template <class Cell, class State>
auto dynamic_rnn(Cell&& cell, const Tensor& x, State state, const Tensor& lengths,
                 Location where = Location::current()) {
  const Tensor steps = detail::with_time_first(x, where);
  const int64_t time = steps.shape(where)[0], batch = steps.shape(where)[1];
  const auto step = [&](const State& before, const std::tuple<Tensor, Tensor>& row) {
    auto [y, after] = cell(std::get<0>(row), before);
    const Tensor live = detail::is_live(lengths, std::get<1>(row), batch, where);
    const detail::Flat old = detail::flatten(before);
    const std::vector<Tensor> kept = detail::where_live(live, detail::flatten(after).tensors, old.tensors);
    const std::vector<Tensor> shown = detail::where_live(live, detail::flatten(y).tensors);
    return std::pair(detail::with_tensors(before, kept), detail::with_tensors(std::move(y), shown));
  };
  auto [last, ys] = scan(step, std::move(state), std::tuple(steps, range(time, DType::i64)), {}, where);
  const std::vector<Tensor> outputs = detail::with_batch_first(detail::flatten(ys).tensors);
  return std::pair(detail::with_tensors(std::move(ys), outputs), std::move(last));
}

/// The result of one of several callables of the same result type, that of number `index`, a scalar of integers; the last
/// one for an index that there is none for (TensorFlow's switch_case).
template <class First, class... Others>
auto switch_case(const Operand& index, First&& first, Others&&... others) {
  if constexpr (sizeof...(others) == 0) {
    return first();
  } else {
    const Location where = index.where();
    const Tensor which = index.tensor() ? *index.tensor() : full(Shape{}, index.number(), where);
    return cond(Operand(which == 0, where), first, [&] { return switch_case(Operand(which - 1, where), others...); });
  }
}

/// The integers start, start + step, ... before stop, scalars of one dtype, for `for (Tensor i : etch::range(n))`. The bounds may be
/// values of a trace: there the loop is one loop, as every `for` over a Range or over the rows of a tensor is.
class Range {
 public:
  struct End {};
  class Iterator {
   public:
    using value_type = Tensor;
    using difference_type = int64_t;

    explicit Iterator(const Range& range) : range_(&range), i_(range.start_) {}
    const Tensor& operator*() const { return i_; }
    Iterator& operator++() {
      i_ = range_->after(i_);
      return *this;
    }
    void operator++(int) { ++*this; }
    /// In a trace this asks whether the loop has ended.
    bool operator==(End) const { return range_->has_ended(i_); }

   private:
    const Range* range_;
    Tensor i_;
  };

  /// See range.
  Range(const Operand& start, const Operand& stop, const Operand& step, Location where);
  Iterator begin() const { return Iterator(*this); }
  End end() const { return {}; }

 private:
  Tensor after(const Tensor& i) const;
  bool has_ended(const Tensor& i) const;

  Tensor start_, stop_, step_;
  int direction_ = 0;   // of a step that C++ knows: 1 or -1
  int64_t stride_ = 1;  // then: the step
  Location where_;
};

namespace detail {
template <class T>
concept IsTensor = std::same_as<T, Tensor> || std::same_as<T, Variable>;
template <class... T>
concept Bounds = (std::convertible_to<const T&, Operand> && ...) && (IsTensor<T> || ...);
}  // namespace detail

/// 0, 1, ..., n - 1 for a loop, where n is a tensor: i32 or i64, one element. Of C++ numbers etch::range gives a tensor
/// (etch/ops.h), over which the same loops go. Error for another dtype or shape.
template <detail::IsTensor T>
Range range(const T& n, Location where = Location::current()) {
  return {Operand(0, where), Operand(n, where), Operand(1, where), where};
}
/// start, start + 1, ..., stop - 1, at least one of them a tensor. Error that names both dtypes where these differ.
template <class Start, class Stop>
  requires detail::Bounds<Start, Stop>
Range range(const Start& start, const Stop& stop, Location where = Location::current()) {
  return {Operand(start, where), Operand(stop, where), Operand(1, where), where};
}
/// start, start + step, ... before stop, at least one of them a tensor. A step below 0 counts down. Error for a C++ step of 0; with a
/// tensor of 0 there is no turn. No number of the loop, nor the one behind the last, may be too large for the dtype.
template <class Start, class Stop, class Step>
  requires detail::Bounds<Start, Stop, Step>
Range range(const Start& start, const Stop& stop, const Step& step, Location where = Location::current()) {
  return {Operand(start, where), Operand(stop, where), Operand(step, where), where};
}

/// Rows that are written one by one: a handle on a dense tensor [n, ...], which a traced function writes in place. A plain
/// value that a loop may carry, and that helpers may change.
struct TensorArray {
  Tensor elements;

  /// n rows of zeros.
  static TensorArray of(Integer n, DType dtype, const Shape& row, Location where = Location::current());
  /// Row i; the index is clamped to 0 .. n - 1.
  Tensor read(const Operand& i) const;
  /// Puts a tensor of a row's type there.
  void write(const Operand& i, const Operand& row);
  /// All rows.
  const Tensor& stack() const { return elements; }
};

}  // namespace etch
