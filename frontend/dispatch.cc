// Every op's way: into the trace, or through the cache of one-op functions.
#include "frontend/dispatch.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "absl/container/inlined_vector.h"
#include "compiler/compile.h"
#include "compiler/ir/cat.h"
#include "frontend/eager_cache.h"
#include "frontend/eager_events.h"
#include "frontend/flags.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"
#include "frontend/user_words.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"

namespace etch::detail {
namespace {

constexpr Shape kScalar;

/// An operand with its number, if it is one, turned into bits.
struct Resolved : EventOperand {
  const Shape& shape() const { return impl ? impl->shape : kScalar; }
  const void* data() const { return impl ? impl->data : &bits; }
};
using ResolvedList = absl::InlinedVector<Resolved, 3>;

/// The first tensor among operands, whose dtype the numbers take. The condition of `where` is no model for its values.
const Tensor* model_of(Op op, OperandPointers operands, size_t i) {
  const bool selects = is_table_op(op) && info(op).rule == TypeRule::select;
  for (size_t j = selects && i > 0 ? 1 : 0; j < (selects && i == 0 ? 1 : operands.size()); ++j) {
    if (operands[j]->tensor()) return operands[j]->tensor();
  }
  return nullptr;
}

/// The tensor behind one of the operands.
const TensorImpl& impl_of(Op op, OperandPointers operands, const Tensor& tensor, Location where) {
  if (const TensorImpl* impl = TensorAccess::get(tensor)) return *impl;
  size_t i = 0;
  while (operands[i]->tensor() != &tensor) ++i;
  const std::string which = operands.size() == 1 ? "the tensor" : cat("operand ", i + 1, " of ", operands.size());
  fail_in_op(where, cat(user_name(name(op)), ": ", which, " ", kHoldsNothing));
}

/// Member by member, here and below: a processor waits where it loads at once what was stored in parts.
ResolvedList resolve(Op op, OperandPointers operands, Location where) {
  ResolvedList resolved(operands.size());
  for (size_t i = 0; i < operands.size(); ++i) {
    const Operand& operand = *operands[i];
    if (operand.tensor()) {
      const TensorImpl& impl = impl_of(op, operands, *operand.tensor(), where);
      resolved[i].impl = &impl;
      resolved[i].dtype = impl.dtype;
      continue;
    }
    const Tensor* model = model_of(op, operands, i);
    if (model == nullptr) {
      const std::string number = number_text(operand.number());
      fail(where, cat(user_name(name(op)), " has plain numbers only, such as ", number,
                      ", so there is no tensor whose dtype they take; write Tensor(", number, ")"));
    }
    resolved[i].dtype = impl_of(op, operands, *model, where).dtype;
    resolved[i].bits = number_bits(operand.number(), resolved[i].dtype, where);
  }
  return resolved;
}

Tensors record(Trace& trace, const AnyOp& op, const ResolvedList& operands, std::span<const Type> wanted,
               Location where) {
  absl::InlinedVector<Value, 3> values;
  for (const Resolved& operand : operands) {
    if (operand.impl) {
      values.push_back(trace.value_of(*operand.impl, where));
      continue;
    }
    values.push_back(trace.constant(operand.bits, {operand.dtype, {}}, where));
  }
  return trace.emit(op, values, wanted, where);
}

using OperandTypes = absl::InlinedVector<OperandType, 3>;

OperandTypes types_of(const ResolvedList& operands) {
  OperandTypes types(operands.size());
  for (size_t i = 0; i < types.size(); ++i) {
    types[i].dtype = operands[i].dtype;
    types[i].shape = &operands[i].shape();
  }
  return types;
}

[[noreturn]] void fail_op(const absl::Status& status, Location where) {
  const Scope* scope = Scope::innermost();
  fail(where, cat(scope ? cat("in ", scope->path(), ": ") : "", in_user_words(std::string(status.message()))));
}

template <class T>
T value_or_fail(absl::StatusOr<T> value, Location where) {
  if (!value.ok()) fail_op(value.status(), where);
  return *std::move(value);
}

std::shared_ptr<const EagerKernel> compile_one(const EagerKeyView& key, const Flags& flags, Location where) {
  GraphBuilder builder;
  absl::InlinedVector<Value, 3> values;
  for (const auto& [dtype, shape] : key.operands) {
    values.push_back(value_or_fail(builder.input({dtype, *shape}), where));
  }
  auto kernel = std::make_shared<EagerKernel>(key);
  absl::InlinedVector<Value, 2> outputs;
  for (Value result : value_or_fail(builder.emit_all(key.op, values, key.wanted), where)) {
    outputs.push_back(result);
    kernel->types.push_back(builder.type(result));
    kernel->is_large |= kernel->types.back().bytes() >= memory::kLargeBytes;
  }
  const Graph graph = std::move(builder).finish(outputs);
  CompileOptions options;
  options.fuse = false;
  options.target = *flags.target;
  options.verify = flags.verify;
  kernel->executable = value_or_fail(compile(graph, options), where).executable;
  for (const Output& output : kernel->executable->outputs) {
    kernel->same_as.push_back(output.same_as == Output::SameAs::input ? output.index : -1);
    kernel->computes |= kernel->same_as.back() < 0;
  }
  kernel->is_plain = kernel->types.size() == 1 && kernel->computes && place(key.op) != Place::view;
  return kernel;
}

void compute(const EagerKernel& kernel, const void* const* inputs, void* const* outputs, const RunOptions& options, Location where) {
  try {
    kernel.executable->run(inputs, outputs, options);
  } catch (const std::bad_alloc&) {
    fail_allocation(where, kernel.executable->memory_bytes(options), user_name(name(kernel.key.op())));
  } catch (const Error& error) {
    throw Error(cat(at(where), error.what()));  // of elements: one code serves many places
  }
}

/// Memory for a result of a kernel whose operands have their elements at `inputs`.
Tensor allocate_result(const EagerKernel& kernel, size_t result, std::span<const void* const> inputs, Location where) {
  const std::string_view what = user_name(name(kernel.key.op()));
  if (!kernel.is_large) [[likely]] return allocate_legal(kernel.types[result], where, what);
  const std::span<const OperandType> operands = kernel.key.view().operands;
  absl::InlinedVector<const void*, 4> beside;
  for (size_t i = 0; i < operands.size(); ++i) {
    if (operands[i].shape->product() * size_of(operands[i].dtype) >= kLongOperand) beside.push_back(inputs[i]);
  }
  return allocate_legal(kernel.types[result], where, what, beside);
}

Tensors run(const EagerKernel& kernel, const ResolvedList& operands, const Flags& flags, Location where) {
  const Op op = kernel.key.op();
  Tensors tensors;
  // A reshape is a view by its meaning. What the compiler finds equal otherwise is copied: results are tensors of their own.
  if (place(op) == Place::view) {
    tensors.push_back(alias(*operands[0].impl, kernel.types[0].dtype, kernel.types[0].shape));
    return tensors;
  }
  const RunOptions options = run_options(flags);
  absl::InlinedVector<const void*, 4> inputs(operands.size());
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = operands[i].data();
  absl::InlinedVector<void*, 2> outputs(kernel.types.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    outputs[i] = TensorAccess::get(tensors.emplace_back(allocate_result(kernel, i, inputs, where)))->data;
    if (kernel.same_as[i] < 0) continue;
    copy_bytes(outputs[i], operands[kernel.same_as[i]].data(), kernel.types[i].bytes(), options.threads);
  }
  if (!kernel.computes) return tensors;
  compute(kernel, inputs.data(), outputs.data(), options, where);
  return tensors;
}

void check_eager(const ResolvedList& operands, Op op, Location where) {
  for (const Resolved& operand : operands) {
    if (operand.impl == nullptr || operand.impl->kind == TensorImpl::Kind::eager) continue;
    fail_no_elements(*operand.impl, user_name(name(op)), where);
  }
}

/// The result of an op on a few eager operands that this thread ran lately on such types, if nobody records it; else nothing. Most of
/// what an op on few elements takes is the way to its kernel, so this one stores and counts nothing that it need not.
Tensor apply_again(const AnyOp& op, OperandPointers operands, std::span<const Type> wanted, Location where) {
  constexpr size_t kFew = 4;
  if (operands.size() > kFew || Trace::current() != nullptr || recording_events() != nullptr) return {};
  OperandType types[kFew];
  const void* inputs[kFew];
  uint64_t numbers[kFew];
  for (size_t i = 0; i < operands.size(); ++i) {
    const Tensor* tensor = operands[i]->tensor();
    const bool is_number = tensor == nullptr;
    if (is_number) tensor = model_of(op, operands, i);
    const TensorImpl* impl = tensor == nullptr ? nullptr : TensorAccess::get(*tensor);
    if (impl == nullptr || impl->kind != TensorImpl::Kind::eager) return {};
    types[i] = {impl->dtype, is_number ? &kScalar : &impl->shape};
    inputs[i] = is_number ? &numbers[i] : impl->data;
    if (is_number) numbers[i] = number_bits(operands[i]->number(), impl->dtype, where);
  }
  const Flags& flags = current_flags();
  const LentKernel kernel = LentKernel::recent({op, {types, operands.size()}, wanted, flags.target});
  if (kernel.get() == nullptr || !kernel.get()->is_plain) return {};
  Tensor result = allocate_result(*kernel.get(), 0, {inputs, operands.size()}, where);
  compute(*kernel.get(), inputs, &TensorAccess::get(result)->data, run_options(flags), where);
  return result;
}

}  // namespace

Tensor apply(const AnyOp& op, OperandPointers operands, const Type* wanted, Location where) {
  const std::span<const Type> types(wanted, wanted ? size_t{1} : 0);
  if (Tensor result = apply_again(op, operands, types, Scope::place_of(where)); result.defined()) return result;
  return std::move(apply_all(op, operands, types, where)[0]);
}

Tensors apply_all(const AnyOp& op, OperandPointers operands, std::span<const Type> wanted, Location where) {
  where = Scope::place_of(where);
  const ResolvedList resolved = resolve(op, operands, where);
  if (Trace* trace = Trace::current()) return record(*trace, op, resolved, wanted, where);
  check_eager(resolved, op, where);
  try {
    const Flags& flags = current_flags();
    const OperandTypes types = types_of(resolved);
    const EagerKeyView key{op, types, wanted, flags.target};
    LentKernel kernel(key);
    if (kernel.get() == nullptr) kernel.fill(compile_one(key, flags, where));
    EagerEvents* events = recording_events();
    if (events == nullptr) [[likely]] return run(*kernel.get(), resolved, flags, where);
    Tensors results = run(*kernel.get(), resolved, flags, where);
    events->record(op, resolved, wanted, results, where);
    return results;
  } catch (const std::bad_alloc&) {
    throw Error(cat(at(where), user_name(name(op)), ": out of memory"));
  }
}

Tensor constant(const Type& type, uint64_t bits, std::string_view op, Location where) {
  where = Scope::place_of(where);
  if (Trace* trace = Trace::current()) return std::move(trace->emit(splat_op(bits), {}, {&type, 1}, where)[0]);
  Tensor result = allocate(type.dtype, type.shape, where, op);
  dispatch(type.dtype, [&]<class T> {
    std::fill_n(static_cast<T*>(TensorAccess::get(result)->data), type.size(), from_bits<T>(bits));
  });
  return result;
}

}  // namespace etch::detail
