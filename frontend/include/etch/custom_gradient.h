// custom_gradient: functions that bring their own derivative; recompute: those that keep nothing for it.
#pragma once

#include <functional>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/gradient_tape.h"
#include "etch/tensor.h"
#include "etch/values.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {
namespace detail {

/// Gives, for the cotangents of the results of a function, the gradients in what it depends on: of those that are
/// floats.
using RunBackward = std::function<std::vector<Tensor>(std::span<const Tensor> cotangents)>;
/// The same for all results, in all tensors of the arguments and then in these variables.
using RunBackwardOf =
    std::function<std::vector<Tensor>(std::span<const Tensor> cotangents, const std::vector<Variable>& variables)>;

struct CustomResults {
  std::span<Tensor* const> tensors;
  bool takes_variables = false;  // the backward function
  bool keeps = true;             // tapes keep what the function computed on its way
};

/// One call of a function with a backward function. It begins before the function runs.
class CustomCall {
 public:
  explicit CustomCall(Location where);
  /// Replaces the results by those that depend on the arguments by the backward function alone.
  void end(std::span<const Tensor> arguments, const CustomResults& results, RunBackwardOf run);

 private:
  Location where_;
  uint64_t log_ = 0;
  int first_event_ = 0;
};

template <class F, class Y, class... More>
auto apply_backward(F& backward, const Y& cotangents, const More&... more) {
  if constexpr (std::is_invocable_v<F&, const Y&, const More&...>) {
    return std::invoke(backward, cotangents, more...);
  } else {
    return std::apply([&](const auto&... each) { return std::invoke(backward, each..., more...); }, cotangents);
  }
}

template <class F, class Y>
consteval bool takes_variables() {
  if constexpr (std::is_invocable_v<F&, const Y&, const std::vector<Variable>&>) {
    return true;
  } else if constexpr (std::is_invocable_v<F&, const Y&>) {
    return false;
  } else {
    return []<template <class...> class Tuple, class... Each>(std::type_identity<Tuple<Each...>>) {
      return std::is_invocable_v<F&, const Each&..., const std::vector<Variable>&>;
    }(std::type_identity<Y>());
  }
}

/// Calls f, which gives a pair of its value and its backward function.
template <class F, class... X>
auto call_custom(const F& f, bool keeps, Location where, const X&... x) {
  CustomCall call(where);
  auto made = std::invoke(f, x...);
  auto value = std::move(std::get<0>(made));
  using Y = decltype(value);
  using Backward = std::tuple_element_t<1, decltype(made)>;
  constexpr bool kTakesVariables = takes_variables<Backward, Y>();
  Y structure = value;
  for (Tensor* tensor : TensorList::of(structure)) *tensor = Tensor();
  auto run = [backward = std::get<1>(std::move(made)), structure = std::move(structure)](
                 std::span<const Tensor> given, const std::vector<Variable>& variables) mutable {
    Y cotangents = structure;
    for (Tensor* tensor : TensorList::of(cotangents)) {
      *tensor = given[0];
      given = given.subspan(1);
    }
    if constexpr (kTakesVariables) {
      auto [gradients, of_variables] = apply_backward(backward, cotangents, variables);
      std::vector<Tensor> all = tensors_of(Location{}, gradients);
      all.insert(all.end(), of_variables.begin(), of_variables.end());
      return all;
    } else {
      return tensors_of(Location{}, apply_backward(backward, cotangents));
    }
  };
  call.end(tensors_of(where, x...), {TensorList::of(value), kTakesVariables, keeps}, std::move(run));
  return value;
}

}  // namespace detail

/// A callable like f that is differentiated by a function of its own. `f(x...)` gives a pair: the value, and the backward
/// function, which takes the gradient in the value, in its structure (or, of a tuple, one argument each), and gives the
/// gradient in x; for several arguments a tuple of theirs. A Tensor that holds nothing stands for none. Arguments and value
/// are Tensors or structures of them (GradientTape).
///
///   auto log1pexp = custom_gradient([](Tensor x) {
///     Tensor e = exp(x);
///     return std::pair(log(1 + e), [=](Tensor upstream) { return upstream * (1 - 1 / (1 + e)); });
///   });
///
/// The backward function runs when a gradient is asked for, eager on eager tensors; what it computes is recorded by the
/// tapes around, so second derivatives are those of its ops. It should hold by value what it needs. Of a call of a
/// traced function that a tape outside records, it is what it did on traced tensors, for the first three derivatives. A
/// function that reads trainable
/// variables gives a backward function that takes them as a second argument, a std::vector<Variable>, and gives a pair:
/// the gradient in x, and a vector of those in the variables. Error if it gives other numbers or types of gradients.
template <class F>
auto custom_gradient(F f, Location where = Location::current()) {
  return [f = std::move(f), where]<class... X>(const X&... x) { return detail::call_custom(f, true, where, x...); };
}

/// A callable like f of which eager tapes keep nothing but its arguments and its value: for its gradient f runs again, which
/// takes less memory and more time. f may read variables; it must compute the same again. In a traced function it changes
/// nothing but the order of sums: equal ops are computed once there.
template <class F>
auto recompute(F f, Location where = Location::current()) {
  auto with_backward = [f = std::move(f), where]<class... X>(const X&... x) {
    using Y = std::remove_cvref_t<std::invoke_result_t<const F&, const X&...>>;
    auto backward = [f, where, x = std::tuple<X...>(x...)](const Y& cotangents,
                                                           const std::vector<Variable>& variables) {
      const auto sources = std::pair(x, variables);
      GradientTape tape({.watch_accessed_variables = false}, where);
      tape.watch(sources, where);
      const Y value = std::apply(f, sources.first);
      return detail::TapeAccess::gradients_if_any(
          tape, {detail::tensors_of(where, value), detail::tensors_of(where, cotangents), detail::sources_of(sources)},
          sources, where);
    };
    return std::pair(Y(std::invoke(f, x...)), std::move(backward));
  };
  return [with_backward, where]<class... X>(const X&... x) {
    return detail::call_custom(with_backward, false, where, x...);
  };
}

}  // namespace etch
