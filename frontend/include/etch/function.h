// etch::function: wraps a callable over tensors so that it is traced once per signature, compiled and run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/options.h"
#include "etch/ref.h"
#include "etch/tensor.h"
#include "etch/values.h"

namespace [[gnu::visibility("default")]] etch {

/// The dtype and shape of a tensor argument, in place of a tensor, for concrete() and explain().
struct TensorSpec {
  DType dtype = DType::f32;
  Shape shape;

  /// A stand-in that may only be described and traced with.
  operator Tensor() const;  // NOLINT: converts
};

/// What a function does when a call has a signature that it was not traced for yet, after its first trace.
enum class Retrace : uint8_t {
  allow,   // trace
  warn,    // trace; warn once, when 5 of 10 calls did, naming what changes
  forbid,  // Error that names what changed
};

struct FunctionOptions {
  std::string name{};                    // in errors, reports and dumps; by default file:line of etch::function
  bool fuse = true;                      // false: each op is a kernel of its own, as in eager mode
  bool simplify = true;                  // false: only the passes that lowering needs
  bool fast_math = false;                // lets the compiler reassociate: other bits, maybe faster
  int threads = 0;                       // that may work on one call; 0: the flag `threads`
  Retrace on_retrace = Retrace::warn;
  int64_t max_entries = 1024;            // concrete functions kept; the one used longest ago goes first
  int64_t max_bytes = int64_t{256} << 20;  // of all of them: graphs, schedules and code tables
  bool trace_twice = false;              // debug: trace again and compare; an Error if the callable behaved differently
  bool check_captures = false;           // debug: trace again at every call; an Error that names the place of a captured
                                         // tensor or value that is another one now
  bool control_flow = true;              // false: `if` and loops on traced tensors are an Error
  bool trust_loops = false;              // true: loops on tensors take as many turns as they want, and are not run further
                                         // to confirm that later turns do as earlier ones did
  bool audit = true;                     // false: the first calls of a callable whose control flow is not proved are not
                                         // compared with a plain run of it
};

struct FunctionStats {
  int64_t traces = 0;     // how often the callable was traced
  int64_t compiles = 0;   // traces that were compiled
  int64_t kernels_compiled = 0;  // that went through LLVM; the others were in the kernel cache
  int64_t hits = 0;       // calls that found their concrete function
  int64_t evictions = 0;  // concrete functions dropped by the bounds
  int64_t entries = 0;    // kept now
  int64_t bytes = 0;      // that those take, roughly
  double trace_ms = 0;
  double compile_ms = 0;
  int64_t runs = 0;       // of the callable in those traces: more than one each where it tests tensors
  int64_t paths = 0;      // different ways that they found through it, at most INT64_MAX
  int64_t turns = 0;      // up to which its loops were checked
  int64_t audits = 0;     // calls of one signature that were compared with plain runs of the callable
};

template <class Sig>
class Function;

namespace detail {

class Concrete;
class FunctionCore;
class TraceSession;
struct Flags;

// Both count their references.
void retain(const Concrete* concrete) noexcept;
void release(const Concrete* concrete) noexcept;
void retain(FunctionCore* core) noexcept;
void release(FunctionCore* core) noexcept;

/// What the non-template core knows of a function type.
struct FunctionType {
  void (*read)(const void* args, ArgReader& reader);
  void (*trace)(void* callable, const void* args, TraceSession& session);
  void (*destroy)(void* callable);
  void* (*copy)(const void* callable);  // of one that calls change; nullptr where they cannot, or it cannot be copied
};

/// The object that a member function is called on: what can be reached in it is read at each call.
struct ObjectReader {
  const void* object = nullptr;
  void (*read)(const void* object, ArgReader& reader) = nullptr;
};

/// One call: its arguments, read, its place, and the flags that hold for it.
struct Call {
  const void* args = nullptr;  // the tuple that FunctionType takes
  const Flags* flags = nullptr;
  Location where;
  mutable ArgReader reader;  // it reads again where the trace makes variables
};

/// The results of one run: the tensors in order, and the rest of the result's structure.
class Results final : public TensorVisitor {
 public:
  Results(Ref<const Concrete> concrete, std::vector<Tensor> tensors)
      : concrete_(std::move(concrete)), tensors_(std::move(tensors)) {}
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;
  /// The result of the trace with its tensors taken out.
  const void* structure() const;
  void tensor(Tensor& tensor) override { tensor = std::move(tensors_[next_++]); }

