// GradientTape: derivatives of what is computed while it records, eager and traced; and what is made with it.
#pragma once

#include <array>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/ops.h"
#include "etch/tensor.h"
#include "etch/values.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {

struct TapeOptions {
  bool persistent = false;  // gradient() may be called again; what was recorded is kept until reset() or the end
  bool watch_accessed_variables = true;  // trainable variables, when they are read
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
struct TapeAccess;

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

/// Copies the tensors of values in order; a variable is read.
class TensorCopies final : public TensorVisitor {
 public:
  explicit TensorCopies(Location where) : where_(where) {}
  void tensor(Tensor& tensor) override { tensors.push_back(tensor); }
  void variable(const Variable& variable) override { tensors.push_back(variable.value(where_)); }

  std::vector<Tensor> tensors;

 private:
  Location where_;
};
template <class... T>
std::vector<Tensor> tensors_of(Location where, const T&... values) {
  TensorCopies copies(where);
  (visit_tensors(const_cast<T&>(values), copies), ...);
  return std::move(copies.tensors);
}

/// What a derivative is taken in: a tensor or a variable.
class Source {
 public:
  Source(const Tensor& tensor) : tensor_(tensor) {}                           // NOLINT: converts
  Source(const Variable& variable) : variable_(variable), is_variable_(true) {}  // NOLINT: converts

  /// The variable, or nullptr for a tensor.
  const Variable* variable() const { return is_variable_ ? &variable_ : nullptr; }
  const Tensor& tensor() const { return tensor_; }

 private:
  Tensor tensor_;
  Variable variable_;
  bool is_variable_ = false;
};

/// Lists the tensors and variables of a value in order.
class SourceList final : public TensorVisitor {
 public:
  void tensor(Tensor& tensor) override { sources.emplace_back(tensor); }
  void variable(const Variable& variable) override { sources.emplace_back(variable); }

