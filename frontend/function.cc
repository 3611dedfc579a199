// The non-template half of etch/function.h.
#include "etch/function.h"

#include <memory>

#include "compiler/ir/cat.h"
#include "frontend/flags.h"
#include "frontend/function_core.h"
#include "frontend/recorded_call.h"
#include "frontend/trace.h"

namespace etch {

TensorSpec::operator Tensor() const {
  if (!is_representable(shape, size_of(dtype))) {
    throw Error(cat("TensorSpec: a tensor of ", to_string(Type{dtype, shape}), " cannot be"));
  }
  return detail::make_spec(dtype, shape);
}

namespace detail {
namespace {

FunctionCore& core_of(FunctionCore* core, Location where) {
  if (core == nullptr) {
    fail(where, "the etch::Function is empty: it was made by default or moved from; assign one made by etch::function");
  }
  return *core;
}

void check_options(const FunctionOptions& options, Location where) {
  const auto check = [&](bool holds, std::string_view option, int64_t value, std::string_view range) {
    if (!holds) fail(where, cat("etch::function: option ", option, " is ", value, ", but it may be ", range));
  };
  check(options.threads >= 0 && options.threads <= kMaxThreads, "threads", options.threads, "0 to 1024");
  check(options.max_entries >= 1, "max_entries", options.max_entries, "1 or more");
  check(options.max_bytes >= 0, "max_bytes", options.max_bytes, "0 or more");
  check(options.on_retrace <= Retrace::forbid, "on_retrace", static_cast<int64_t>(options.on_retrace),
        "Retrace::allow, warn or forbid");
}

void run_call(const Concrete& concrete, const Call& call, Tensor* results) {
  if (EagerEvents* log = recording_events()) [[unlikely]] return run_recorded(concrete, call, results, *log);
  concrete.run(call, results);
}

void check_signature(const Concrete& concrete, const Call& call) {
  const std::string_view key(reinterpret_cast<const char*>(call.reader.key().data()), call.reader.key().size());
  if (const FlagGuard* broken = broken_guard(concrete.trace)) {
    fail(call.where, cat("concrete function ", concrete.folder, " was traced when ", change_text(*broken),
                         "; call the function, which traces what is new"));
  }
  if (key == concrete.key) return;
  std::string given;
  for (const TensorImpl* impl : call.reader.tensors()) {
    given += cat(given.empty() ? "" : ", ", impl ? to_string(impl->type()) : "no tensor");
  }
  fail(call.where, cat("concrete function ", concrete.folder, " takes ", signature_text(concrete.leaves),
                       ", but the arguments have another signature, with the tensors ",
                       given.empty() ? "(none)" : given, "; call the function, which traces what is new"));
}

Results run(Ref<const Concrete> concrete, const Call& call) {
  std::vector<Tensor> tensors(concrete->num_results());
  run_call(*concrete, call, tensors.data());
  return Results(std::move(concrete), std::move(tensors));
}

std::string default_name(Location where) {
  std::string name = at(where);
  return name.size() < 2 ? "function" : name.substr(0, name.size() - 2);
}

}  // namespace

void retain(const Concrete* concrete) noexcept { concrete->add_reference(); }
void release(const Concrete* concrete) noexcept { concrete->drop_reference(); }
void retain(FunctionCore* core) noexcept { core->add_reference(); }
void release(FunctionCore* core) noexcept { core->drop_reference(); }

Ref<FunctionCore> make_core(const FunctionType& type, void* callable, const ObjectReader& object,
                            FunctionOptions options, Location where) {
  std::unique_ptr<void, void (*)(void*)> owner(callable, type.destroy);
  check_options(options, where);
  if (options.name.empty()) options.name = default_name(where);
  Ref<FunctionCore> core(new FunctionCore(
      {type, callable, object, options.name, options.control_flow, options.trust_loops, options.audit}, options));
  (void)owner.release();
  return core;
}

void fail_null(std::string_view what, Location where) {
  fail(where, cat("etch::function: ", what, " is null, so there is nothing to call"));
}

const Flags* flags_to_run_compiled() {
  const Flags& flags = current_flags();
  const bool compiled = Trace::current() == nullptr && !flags.eager && !runs_eagerly_everywhere();
  return compiled ? &flags : nullptr;
}

Tensor call_one(FunctionCore* core, const Call& call) {
  const Ref<const Concrete> concrete = core_of(core, call.where).find_to_run(call);
  Tensor result;
  run_call(*concrete, call, &result);
  return result;
}

Results call_any(FunctionCore* core, const Call& call) {
  return run(core_of(core, call.where).find_to_run(call), call);
}

void call_into(FunctionCore* core, const Call& call, const Destinations& outputs) {
  const std::string& name = name_of(core, call.where);
  if (Trace::current()) {
    fail(call.where,
         cat("call_into of function ", name, " cannot be traced: it writes to memory; call the function"));
  }
  if (outputs.count() > Destinations::kMax) {
    fail(call.where, cat("call_into of function ", name, " takes at most ", Destinations::kMax, " output tensors, not ",
                         outputs.count(), "; call the function"));
  }
  const Ref<const Concrete> concrete = core->find_to_run(call);
  if (const EagerEvents* log = recording_events()) check_unrecorded(*concrete, call, *log);
  concrete->run_into(call, outputs);
}

Ref<const Concrete> concrete_of(FunctionCore* core, const Call& call) {
  return core_of(core, call.where).find(call, false);
}

std::string explain_call(FunctionCore* core, const Call& call) { return explain(*concrete_of(core, call)); }

FunctionStats stats_of(FunctionCore* core, Location where) { return core_of(core, where).stats(); }

const std::string& name_of(FunctionCore* core, Location where) { return core_of(core, where).name(); }

Results call_concrete(const Ref<const Concrete>& concrete, const Call& call) {
  check_signature(*concrete, call);
  if (Trace::current() && !concrete->trace.variables.empty()) {
    fail(call.where, cat("concrete function ", concrete->folder, " uses ", description(*concrete->trace.variables[0].cell),
                         ", so a trace cannot run it: that would happen once; call the function, which is traced too"));
  }
  return run(concrete, call);
}

const void* Results::structure() const { return concrete_->trace.structure.get(); }

InlineScope::InlineScope(FunctionCore* core, Location where) : callable_(core_of(core, where).callable().self) {
  constexpr int kMaxDepth = 256;
  static_assert(sizeof(Scope) <= sizeof(scope_) && alignof(Scope) <= 8);
  const Scope* innermost = Scope::innermost();
  if (Trace::current() && innermost && innermost->depth() >= kMaxDepth) {
    fail(where, cat("function ", core->name(), " calls itself ", kMaxDepth,
                    " deep while it is traced; a recursion must end by values that are known then, such as C++"
                    " integers"));
  }
  new (scope_) Scope(core->name());
}

InlineScope::~InlineScope() { reinterpret_cast<Scope*>(scope_)->~Scope(); }

}  // namespace detail

std::vector<std::string> ConcreteFunctionBase::stages() const { return detail::stages_of(*concrete_); }
std::string ConcreteFunctionBase::text(std::string_view stage) const { return detail::text_of(*concrete_, stage); }
std::string ConcreteFunctionBase::name() const { return concrete_->folder; }
int ConcreteFunctionBase::num_kernels() const { return static_cast<int>(concrete_->compiled.executable->launches.size()); }
int ConcreteFunctionBase::num_kernels_compiled() const {
  return static_cast<int>(concrete_->compiled.counts.kernels_compiled);
}
int ConcreteFunctionBase::num_captures() const { return static_cast<int>(concrete_->trace.captures.size()); }
int64_t ConcreteFunctionBase::bytes() const { return concrete_->bytes; }

namespace {

int count_ops(const Graph& graph) {
  int count = 0;
  for (const Node& node : graph.nodes()) count += place(node.op) != Place::input && place(node.op) != Place::splat;
  return count;
}

}  // namespace

int ConcreteFunctionBase::num_traced_ops() const { return count_ops(concrete_->trace.graph); }
int ConcreteFunctionBase::num_ops() const { return count_ops(concrete_->compiled.graph); }

}  // namespace etch