 private:
  Ref<const Concrete> concrete_;
  std::vector<Tensor> tensors_;
  size_t next_ = 0;
};

/// Collects the output tensors of call_into.
class Destinations final : public TensorVisitor {
 public:
  void tensor(Tensor& tensor) override {
    if (count_ < kMax) tensors_[count_] = &tensor;
    ++count_;
  }
  static constexpr size_t kMax = 64;
  std::span<Tensor* const> tensors() const { return {tensors_, count_ < kMax ? count_ : kMax}; }
  size_t count() const { return count_; }

 private:
  Tensor* tensors_[kMax];
  size_t count_ = 0;
};

/// The core of a function: its callable, options and cache. Error if the options are out of range; the callable is
/// owned, also then.
Ref<FunctionCore> make_core(const FunctionType& type, void* callable, const ObjectReader& object,
                            FunctionOptions options, Location where);
/// Throws the Error for a callable or an object that is null.
[[noreturn]] void fail_null(std::string_view what, Location where);

/// The flags in force on this thread.
const Flags& current_flags();
/// The same for a call that runs compiled code; nullptr if it runs the callable as it is: inside a trace, where it is
/// inlined, or when functions run eagerly.
const Flags* flags_to_run_compiled();

// What functions do, by their cores; Error for none.
Tensor call_one(FunctionCore* core, const Call& call);
Results call_any(FunctionCore* core, const Call& call);
void call_into(FunctionCore* core, const Call& call, const Destinations& outputs);
Ref<const Concrete> concrete_of(FunctionCore* core, const Call& call);
std::string explain_call(FunctionCore* core, const Call& call);
FunctionStats stats_of(FunctionCore* core, Location where);
const std::string& name_of(FunctionCore* core, Location where);
/// Runs a concrete function on arguments of its own signature; Error for another one.
Results call_concrete(const Ref<const Concrete>& concrete, const Call& call);

/// Names the function's ops while it is inlined into another trace and stops endless recursion.
class InlineScope {
 public:
  InlineScope(FunctionCore* core, Location where);
  ~InlineScope();
  InlineScope(const InlineScope&) = delete;
  InlineScope& operator=(const InlineScope&) = delete;
  void* callable() const { return callable_; }

 private:
  void* callable_;
  alignas(8) std::byte scope_[64];
};

/// One run of a callable that records: hands out the traced arguments and takes the results.
class TraceSession {
 public:
  virtual TensorVisitor& arguments() = 0;
  /// To be called when the arguments are handed out.
  virtual void bind_object() = 0;
  virtual TensorVisitor& results() = 0;
  /// The rest of the result, kept as long as the concrete function.
  virtual void keep(void* structure, void (*destroy)(void*), const ArgReader& reader) = 0;

 protected:
  ~TraceSession() = default;
};

// R(A...) of a callable with one operator().
template <class F>
struct SignatureOf;
template <class R, class... A>
struct SignatureOf<R (*)(A...)> {
  using type = R(A...);
};
#define ETCH_MEMBER_SIGNATURE(qualifiers)             \
  template <class C, class R, class... A>             \
  struct SignatureOf<R (C::*)(A...) qualifiers> {     \
    using type = R(A...);                             \
  };
ETCH_MEMBER_SIGNATURE()
ETCH_MEMBER_SIGNATURE(const)
ETCH_MEMBER_SIGNATURE(noexcept)
ETCH_MEMBER_SIGNATURE(const noexcept)
ETCH_MEMBER_SIGNATURE(&)
ETCH_MEMBER_SIGNATURE(const&)
#undef ETCH_MEMBER_SIGNATURE
template <class R, class... A>
struct SignatureOf<R (*)(A...) noexcept> {
  using type = R(A...);
};
template <class Sig>
struct SignatureOf<Function<Sig>> {
  using type = Sig;
};

template <class F>
consteval auto signature_of() {
  if constexpr (requires { typename SignatureOf<F>::type; }) {
    return SignatureOf<F>();
  } else if constexpr (requires { &F::operator(); }) {
    return SignatureOf<decltype(&F::operator())>();
  } else {
    static_assert(kUnreadable<F>,
                  "etch: the callable is generic, overloaded or none; name its signature, as in "
                  "etch::function<Tensor(Tensor)>(f)");
  }
}

/// Error for a null function pointer, an empty std::function and the like.
template <class F>
void check_callable(const F& f, Location where) {
  if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F>) {
    if (f == nullptr) fail_null("the function pointer", where);
  } else if constexpr (requires { f.operator bool(); }) {
    if (!f.operator bool()) fail_null("the callable", where);
  }
}

template <class A>
consteval bool is_input() {
  return !std::is_reference_v<A> || std::is_const_v<std::remove_reference_t<A>> || std::is_rvalue_reference_v<A>;
}

/// A call of a function that takes A...
template <class... A>
struct TypedCall : Call {
  using Args = std::tuple<const std::remove_cvref_t<A>&...>;

