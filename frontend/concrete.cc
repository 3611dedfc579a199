// Runs of concrete functions.
#include <new>
#include <optional>

#include "absl/cleanup/cleanup.h"
#include "absl/container/fixed_array.h"
#include "compiler/ir/cat.h"
#include "frontend/concrete.h"
#include "frontend/confirmation.h"
#include "frontend/effects.h"
#include "frontend/data/element_walks.h"
#include "frontend/flags.h"
#include "frontend/data/frozen_cells.h"
#include "frontend/trace.h"
#include "runtime/check.h"
#include "runtime/parallel.h"

namespace etch::detail {
namespace {

constexpr size_t kFew = 16;  // inputs or outputs that need no heap

/// A byte range that a tensor takes.
struct Bytes {
  const std::byte* begin;
  const std::byte* end;
  bool overlaps(const Bytes& other) const { return begin < other.end && other.begin < end; }
};

Bytes bytes_of(const TensorImpl& impl) {
  auto* begin = static_cast<const std::byte*>(impl.data);
  return {begin, begin + impl.bytes()};
}

/// The tensor, or one on its elements where the shape is another.
Tensor view(const TensorImpl& impl, const Type& type) {
  return impl.shape == type.shape ? TensorAccess::share(&impl) : alias(impl, type.dtype, type.shape);
}

}  // namespace

/// The variables of one run. Made, it has taken all their tensors at one moment. Those that the run assigns stay locked as
/// long as it stands, so that nobody sees some of them before the others.
class Concrete::Variables {
 public:
  explicit Variables(std::span<const UsedVariable> used)
      : outer_(innermost_), used_(used), read_(used.size()), next_(used.size()) {
    if (const FrozenValues* frozen = FrozenValues::current()) [[unlikely]] {
      for (size_t i = 0; i < used_.size(); ++i) read_[i] = frozen->value(*used_[i].cell, used_[i].is_assigned());
      return;
    }
    for (const UsedVariable& use : used_) use.cell->lock();
    for (size_t i = 0; i < used_.size(); ++i) {
      if (used_[i].is_assigned()) continue;
      read_[i] = used_[i].cell->tensor();
      used_[i].cell->unlock();
    }
    innermost_ = this;
  }
  ~Variables() {
    innermost_ = outer_;
    for (const UsedVariable& use : used_) {
      if (use.is_assigned()) use.cell->unlock();
    }
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

  /// The cells that runs of this thread hold locked.
  static std::vector<const VariableCell*> locked() {
    std::vector<const VariableCell*> cells;
    for (const Variables* run = innermost_; run; run = run->outer_) {
      for (const UsedVariable& use : run->used_) {
        if (use.is_assigned()) cells.push_back(use.cell.get());
      }
    }
    return cells;
  }

  /// Nothing is written over what stands in them before put().
  bool keeps_old = false;

  /// What stood in a variable when the run began.
  const TensorImpl& value(size_t i) const {
    return *TensorAccess::get(used_[i].is_assigned() ? used_[i].cell->tensor() : read_[i]);
  }
  /// The tensor that a variable gets; undefined for one that is written in place.
  Tensor& next(size_t i) { return next_[i]; }
  /// The tensor with a variable's new value.
  const TensorImpl& new_value(size_t i) const { return next_[i].defined() ? *TensorAccess::get(next_[i]) : value(i); }
  /// Puts in what next() holds. The tensors that stood there are freed with this.
  void put() {
    for (size_t i = 0; i < used_.size(); ++i) {
      if (!next_[i].defined()) continue;
      std::swap(used_[i].cell->tensor(), next_[i]);
      drop_packs(TensorAccess::get(next_[i])->buffer);
    }
  }

 private:
  [[gnu::tls_model("initial-exec")]] static constinit thread_local const Variables* innermost_;

  const Variables* const outer_;
  const std::span<const UsedVariable> used_;
  absl::FixedArray<Tensor, kFew> read_, next_;
};

constinit thread_local const Concrete::Variables* Concrete::Variables::innermost_ = nullptr;

std::vector<const VariableCell*> Concrete::locked_cells() { return Variables::locked(); }

void Concrete::gather_inputs(const Call& call, const Variables* variables, const void** inputs) const {
  size_t next = 0;
  for (const TensorImpl* tensor : call.reader.tensors()) {
    if (tensor->kind != TensorImpl::Kind::eager) {
      fail_no_elements(*tensor, cat("calling function ", function), call.where);
    }
    inputs[next++] = tensor->data;
  }
  for (const Capture& capture : trace.captures) inputs[capture.input()] = capture->data;
  if (variables == nullptr) return;
  for (size_t i = 0; i < trace.variables.size(); ++i) {
    if (trace.variables[i].input >= 0) inputs[trace.variables[i].input] = variables->value(i).data;
  }
}

const TensorImpl& Concrete::shared_input(const Call& call, const Variables* variables, const Sharing& sharing) const {
  const auto index = static_cast<size_t>(sharing.index);
  switch (sharing.with) {
    case Sharing::With::argument: return *call.reader.tensors()[index];
    case Sharing::With::capture: return *trace.captures[index].get();
    case Sharing::With::variable: return variables->value(index);
    case Sharing::With::nothing:
    case Sharing::With::result: break;
  }
  ETCH_UNREACHABLE("an output shares no input");
}

void Concrete::gather_holders(const Variables* variables, const Buffer** holders) const {
  std::fill_n(holders, trace.graph.inputs().size(), nullptr);
  // Others may write to memory that is not Etch's own.
  const auto holder = [](const TensorImpl& impl) {
    return impl.buffer.is_allocated() && !impl.is_adopted ? &impl.buffer : nullptr;
  };
  for (const Capture& capture : trace.captures) holders[capture.input()] = holder(*capture.get());
  for (size_t i = 0; variables && i < trace.variables.size(); ++i) {
    // What this call assigns is no more by the next one.
    const UsedVariable& use = trace.variables[i];
    if (use.input >= 0 && !use.is_assigned()) holders[use.input] = holder(variables->value(i));
  }
}

TurnGuard Concrete::launch(const Call& call, const Variables* variables, const void* const* inputs, void** outputs,
                           EffectLog* effects) const {
  const Executable& executable = *compiled.executable;
  RunOptions options = run_options(*call.flags, threads);
  absl::FixedArray<const Buffer*, kFew> holders(executable.packs.empty() || !call.flags->packs ? 0 : trace.graph.inputs().size());
  if (!holders.empty()) {
    gather_holders(variables, holders.data());
    options.holders = holders.data();
  }
  TurnGuard guard;
  if (trace.confirmation) [[unlikely]] {
    guard.limit = trace.confirmation->turns();
    options.guard = &guard;
  }
  options.effects = effects;
  options.mute = effects_are_mute();
  alignas(64) int64_t token = 0;  // nobody asks how many effects there were
  if (trace.token >= 0) outputs[trace.token] = &token;
  try {
    executable.run(inputs, outputs, options);
  } catch (const std::bad_alloc&) {
    fail_allocation(call.where, executable.memory_bytes(options), cat("the temporaries of function ", function));
  }
  for (size_t i = 0; i < output_types.size(); ++i) {
    const Output& output = executable.outputs[i];
    if (output.same_as == Output::SameAs::nothing) [[likely]] continue;
    const void* source = output.same_as == Output::SameAs::input ? inputs[output.index] : outputs[output.index];
    if (source == nullptr || outputs[i] == nullptr || outputs[i] == source) continue;
    copy_bytes(outputs[i], source, output_types[i].bytes(), options.threads);
  }
  return guard;
}

bool Concrete::wants_audit(const Call& call) const {
  return trace.confirmation && trace.confirmation->wants_audit(*call.flags);
}

void Concrete::audit(const Call& call, Variables* variables, const TurnGuard& guard, std::span<const Tensor> results,
                     const EffectLog& effects) const {
  if (!trace.confirmation->wants_audit(*call.flags, guard.turns)) return;
  const auto given = [](const Type& type, const TensorImpl& impl) { return GivenResult{&type, impl.data}; };
  std::vector<GivenResult> tensors;
  for (size_t i = 0; i < results.size(); ++i) tensors.push_back(given(output_types[i], *TensorAccess::get(results[i])));
  std::vector<AuditedVariable> audited;
  for (size_t i = 0; variables && i < trace.variables.size(); ++i) {
    const UsedVariable& use = trace.variables[i];
    AuditedVariable& variable = audited.emplace_back(&use, TensorAccess::share(&variables->value(i)), GivenResult());
    if (use.is_assigned()) variable.after = given(use.cell->type(), variables->new_value(i));
  }
  trace.confirmation->audit(call, tensors, audited, trace.result_key, effects);
}

void Concrete::place_variables(const Call& call, Variables& variables, std::span<const void* const> inputs, const Tensor* results,
                               void** outputs) const {
  // First those that take a tensor which is there: nobody may write over that any more.
  for (size_t i = 0; i < trace.variables.size(); ++i) {
    const int32_t output = trace.variables[i].output;
    if (output < 0 || !trace.sharing[output].is_with_input()) continue;
    variables.next(i) = view(shared_input(call, &variables, trace.sharing[output]), output_types[output]);
    outputs[output] = nullptr;
  }
  absl::FixedArray<size_t, kFew> variable_of(output_types.size() - num_results());  // per output behind the results
  for (size_t i = 0; i < trace.variables.size(); ++i) {
    const UsedVariable& use = trace.variables[i];
    if (!use.is_assigned()) continue;
    variable_of[use.output - num_results()] = i;
    const Sharing& sharing = trace.sharing[use.output];
    if (sharing.is_with_input()) continue;
    const Type& type = output_types[use.output];
    const auto owner = static_cast<size_t>(sharing.index);
    if (sharing.with == Sharing::With::result && (results || owner >= num_results())) {
      const TensorImpl& shared = owner < num_results() ? *TensorAccess::get(results[owner])
                                                       : variables.new_value(variable_of[owner - num_results()]);
      variables.next(i) = view(shared, type);
      outputs[use.output] = outputs[owner];
      continue;
    }
    if (use.in_place && !variables.keeps_old && is_exclusive(variables.value(i))) {
      outputs[use.output] = variables.value(i).data;
      drop_packs(variables.value(i).buffer);
      continue;
    }
    variables.next(i) = allocate_legal(type, call.where, function, inputs);
    outputs[use.output] = TensorAccess::get(variables.next(i))->data;
  }
}

void Concrete::run(const Call& call, Tensor* results, const Record* record) const {
  repeat_while_exceeded(call, [&](Variables* variables, EffectLog* effects) {
    return run_with(call, variables, results, record, effects);
  });
}

template <class RunOnce>
void Concrete::repeat_while_exceeded(const Call& call, RunOnce run_once) const {
  EffectLog done;
  const bool may_repeat = trace.confirmation && (trace.confirmation->turns() != TurnGuard::kNoLimit || wants_audit(call));
  EffectLog* const effects = may_repeat ? &done : nullptr;
  std::optional<ElementWalks> walks;
  if (trace.token >= 0) walks.emplace();
  try {
    while (true) {
      TurnGuard guard;
      if (trace.variables.empty()) [[likely]] {
        guard = run_once(nullptr, effects);
      } else {
        Variables variables(trace.variables);
        guard = run_once(&variables, effects);
      }
      if (!guard.exceeded) [[likely]] return;
      trace.confirmation->confirm_more(call, guard.limit);  // which takes its time, without the locks of the variables
    }
  } catch (const std::bad_alloc&) {
    fail(call.where, cat("calling function ", function, ": out of memory"));
  } catch (const Error& error) {
    const std::string progress = walks ? walks->progress() : std::string();
    if (progress.empty()) throw;
    throw Error(error.what() + progress);
  }
}

std::vector<Tensor> Concrete::input_tensors(const Call& call, const Variables* variables) const {
  std::vector<Tensor> inputs(trace.graph.inputs().size());
  size_t next = 0;
  for (const TensorImpl* tensor : call.reader.tensors()) inputs[next++] = TensorAccess::share(tensor);
  for (const Capture& capture : trace.captures) inputs[capture.input()] = TensorAccess::share(capture.get());
  for (size_t i = 0; i < trace.variables.size(); ++i) {
    const int32_t input = trace.variables[i].input;
    if (input >= 0) inputs[input] = TensorAccess::share(&variables->value(i));
  }
  return inputs;
}

absl::InlinedVector<const void*, 8> Concrete::operands_beside(const void* const* inputs) const {
  absl::InlinedVector<const void*, 8> operands;
  for (int32_t input : inputs_beside) operands.push_back(inputs[input]);
  return operands;
}

TurnGuard Concrete::run_with(const Call& call, Variables* variables, Tensor* results, const Record* record,
                             EffectLog* effects) const {
  const bool audits = effects && wants_audit(call);
  if (variables) variables->keeps_old = audits;
  absl::FixedArray<const void*, kFew> inputs(trace.graph.inputs().size());
  gather_inputs(call, variables, inputs.data());
  std::vector<Tensor> recorded;  // holds them, so nothing is written over them
  if (record) [[unlikely]] recorded = input_tensors(call, variables);
  const absl::InlinedVector<const void*, 8> beside = operands_beside(inputs.data());
  absl::FixedArray<void*, kFew> outputs(output_types.size());
  for (size_t i = 0; i < num_results(); ++i) {
    const Sharing& sharing = trace.sharing[i];
    const Type& type = output_types[i];
    if (sharing.with == Sharing::With::nothing) {
      results[i] = allocate_legal(type, call.where, function, beside);
      outputs[i] = TensorAccess::get(results[i])->data;
    } else if (sharing.with == Sharing::With::result) {
      results[i] = view(*TensorAccess::get(results[sharing.index]), type);
      outputs[i] = outputs[sharing.index];
    } else {
      const TensorImpl& shared = shared_input(call, variables, sharing);
      const bool is_read = sharing.with == Sharing::With::variable;  // a tensor of its own, as each read gives
      results[i] = is_read ? alias(shared, type.dtype, type.shape) : view(shared, type);
      outputs[i] = nullptr;
    }
  }
  if (variables) place_variables(call, *variables, beside, results, outputs.data());
  const TurnGuard guard = launch(call, variables, inputs.data(), outputs.data(), effects);
  if (guard.exceeded) [[unlikely]] return guard;
  if (audits) [[unlikely]] audit(call, variables, guard, {results, num_results()}, *effects);
  if (record) [[unlikely]] (*record)(recorded);
  if (variables) variables->put();
  return guard;
}

void Concrete::check_output(const Call& call, const Variables* variables, std::span<Tensor* const> outputs,
                            size_t i) const {
  const auto refuse = [&](const std::string& message) {
    fail(call.where, cat("call_into of function ", function, ": output ", i, " ", message));
  };
  const TensorImpl* out = TensorAccess::get(*outputs[i]);
  const Type& type = output_types[i];
  if (out == nullptr || out->kind != TensorImpl::Kind::eager) {
    refuse(cat("holds no elements; make it with zeros(shape, dtype) for ", to_string(type)));
  }
  if (out->type() != type) refuse(cat("is ", to_string(out->type()), ", but the result is ", to_string(type)));
  if (out->is_const) refuse("stands on const memory, which cannot be written; make it with zeros(shape, dtype)");
  const Bytes bytes = bytes_of(*out);
  for (size_t j = 0; j < i; ++j) {
    if (bytes.overlaps(bytes_of(*TensorAccess::get(*outputs[j])))) {
      refuse(cat("overlaps output ", j, " in memory; give each its own tensor"));
    }
  }
  const size_t num_given = call.reader.tensors().size();
  for (size_t j = 0; j < num_given; ++j) {
    if (bytes.overlaps(bytes_of(*call.reader.tensors()[j]))) {
      refuse(cat("overlaps input tensor ", j, " in memory; write to another tensor and swap the two"));
    }
  }
  for (const Capture& capture : trace.captures) {
    if (bytes.overlaps(bytes_of(*capture.get()))) {
      refuse("overlaps a captured tensor in memory; write to another tensor");
    }
  }
  for (size_t j = 0; variables && j < trace.variables.size(); ++j) {
    if (bytes.overlaps(bytes_of(variables->value(j)))) {
      refuse(cat("overlaps the value of ", description(*trace.variables[j].cell), " in memory; write to another tensor"));
    }
  }
  if (is_held_elsewhere(*out)) {
    refuse(cat("shares its memory with another tensor, which would change with it; write to a tensor that nothing else"
               " holds, such as zeros(shape, dtype) for ", to_string(type)));
  }
}

void Concrete::run_into(const Call& call, const Destinations& outputs) const {
  repeat_while_exceeded(call, [&](Variables* variables, EffectLog* effects) {
    return run_into_with(call, variables, outputs, effects);
  });
}

TurnGuard Concrete::run_into_with(const Call& call, Variables* variables, const Destinations& outputs,
                                  EffectLog* effects) const {
  if (outputs.count() != num_results()) {
    fail(call.where, cat("call_into of function ", function, ": ", outputs.count(),
                         " output tensors are given, but it has ", num_results()));
  }
  const bool audits = effects && wants_audit(call);
  if (variables) variables->keeps_old = audits;
  absl::FixedArray<const void*, kFew> inputs(trace.graph.inputs().size());
  gather_inputs(call, variables, inputs.data());
  absl::FixedArray<void*, kFew> pointers(output_types.size());
  for (size_t i = 0; i < num_results(); ++i) {
    check_output(call, variables, outputs.tensors(), i);
    pointers[i] = TensorAccess::get(*outputs.tensors()[i])->data;
  }
  const auto drop = [&] {
    for (const Tensor* output : outputs.tensors()) drop_packs(TensorAccess::get(*output)->buffer);
  };
  drop();
  const absl::Cleanup drop_again = drop;  // whoever asked meanwhile packed what was about to change
  if (variables) place_variables(call, *variables, operands_beside(inputs.data()), nullptr, pointers.data());
  const TurnGuard guard = launch(call, variables, inputs.data(), pointers.data(), effects);
  if (guard.exceeded) [[unlikely]] return guard;
  if (audits) [[unlikely]] {
    std::vector<Tensor> results;
    for (const Tensor* output : outputs.tensors()) results.push_back(*output);
    audit(call, variables, guard, results, *effects);
  }
  if (variables) variables->put();
  return guard;
}

}  // namespace etch::detail
