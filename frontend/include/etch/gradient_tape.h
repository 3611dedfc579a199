// GradientTape: derivatives of what is computed while it records, eager and traced; and what is made with it.
#pragma once

#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/ops.h"
#include "etch/tensor.h"
#include "etch/values.h"

namespace [[gnu::visibility("default")]] etch {

struct TapeOptions {
  bool persistent = false;  // gradient() may be called again; what was recorded is kept until reset() or the end
};

/// What the gradient is of a source that no target depends on.
enum class Unconnected : uint8_t {
  none,   // a Tensor that holds nothing: defined() is false
  zeros,  // zeros of the source's shape
};

struct GradientOptions {
  Unconnected unconnected = Unconnected::none;
};

namespace detail {

class Tape;

/// Lists the tensors of a value in order.
class TensorList final : public TensorVisitor {
 public:
  template <class T>
  static std::vector<Tensor*> of(T& value) {
    TensorList list;
    visit_tensors(value, list);
    return std::move(list.tensors_);
  }
  /// To be read only.
  template <class T>
  static std::vector<Tensor*> of(const T& value) {
    return of(const_cast<T&>(value));
  }
  void tensor(Tensor& tensor) override { tensors_.push_back(&tensor); }

 private:
  std::vector<Tensor*> tensors_;
};

using Handles = std::span<Tensor* const>;  // of the tensors of a value, in order

Tape* make_tape(TapeOptions options, Location where);
void destroy_tape(Tape* tape);
void watch(Tape* tape, Handles tensors, Location where);
/// Replaces each source by its gradient.
void gradient(Tape* tape, Handles targets, Handles output_gradients, Handles sources, GradientOptions options,
              Location where);
std::string why_no_gradient(Tape* tape, Handles targets, const Tensor& source, Location where);
void stop_recording(Tape* tape, Location where);
void go_on_recording(Tape* tape);
void reset(Tape* tape, Location where);

/// Error: `what` of two structures has other numbers of tensors.
[[noreturn]] void fail_structure(std::string_view what, size_t expected, size_t given, Location where);

}  // namespace detail

/// Records what is computed from the tensors that it watches, from its making on, and gives derivatives of it:
///
///   GradientTape tape;
///   tape.watch(x);
///   Tensor y = x * x;
///   Tensor dy_dx = tape.gradient(y, x);  // 2 * x
///
/// It does the same eager and in a traced function, to the same bits; a tape belongs to the thread, and to the trace,
/// that made it. Tapes may stand side by side and within each other; an outer one records the gradients of an inner
/// one, which makes higher derivatives. What is recorded is decided by the order in which things were done: what was
/// computed before watch() or while recording was stopped is a constant. Calls of an etch::function are recorded too:
/// eager, they run a compiled function that also gives what the derivative needs.
///
/// Targets and sources are a Tensor or a vector, array, tuple, pair, optional, map or plain struct of such.
/// Contributions to a gradient are added from the last op to the first, those of a composite op (softmax) or of a
/// function among themselves first.
class GradientTape {
 public:
  explicit GradientTape(TapeOptions options = {}, Location where = Location::current())
      : tape_(detail::make_tape(options, where)) {}
  ~GradientTape() { detail::destroy_tape(tape_); }
  GradientTape(const GradientTape&) = delete;
  GradientTape& operator=(const GradientTape&) = delete;

  /// Makes tensors sources from here on; of a structure those of floats. Error if there is none.
  template <class T = std::vector<Tensor>>
  void watch(const T& tensors, Location where = Location::current()) {
    detail::watch(tape_, detail::TensorList::of(tensors), where);
  }

  /// The gradient of the targets in each source: the derivative of the sum of all their elements, in the structure of
  /// the sources. A source is a watched tensor or one that was computed from such; what the targets do not depend on
  /// has none, a Tensor for which defined() is false, or zeros if the options say so. Only floats have gradients.
  ///
  /// A tape that is not persistent stops recording and forgets everything; a persistent one records its gradients too.
  /// Error if it was asked before, if nothing was watched, if a source is unknown, if a target is not of floats, and if
  /// there is no gradient at all, which says why.
  template <class T = std::vector<Tensor>, class S = std::vector<Tensor>>
  [[nodiscard]] S gradient(const T& targets, const S& sources, GradientOptions options = {},
                           Location where = Location::current()) {
    S gradients = sources;
    detail::gradient(tape_, detail::TensorList::of(targets), {}, detail::TensorList::of(gradients), options, where);
    return gradients;
  }
  /// The same of the targets' elements weighted by output gradients, one for each target, of its type.
  template <class T = std::vector<Tensor>, class S = std::vector<Tensor>, class G>
  [[nodiscard]] S gradient(const T& targets, const S& sources, const G& output_gradients, GradientOptions options = {},
                           Location where = Location::current()) {
    S gradients = sources;
    const std::vector<Tensor*> weights = detail::TensorList::of(output_gradients);
    const std::vector<Tensor*> of = detail::TensorList::of(targets);
    if (weights.size() != of.size()) detail::fail_structure("output gradients", of.size(), weights.size(), where);
    detail::gradient(tape_, of, weights, detail::TensorList::of(gradients), options, where);
    return gradients;
  }