  TypedCall(const ObjectReader& object, const Flags& in_force, Location place, const std::remove_cvref_t<A>&... values)
      : pack(values...) {
    args = &pack;
    flags = &in_force;
    where = place;
    read_elements(pack, reader, std::index_sequence_for<A...>());
    if (object.read) [[unlikely]] object.read(object.object, reader);
  }

  Args pack;
};

template <class Sig, class F>
struct Typed;

/// The typed half of a function: reads arguments and calls the callable.
template <class R, class... A, class F>
struct Typed<R(A...), F> {
  using Args = TypedCall<A...>::Args;
  using Result = std::remove_cvref_t<R>;

  static void read_args(const void* args, ArgReader& reader) {
    read_elements(*static_cast<const Args*>(args), reader, std::index_sequence_for<A...>());
  }

  static void trace(void* callable, const void* args, TraceSession& session) {
    std::tuple<std::remove_cvref_t<A>...> copies(*static_cast<const Args*>(args));
    visit_tensors(copies, session.arguments());
    session.bind_object();
    F& f = *static_cast<F*>(callable);
    if constexpr (std::is_void_v<R>) {
      std::apply([&](auto&... copy) { f(static_cast<A&&>(copy)...); }, copies);
    } else {
      Result* result =
          new Result(std::apply([&](auto&... copy) -> Result { return f(static_cast<A&&>(copy)...); }, copies));
      ArgReader reader;
      try {
        read(*result, reader);
        visit_tensors(*result, session.results());
      } catch (...) {
        delete result;
        throw;
      }
      session.keep(result, [](void* structure) { delete static_cast<Result*>(structure); }, reader);
    }
  }

  static R call_inline(void* callable, const std::remove_cvref_t<A>&... args) {
    F& f = *static_cast<F*>(callable);
    return f(pass<A>(args)...);
  }

  static constexpr bool kChangesAndCopies = std::is_copy_constructible_v<F> && !std::is_invocable_v<const F&, A...>;
  static void* copy(const void* callable) {
    if constexpr (kChangesAndCopies) return new F(*static_cast<const F*>(callable));
    return nullptr;
  }

  static constexpr FunctionType kType{read_args, trace, [](void* callable) { delete static_cast<F*>(callable); },
                                      kChangesAndCopies ? copy : nullptr};

 private:
  template <class P>
  static decltype(auto) pass(const std::remove_cvref_t<P>& arg) {
    if constexpr (std::is_lvalue_reference_v<P>) {
      return (arg);
    } else {
      return std::remove_cvref_t<P>(arg);
    }
  }
};

}  // namespace detail

/// One trace of a function, compiled: the signature is fixed. Shared like a pointer, and callable from many threads.
class ConcreteFunctionBase {
 public:
  /// The stages that text() prints, in order: `signature`, `trace`, one for each pass that changed the graph, `graph`
  /// (after all passes), `schedule`, `buffers`, `loops`, `llvm`, `optimized_llvm`, `assembly`, `times`.
  std::vector<std::string> stages() const;
  /// The text of one stage; Error that lists the stages for another name.
  std::string text(std::string_view stage) const;

  /// The name of the folder that dumps use.
  std::string name() const;
  /// How many ops the traced graph and the graph after the passes have, without inputs and constants; kernels; results.
  int num_traced_ops() const;
  int num_ops() const;
  int num_kernels() const;
  /// Kernels that went through LLVM for this function; the others were in the kernel cache.
  int num_kernels_compiled() const;
  /// Captured eager tensors: hidden inputs, as the values of variables are.
  int num_captures() const;
  /// Roughly what it keeps in memory.
  int64_t bytes() const;