  std::vector<Source> sources;
};
template <class T>
std::vector<Source> sources_of(const T& value) {
  SourceList list;
  visit_tensors(const_cast<T&>(value), list);
  return std::move(list.sources);
}

// ---- The structure of gradients: that of the sources, with a Tensor in the place of each Variable ----

template <class T>
struct GradientOf {
  using type = T;
};
template <class T>
using GradientsOf = GradientOf<T>::type;

template <class T>
consteval bool holds_variables();
template <class T, size_t... I>
consteval bool element_holds_variables(std::index_sequence<I...>) {
  return (holds_variables<std::tuple_element_t<I, T>>() || ...);
}
template <class T, size_t... I>
consteval bool member_holds_variables(std::index_sequence<I...>) {
  return (holds_variables<std::remove_cvref_t<decltype(member<I>(std::declval<T&>()))>>() || ...);
}
template <class T>
consteval bool holds_variables() {
  if constexpr (std::is_same_v<T, Variable>) {
    return true;
  } else if constexpr (std::is_same_v<T, Tensor> || std::is_enum_v<T> || Arithmetic<T> || TextLike<T>) {
    return false;
  } else if constexpr (OptionalLike<T> || OrderedRange<T>) {
    return holds_variables<std::remove_const_t<typename T::value_type>>();
  } else if constexpr (TupleLike<T>) {
    return element_holds_variables<T>(std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (Plain<T>) {
    if constexpr (has_plain_members<T>()) {
      return member_holds_variables<T>(std::make_index_sequence<kNumMembers<T>>());
    }
  }
  return false;
}

template <>
struct GradientOf<Variable> {
  using type = Tensor;
};
template <class T>
  requires(holds_variables<T>() && OptionalLike<T>)
struct GradientOf<T> {
  using type = std::optional<GradientsOf<typename T::value_type>>;
};
template <class T>
  requires(holds_variables<T>() && OrderedRange<T> && !OptionalLike<T> && !TupleLike<T>)
struct GradientOf<T> {
  using type = std::vector<GradientsOf<typename T::value_type>>;
};
template <class K, class V, class... More>
  requires(holds_variables<V>())
struct GradientOf<std::map<K, V, More...>> {
  using type = std::map<K, GradientsOf<V>>;
};
template <class T, size_t N>
  requires(holds_variables<T>())
struct GradientOf<std::array<T, N>> {
  using type = std::array<GradientsOf<T>, N>;
};
template <class A, class B>
  requires(holds_variables<std::pair<A, B>>())
struct GradientOf<std::pair<A, B>> {
  using type = std::pair<GradientsOf<A>, GradientsOf<B>>;
};
template <class... T>
  requires(holds_variables<std::tuple<T...>>())
struct GradientOf<std::tuple<T...>> {
  using type = std::tuple<GradientsOf<T>...>;
};
template <class T, size_t... I>
std::tuple<GradientsOf<std::remove_cvref_t<decltype(member<I>(std::declval<T&>()))>>...> members_gradients(
    std::index_sequence<I...>);
template <class T>
  requires(holds_variables<T>() && Plain<T> && !OptionalLike<T> && !OrderedRange<T> && !TupleLike<T>)
struct GradientOf<T> {
  using type = decltype(members_gradients<T>(std::make_index_sequence<kNumMembers<T>>()));
};

/// Puts tensors in order into a structure like the sources.
class GradientFiller final : public TensorVisitor {
 public:
  explicit GradientFiller(std::vector<Tensor> gradients) : gradients_(std::move(gradients)) {}
  void tensor(Tensor& tensor) override { tensor = next(); }

  template <class T>
  GradientsOf<T> fill(const T& sources) {
    if constexpr (std::is_same_v<T, Variable>) {
      return next();
    } else if constexpr (!holds_variables<T>()) {
      T gradients = sources;
      visit_tensors(gradients, *this);
      return gradients;
    } else if constexpr (OptionalLike<T>) {
      return sources.has_value() ? GradientsOf<T>(fill(*sources)) : std::nullopt;
    } else if constexpr (requires { typename GradientsOf<T>::mapped_type; }) {
      GradientsOf<T> gradients;
      for (const auto& [key, value] : sources) gradients.emplace(key, fill(value));
      return gradients;
    } else if constexpr (TupleLike<T>) {
      return fill_elements(sources, std::make_index_sequence<std::tuple_size_v<T>>());
    } else if constexpr (OrderedRange<T>) {
      GradientsOf<T> gradients;
      for (const auto& source : sources) gradients.push_back(fill(source));
      return gradients;
    } else {
      return fill_members(sources, std::make_index_sequence<kNumMembers<T>>());
    }
  }

 private:
  Tensor next() { return std::move(gradients_[next_++]); }
  template <class T, size_t... I>
  GradientsOf<T> fill_elements(const T& sources, std::index_sequence<I...>) {
    return GradientsOf<T>{fill(std::get<I>(sources))...};
  }
  template <class T, size_t... I>
  GradientsOf<T> fill_members(const T& sources, std::index_sequence<I...>) {
    return GradientsOf<T>{fill(member<I>(sources))...};
  }

  std::vector<Tensor> gradients_;
  size_t next_ = 0;
};

/// What gradient() is asked.
struct GradientQuestion {
  std::vector<Tensor> targets;
  std::vector<Tensor> output_gradients;  // one for each target, or none for ones
  std::vector<Source> sources;
  GradientOptions options{};
  bool may_all_be_none = false;
};

Tape* make_tape(TapeOptions options, Location where);
void destroy_tape(Tape* tape);
void watch(Tape* tape, std::span<const Source> sources, Location where);
/// The gradient in each source.
std::vector<Tensor> gradient(Tape* tape, const GradientQuestion& question, Location where);
std::string why_no_gradient(Tape* tape, std::span<const Tensor> targets, const Source& source, Location where);
void stop_recording(Tape* tape, Location where);
void go_on_recording(Tape* tape);
void reset(Tape* tape, Location where);

/// Error: `what` of two structures has other numbers of tensors.
[[noreturn]] void fail_structure(std::string_view what, size_t expected, size_t given, Location where);

}  // namespace detail

/// Records what is computed from the tensors and variables that it watches, from its making on, and gives derivatives of
/// it:
///
///   GradientTape tape;
///   Tensor loss = mean(square(matmul(x, weights) - y));      // reads the Variable `weights`
///   weights -= 0.1f * tape.gradient(loss, weights);
///
/// Trainable variables are watched when they are read; other variables, and tensors, by watch(). The gradient in a
/// variable sums over all its reads while it was watched and recorded, before and after assignments; no derivative passes
/// through an assignment.
///
/// It does the same eager and in a traced function, to the same bits; a tape belongs to the thread, and to the trace,
/// that made it. Tapes may stand side by side and within each other; an outer one records the gradients of an inner
/// one, which makes higher derivatives. What is recorded is decided by the order in which things were done: what was
/// computed before watch() or while recording was stopped is a constant. Calls of an etch::function are recorded too:
/// eager, they run a compiled function that also gives what the derivative needs.
///
/// Targets and sources are a Tensor, a Variable or a vector, array, tuple, pair, optional, map or plain struct of such. A
/// Variable among targets is read. Gradients have the structure of the sources: the same type, where they hold no
/// Variable; else a Tensor in the place of each Variable, and a tuple of its members in the place of a struct.
/// Contributions to a gradient are added from the last op to the first, those of a composite op (softmax) or of a
/// function among themselves first.
class GradientTape {
 public:
  explicit GradientTape(TapeOptions options = {}, Location where = Location::current())
      : tape_(detail::make_tape(options, where)) {}
  ~GradientTape() { detail::destroy_tape(tape_); }
  GradientTape(const GradientTape&) = delete;
  GradientTape& operator=(const GradientTape&) = delete;

  /// Makes tensors and variables sources from here on; of a structure those of floats. Error if there is none.
  template <class T>
  void watch(const T& sources, Location where = Location::current()) {
    detail::watch(tape_, detail::sources_of(sources), where);
  }
  void watch(std::initializer_list<detail::Source> sources, Location where = Location::current()) {
    detail::watch(tape_, {sources.begin(), sources.size()}, where);
  }

  /// The gradient of the targets in each source: the derivative of the sum of all their elements. A source is a watched
  /// tensor or variable, or a tensor that was computed from such; what the targets do not depend on has none, a Tensor
  /// for which defined() is false, or zeros if the options say so. Only floats have gradients.
  ///
  /// A tape that is not persistent stops recording and forgets everything; a persistent one records its gradients too.
  /// Error if it was asked before, if nothing was watched, if a source is unknown, if a target is not of floats, and if
  /// there is no gradient at all, which says why.
  template <class T = std::vector<Tensor>, class S>
  [[nodiscard]] detail::GradientsOf<S> gradient(const T& targets, const S& sources, GradientOptions options = {},
                                                Location where = Location::current()) {
    return ask({detail::tensors_of(where, targets), {}, detail::sources_of(sources), options}, sources, where);
  }
  template <class T = std::vector<Tensor>>
  [[nodiscard]] std::vector<Tensor> gradient(const T& targets, std::initializer_list<detail::Source> sources,
                                             GradientOptions options = {}, Location where = Location::current()) {
    return detail::gradient(tape_, {detail::tensors_of(where, targets), {}, sources, options}, where);
  }
  /// The same of the targets' elements weighted by output gradients, one for each target, of its type.
  template <class T = std::vector<Tensor>, class S, class G>
  [[nodiscard]] detail::GradientsOf<S> gradient(const T& targets, const S& sources, const G& output_gradients,
                                                GradientOptions options = {}, Location where = Location::current()) {
    return ask(weighted(targets, output_gradients, detail::sources_of(sources), options, where), sources, where);
  }
  template <class T = std::vector<Tensor>, class G>
  [[nodiscard]] std::vector<Tensor> gradient(const T& targets, std::initializer_list<detail::Source> sources,
                                             const G& output_gradients, GradientOptions options = {},
                                             Location where = Location::current()) {
    return detail::gradient(tape_, weighted(targets, output_gradients, sources, options, where), where);
  }

  /// The derivative of each element of the target in each of the source, of the target's shape followed by the
  /// source's; as many runs of one compiled derivative as the target has elements. The tape must be persistent.
  [[nodiscard]] Tensor jacobian(const Tensor& target, const detail::Source& source, GradientOptions options = {},
                                Location where = Location::current());

  /// The Jacobian of each example by itself, where target and source have their examples along the first axis and no
  /// example of the target depends on another one of the source: of the target's shape followed by the source's without
  /// its first axis. As many runs of one compiled derivative as an example of the target has elements. The tape must be
  /// persistent. Error if the first axes have other extents.
  [[nodiscard]] Tensor batch_jacobian(const Tensor& target, const detail::Source& source, GradientOptions options = {},
                                      Location where = Location::current());

  /// Why the targets have no gradient in a source: the ops that no derivative passes, with their places; or that they
  /// do not depend on it. Empty if there is one. To be asked before gradient(), or of a persistent tape.
  template <class T = std::vector<Tensor>>
  [[nodiscard]] std::string why_no_gradient(const T& targets, const detail::Source& source,
                                            Location where = Location::current()) {
    return detail::why_no_gradient(tape_, detail::tensors_of(where, targets), source, where);
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
  friend struct detail::TapeAccess;
  template <class S>
  detail::GradientsOf<S> ask(const detail::GradientQuestion& question, const S& sources, Location where) {
    return detail::GradientFiller(detail::gradient(tape_, question, where)).fill(sources);
  }
  template <class T, class G>
  static detail::GradientQuestion weighted(const T& targets, const G& output_gradients,
                                           std::vector<detail::Source> sources, GradientOptions options,
                                           Location where) {
    detail::GradientQuestion question{detail::tensors_of(where, targets), detail::tensors_of(where, output_gradients),
                                      std::move(sources), options};
    const size_t expected = question.targets.size(), given = question.output_gradients.size();
    if (given != expected) detail::fail_structure("output gradients", expected, given, where);
    return question;
  }

  detail::Tape* tape_;
};

namespace detail {
struct TapeAccess {
  /// The gradients in the sources, which may all be none.
  template <class S>
  static GradientsOf<S> gradients_if_any(GradientTape& tape, GradientQuestion question, const S& sources,
                                         Location where) {
    question.may_all_be_none = true;
    return tape.ask(question, sources, where);
  }
};
}  // namespace detail

/// A callable like f that returns the value of f and its gradient in the first argument, as a pair. f takes and gives
/// Tensors, Variables or structures of them (GradientTape). It may be a lambda or an etch::function, and the result may be traced,
/// or differentiated again. Errors name the place of this call.
template <class F>
auto value_and_grad(F f, Location where = Location::current()) {
  return [f = std::move(f), where]<class X, class... Rest>(const X& x, const Rest&... rest) {
    GradientTape tape({}, where);
    tape.watch(x, where);
    auto value = std::invoke(f, x, rest...);
    auto gradient = tape.gradient(value, x, {}, where);
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
  const auto gradients = tape.gradient(value, x, weights, {.unconnected = Unconnected::zeros}, where);
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

/// A function of these arguments, and the place of the call that it is given to.
template <class... A>
class CheckedFunction {
 public:
  template <class F>
    requires std::invocable<F&, const A&...>
  CheckedFunction(F&& f, Location where = Location::current())  // NOLINT: converts
      : where_(where), run_([&f, where](const A&... args) { return tensors_of(where, std::invoke(f, args...)); }) {}

  Location where() const { return where_; }
  std::vector<Tensor> operator()(const A&... args) const { return run_(args...); }

 private:
  Location where_;
  std::function<std::vector<Tensor>(const A&...)> run_;
};
}  // namespace detail

/// Compares the gradients of f(args...) with central differences, in every element of every argument of floats, all of
/// f's results weighted differently. Returns the largest error, relative to the larger of 1 and the derivative; Error
/// that names the argument and the element if it is above the tolerance. Arguments should be of f64, at points where f
/// is smooth.
template <class... A>
double check_gradients(CheckOptions options, std::type_identity_t<detail::CheckedFunction<A...>> f, const A&... args) {
  std::tuple<A...> copies(args...);
  const auto run = [&] { return std::apply(f, std::as_const(copies)); };
  return detail::check_gradients(detail::TensorList::of(copies), run, options, f.where());
}
template <class... A>
double check_gradients(std::type_identity_t<detail::CheckedFunction<A...>> f, const A&... args) {
  std::tuple<A...> copies(args...);
  const auto run = [&] { return std::apply(f, std::as_const(copies)); };
  return detail::check_gradients(detail::TensorList::of(copies), run, {}, f.where());
}

}  // namespace etch