  /// The derivative of each element of the target in each of the source, of the target's shape followed by the
  /// source's; as many runs of one compiled derivative as the target has elements. The tape must be persistent.
  [[nodiscard]] Tensor jacobian(const Tensor& target, const Tensor& source, GradientOptions options = {},
                                Location where = Location::current());

  /// Why the targets have no gradient in a source: the ops that no derivative passes, with their places; or that they
  /// do not depend on it. Empty if there is one. To be asked before gradient(), or of a persistent tape.
  template <class T = std::vector<Tensor>>
  [[nodiscard]] std::string why_no_gradient(const T& targets, const Tensor& source,
                                            Location where = Location::current()) {
    return detail::why_no_gradient(tape_, detail::TensorList::of(targets), source, where);
  }

  /// Records nothing as long as the result stands, which must not outlive the tape.
  class [[nodiscard]] Pause {
   public:
    ~Pause() { detail::go_on_recording(tape_); }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    friend class GradientTape;
    Pause(detail::Tape* tape, Location where) : tape_(tape) { detail::stop_recording(tape, where); }
    detail::Tape* tape_;
  };
  Pause stop_recording(Location where = Location::current()) { return Pause(tape_, where); }

  /// Forgets everything, what was watched too, and begins anew.
  void reset(Location where = Location::current()) { detail::reset(tape_, where); }

 private:
  detail::Tape* tape_;
};

/// A callable like f that returns the value of f and its gradient in the first argument, as a pair. f takes and gives
/// Tensors or structures of them (GradientTape). It may be a lambda or an etch::function, and the result may be traced,
/// or differentiated again. Errors name the place of this call.
template <class F>
auto value_and_grad(F f, Location where = Location::current()) {
  return [f = std::move(f), where]<class X, class... Rest>(const X& x, const Rest&... rest) {
    GradientTape tape({}, where);
    tape.watch(x, where);
    auto value = std::invoke(f, x, rest...);
    X gradient = tape.gradient(value, x, {}, where);
    return std::pair(std::move(value), std::move(gradient));
  };
}

/// The same without the value.
template <class F>
auto grad(F f, Location where = Location::current()) {
  return [f = value_and_grad(std::move(f), where)](const auto& x, const auto&... rest) { return f(x, rest...).second; };
}

/// Forward mode: the value of f(x), and what it changes by where x changes by `tangents`, a structure like x. It is the
/// derivative of the gradient in its output gradients, which it is linear in.
template <class F, class X>
auto jvp(F&& f, const X& x, const X& tangents, Location where = Location::current()) {
  GradientTape outer;
  GradientTape tape;
  tape.watch(x, where);
  auto value = std::invoke(f, x);
  auto weights = value;
  for (Tensor* weight : detail::TensorList::of(weights)) *weight = zeros(weight->shape(where), weight->dtype(where));
  outer.watch(weights, where);
  const X gradients = tape.gradient(value, x, weights, {.unconnected = Unconnected::zeros}, where);
  auto change = outer.gradient(gradients, weights, tangents, {.unconnected = Unconnected::zeros}, where);
  return std::pair(std::move(value), std::move(change));
}

struct CheckOptions {
  double step = 1e-4;        // of the central differences
  double tolerance = 1e-5;   // of an error, relative to the larger of 1 and the derivative
};

namespace detail {
/// See check_gradients. `run` gives the tensors of the result for the tensors of the arguments as they stand.
double check_gradients(Handles arguments, const std::function<std::vector<Tensor>()>& run, CheckOptions options,
                       Location where);
}  // namespace detail

/// Compares the gradients of f(args...) with central differences, in every element of every argument of floats, all of
/// f's results weighted differently. Returns the largest error, relative to the larger of 1 and the derivative; Error
/// that names the argument and the element if it is above the tolerance. Arguments should be of f64, at points where f
/// is smooth.
template <class F, class... A>
double check_gradients(CheckOptions options, F&& f, const A&... args) {
  std::tuple<A...> copies(args...);
  const auto run = [&] {
    auto result = std::apply(f, std::as_const(copies));
    std::vector<Tensor> tensors;
    for (Tensor* tensor : detail::TensorList::of(result)) tensors.push_back(*tensor);
    return tensors;
  };
  return detail::check_gradients(detail::TensorList::of(copies), run, options, {});
}
template <class F, class... A>
  requires(!std::same_as<std::remove_cvref_t<F>, CheckOptions>)
double check_gradients(F&& f, const A&... args) {
  return check_gradients(CheckOptions{}, static_cast<F&&>(f), args...);
}

}  // namespace etch