 protected:
  explicit ConcreteFunctionBase(Ref<const detail::Concrete> concrete) : concrete_(std::move(concrete)) {}
  Ref<const detail::Concrete> concrete_;
};

template <class Sig>
class ConcreteFunction;

template <class R, class... A>
class ConcreteFunction<R(A...)> : public ConcreteFunctionBase {
 public:
  /// Runs it. Error if the arguments, or the members of the object it belongs to, have another signature.
  R operator()(const std::remove_cvref_t<A>&... args, Location where = Location::current()) const {
    const detail::TypedCall<A...> call(object_, detail::current_flags(), where, args...);
    detail::Results results = detail::call_concrete(concrete_, call);
    if constexpr (!std::is_void_v<R>) {
      using Result = std::remove_cvref_t<R>;
      Result result = *static_cast<const Result*>(results.structure());
      detail::visit_tensors(result, results);
      return result;
    }
  }

 private:
  friend class Function<R(A...)>;
  ConcreteFunction(Ref<const detail::Concrete> concrete, const detail::ObjectReader& object)
      : ConcreteFunctionBase(std::move(concrete)), object_(object) {}

  detail::ObjectReader object_;
};

/// A callable that is traced and compiled once per signature; made by etch::function. The signature is the dtype and
/// shape of every tensor in the arguments and the value of everything else. The callable's C++ code runs while tracing
/// only, one trace at a time, so it must not wait for another thread that calls the same function. Copies share the
/// traces. Safe to call from many threads: equal first calls compile once. One that is made by default holds no callable:
/// it takes assignments, and everything else is an Error. Errors of a call name its file and line.
///
/// A result is a tensor of its own, unless the callable returned an argument, a capture or another result as it is or
/// reshaped: then it is that tensor and shares its memory. What the optimiser finds equal is never shared.
///
/// Captures: eager tensors that the callable uses beyond its arguments become hidden inputs. A call follows their
/// elements: it reads them at the time of the call (call_into is what changes them). It does not follow the handle: when a
/// variable that a lambda captured is assigned another tensor later, the function keeps the one it was traced with. Nor
/// does it follow captured C++ values: they are constants of the trace. Pass as an argument what changes, make it a member
/// of the object of a member function, or let an etch::Variable hold it, which is read at each call; `check_captures`, an
/// option and a flag, finds what was replaced.
template <class R, class... A>
class Function<R(A...)> {
  static_assert((detail::is_input<A>() && ...),
                "etch: a function takes its arguments by value or const&; return what it computes");
  using Result = std::remove_cvref_t<R>;

 public:
  /// Holds no callable.
  Function() = default;
  explicit operator bool() const { return static_cast<bool>(core_); }

  /// Runs the function; traces and compiles first if the signature is new.
  Result operator()(const std::remove_cvref_t<A>&... args, Location where = Location::current()) const {
    const detail::Flags* flags = detail::flags_to_run_compiled();
    if (flags == nullptr) [[unlikely]] {
      const detail::InlineScope scope(core_.get(), where);
      return call_inline_(scope.callable(), args...);
    }
    const detail::TypedCall<A...> call(object_, *flags, where, args...);
    if constexpr (std::is_same_v<Result, Tensor>) {
      return detail::call_one(core_.get(), call);
    } else {
      detail::Results results = detail::call_any(core_.get(), call);
      if constexpr (!std::is_void_v<R>) {
        Result result = *static_cast<const Result*>(results.structure());
        detail::visit_tensors(result, results);
        return result;
      }
    }
  }

  /// Runs the function into the memory of existing tensors: `outputs` is a Tensor, std::tie(a, b) or a value like the
  /// result, with defined tensors of the result's dtypes and shapes, at most 64. Once traced it allocates nothing as long
  /// as there are at most 12 argument tensors, 16 inputs with captures, 16 outputs, 192 bytes of signature and 64 MiB of
  /// temporaries. It runs compiled code also where functions run eagerly. Error if an output shares its memory with an
  /// input, a capture, another output or any other tensor: values never change behind a handle that was not named here.
  /// Copies, reshapes and a Buffer that is still held count as other tensors. Captures of other functions do not: they
  /// see the new elements.
  template <class Outputs>
  void call_into(Outputs&& outputs, const std::remove_cvref_t<A>&... args, Location where = Location::current()) const {
    const detail::TypedCall<A...> call(object_, detail::current_flags(), where, args...);
    detail::Destinations destinations;
    detail::visit_tensors(outputs, destinations);
    detail::call_into(core_.get(), call, destinations);
  }

