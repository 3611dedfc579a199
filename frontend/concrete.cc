// Runs of concrete functions.
#include <new>

#include "absl/container/fixed_array.h"
#include "compiler/ir/cat.h"
#include "frontend/flags.h"
#include "frontend/concrete.h"
#include "frontend/trace.h"
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

const TensorImpl& Concrete::input(const Call& call, size_t i) const {
  const size_t num_given = call.reader.tensors().size();
  return i < num_given ? *call.reader.tensors()[i] : *trace.captures[i - num_given].get();
}

void Concrete::gather_inputs(const Call& call, const void** inputs) const {
  for (const TensorImpl* tensor : call.reader.tensors()) {
    if (tensor->kind != TensorImpl::Kind::eager) {
      fail_no_elements(*tensor, cat("calling function ", function), call.where);
    }
    *inputs++ = tensor->data;
  }
  for (const Capture& capture : trace.captures) *inputs++ = capture->data;
}

void Concrete::launch(const Call& call, const void* const* inputs, void* const* outputs) const {
  const Executable& executable = *compiled.executable;
  const RunOptions options = run_options(*call.flags, threads);
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
}

void Concrete::run(const Call& call, Tensor* results) const {
  absl::FixedArray<const void*, kFew> inputs(call.reader.tensors().size() + trace.captures.size());
  gather_inputs(call, inputs.data());
  const size_t n = output_types.size();
  absl::FixedArray<void*, kFew> outputs(n);
  for (size_t i = 0; i < n; ++i) {
    const Sharing& sharing = trace.sharing[i];
    const Type& type = output_types[i];
    const auto index = static_cast<size_t>(sharing.index);
    switch (sharing.with) {
      case Sharing::With::nothing:
        results[i] = allocate_legal(type, call.where, function);
        outputs[i] = TensorAccess::get(results[i])->data;
        break;
      case Sharing::With::input:
        results[i] = view(input(call, index), type);
        outputs[i] = nullptr;
        break;
      case Sharing::With::result:
        results[i] = view(*TensorAccess::get(results[index]), type);
        outputs[i] = outputs[index];
        break;
    }
  }
  launch(call, inputs.data(), outputs.data());
}

void Concrete::check_output(const Call& call, std::span<Tensor* const> outputs, size_t i) const {
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
  if (is_held_elsewhere(*out)) {
    refuse(cat("shares its memory with another tensor, which would change with it; write to a tensor that nothing else"
               " holds, such as zeros(shape, dtype) for ", to_string(type)));
  }
}

void Concrete::run_into(const Call& call, const Destinations& outputs) const {
  const size_t n = output_types.size();
  if (outputs.count() != n) {
    fail(call.where,
         cat("call_into of function ", function, ": ", outputs.count(), " output tensors are given, but it has ", n));
  }
  absl::FixedArray<const void*, kFew> inputs(call.reader.tensors().size() + trace.captures.size());
  gather_inputs(call, inputs.data());
  absl::FixedArray<void*, kFew> pointers(n);
  for (size_t i = 0; i < n; ++i) {
    check_output(call, outputs.tensors(), i);
    pointers[i] = TensorAccess::get(*outputs.tensors()[i])->data;
  }
  launch(call, inputs.data(), pointers.data());
}

}  // namespace etch::detail
