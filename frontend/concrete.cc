// Runs of concrete functions.
#include <algorithm>
#include <cstring>
#include <new>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/cat.h"
#include "frontend/flags.h"
#include "frontend/function_core.h"
#include "frontend/trace.h"

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

}  // namespace

int Concrete::num_threads() const { return threads > 0 ? threads : detail::num_threads(); }

void Concrete::launch(const void* const* inputs, void* const* outputs) const {
  try {
    compiled.executable->run(inputs, outputs, num_threads());
  } catch (const std::bad_alloc&) {
    fail_allocation({}, compiled.executable->arena_bytes, cat("the temporaries of function ", function));
  }
}

void Concrete::gather_inputs(std::span<const TensorImpl* const> arguments, const void** inputs) const {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i]->kind != TensorImpl::Kind::eager) {
      fail_no_elements(*arguments[i], cat("calling function ", function), {});
    }
    inputs[i] = arguments[i]->data;
  }
  for (size_t i = 0; i < trace.captures.size(); ++i) {
    inputs[arguments.size() + i] = TensorAccess::get(trace.captures[i])->data;
  }
}

void Concrete::run(std::span<const TensorImpl* const> arguments, Tensor* results) const {
  absl::InlinedVector<const void*, kFew> inputs(arguments.size() + trace.captures.size());
  gather_inputs(arguments, inputs.data());
  const Executable& executable = *compiled.executable;
  const size_t n = output_types.size();
  absl::InlinedVector<void*, kFew> outputs(n);
  for (size_t i = 0; i < n; ++i) {
    if (int32_t input = executable.output_is_input[i]; input >= 0) {
      const auto at = static_cast<size_t>(input);
      const TensorImpl* source =
          at < arguments.size() ? arguments[at] : TensorAccess::get(trace.captures[at - arguments.size()]);
      const bool same = source->shape == output_types[i].shape;
      results[i] = same ? TensorAccess::share(source) : alias(*source, output_types[i].dtype, output_types[i].shape);
    } else if (int32_t earlier = executable.output_is_output[i]; earlier >= 0) {
      results[i] = results[earlier].shape() == output_types[i].shape
                       ? results[earlier]
                       : alias(*TensorAccess::get(results[earlier]), output_types[i].dtype, output_types[i].shape);
    } else {
      results[i] = allocate(output_types[i].dtype, output_types[i].shape, {}, function);
      outputs[i] = TensorAccess::get(results[i])->data;
    }
  }
  launch(inputs.data(), outputs.data());
}

void Concrete::run_into(std::span<const TensorImpl* const> arguments, std::span<Tensor* const> outputs,
                        size_t count) const {
  const size_t n = output_types.size();
  if (count != n || outputs.size() != n) {
    fail({}, cat("call_into of function ", function, ": ", count, " output tensors are given, but it has ", n));
  }
  absl::InlinedVector<const void*, kFew> inputs(arguments.size() + trace.captures.size());
  gather_inputs(arguments, inputs.data());
  absl::InlinedVector<void*, kFew> pointers(n);
  const auto fail_output = [&](size_t i, const std::string& message) {
    fail({}, cat("call_into of function ", function, ": output ", i, " ", message));
  };
  for (size_t i = 0; i < n; ++i) {
    const TensorImpl* out = TensorAccess::get(*outputs[i]);
    if (out == nullptr || out->kind != TensorImpl::Kind::eager) {
      fail_output(i, cat("holds no elements; make it with zeros(shape, dtype) for ", to_string(output_types[i])));
    }
    if (out->type() != output_types[i]) {
      fail_output(i, cat("is ", to_string(out->type()), ", but the result is ", to_string(output_types[i])));
    }
    const Bytes bytes = bytes_of(*out);
    for (size_t j = 0; j < i; ++j) {
      if (bytes.overlaps(bytes_of(*TensorAccess::get(*outputs[j])))) {
        fail_output(i, cat("overlaps output ", j, " in memory; give each its own tensor"));
      }
    }
    for (size_t j = 0; j < arguments.size(); ++j) {
      if (bytes.overlaps(bytes_of(*arguments[j]))) {
        fail_output(i, cat("overlaps input tensor ", j, " in memory; write to another tensor and swap the two"));
      }
    }
    for (const Tensor& capture : trace.captures) {
      if (bytes.overlaps(bytes_of(*TensorAccess::get(capture)))) {
        fail_output(i, "overlaps a captured tensor in memory; write to another tensor");
      }
    }
    pointers[i] = out->data;
  }
  launch(inputs.data(), pointers.data());
  const Executable& executable = *compiled.executable;
  for (size_t i = 0; i < n; ++i) {
    const void* source = nullptr;
    if (executable.output_is_input[i] >= 0) source = inputs[executable.output_is_input[i]];
    if (executable.output_is_output[i] >= 0) source = pointers[executable.output_is_output[i]];
    const auto bytes = static_cast<size_t>(output_types[i].bytes());
    if (source != nullptr && bytes > 0) std::memcpy(pointers[i], source, bytes);
  }
}

}  // namespace etch::detail