  /// The concrete function for these arguments; a tensor may be a TensorSpec. Traces and compiles it if it is new.
  ConcreteFunction<R(A...)> concrete(const std::remove_cvref_t<A>&... args, Location where = Location::current()) const {
    const detail::TypedCall<A...> call(object_, detail::current_flags(), where, args...);
    return {detail::concrete_of(core_.get(), call), object_};
  }

  /// A report for these arguments: the signature and why it was traced, the trace, what was pruned, what each pass
  /// changed, the schedule with its reasons, the kernels and the times. Traces and compiles if the signature is new.
  std::string explain(const std::remove_cvref_t<A>&... args, Location where = Location::current()) const {
    const detail::TypedCall<A...> call(object_, detail::current_flags(), where, args...);
    return detail::explain_call(core_.get(), call);
  }

  FunctionStats stats(Location where = Location::current()) const { return detail::stats_of(core_.get(), where); }
  const std::string& name(Location where = Location::current()) const { return detail::name_of(core_.get(), where); }

  template <class F>
  static Function make(F f, FunctionOptions options, Location where, const detail::ObjectReader& object = {}) {
    using Typed = detail::Typed<R(A...), F>;
    detail::check_callable(f, where);
    Function function;
    function.object_ = object;
    function.core_ = detail::make_core(Typed::kType, new F(std::move(f)), object, std::move(options), where);
    function.call_inline_ = Typed::call_inline;
    return function;
  }

 private:
  using CallInline = R (*)(void* callable, const std::remove_cvref_t<A>&... args);

  Ref<detail::FunctionCore> core_;
  detail::ObjectReader object_;
  CallInline call_inline_ = nullptr;
};

/// The Function of a lambda, function pointer or functor with one operator(). Error if it is null or an option is out of
/// range.
template <class F>
  requires(!std::is_function_v<F>)
auto function(F f, FunctionOptions options = {}, Location where = Location::current()) {
  using Sig = typename decltype(detail::signature_of<F>())::type;
  return Function<Sig>::make(std::move(f), std::move(options), where);
}

/// The Function of a callable with the named signature, for generic lambdas and bound calls:
/// `etch::function<Tensor(Tensor)>(f)`.
template <class Sig, class F>
  requires(std::is_function_v<Sig>)
Function<Sig> function(F f, FunctionOptions options = {}, Location where = Location::current()) {
  return Function<Sig>::make(std::move(f), std::move(options), where);
}

/// The Function of a member function on an object, which must outlive it: `etch::function(&Model::forward, &model)`.
///
/// The object's members are read at each call as if they were arguments: tensors that are assigned later are followed,
/// and plain values (numbers, strings, enums) and the identity of each Variable belong to the signature, as does which of
/// the tensors are the same one.
/// Members are reached through plain aggregates, arrays, vectors, maps, optionals, pairs and tuples; what cannot be read so
/// (classes with private members or bases, pointers, std::function, C arrays and the aggregates that hold them) stays a
/// capture. A tensor that is used both through a member and through another handle counts as the member.
///
/// The object is never written. Where the member function itself changes a member while it is traced, the change would be
/// lost in later calls: its tensors are put back and an Error names the member. When the function is called inside the
/// trace of another one, its members are captures of that one.
template <class Member, class Object>
  requires(std::is_member_function_pointer_v<Member>)
auto function(Member member, Object* object, FunctionOptions options = {}, Location where = Location::current()) {
  using Sig = typename decltype(detail::signature_of<Member>())::type;
  detail::check_callable(member, where);
  if (object == nullptr) detail::fail_null("the object of the member function", where);
  auto bound = [member, object]<class... A>(A&&... args) -> decltype(auto) {
    return (object->*member)(static_cast<A&&>(args)...);
  };
  return Function<Sig>::make(std::move(bound), std::move(options), where,
                             {object, detail::read_object<std::remove_const_t<Object>>});
}

}  // namespace etch
