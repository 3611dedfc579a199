// What stands behind a Tensor's handle.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/graph.h"
#include "etch/buffer.h"
#include "etch/tensor.h"

namespace etch::detail {

/// A tensor: elements in memory, a value of a trace, or a type alone. Counted by reference; small elements stand in the
/// same allocation, right behind it.
struct TensorImpl {
  enum class Kind : uint8_t { eager, traced, spec };

  std::atomic<int32_t> references{1};
  std::atomic<int32_t> captures{0};  // how many of the references are captures of functions
  Kind kind = Kind::eager;
  DType dtype = DType::f32;
  Shape shape;

  // eager
  void* data = nullptr;
  Buffer buffer;                // holds the elements, unless they stand behind this or behind `owner`
  TensorImpl* owner = nullptr;  // the tensor whose allocation holds the elements
  bool is_const = false;        // the elements are const memory of the user
  bool is_adopted = false;      // the user gave the buffer and kept a handle to it

  uint64_t trace = 0;  // that it is a value of; of an eager tensor the one in which it was made, or 0

  // traced
  Value value;
  std::optional<Op> op;  // that made it, unless it is an argument

  Location where;  // in the user's code, eager or traced

  mutable std::atomic<uint64_t> number{0};  // unlike that of any other tensor, once tapes met it

  Type type() const { return {dtype, shape}; }
  int64_t bytes() const { return shape.product() * size_of(dtype); }
};

/// The results of an op.
using Tensors = absl::InlinedVector<Tensor, 2>;

struct TensorAccess {
  static TensorImpl* get(const Tensor& tensor) { return tensor.impl_.get(); }
  /// A handle that takes over one reference.
  static Tensor adopt(TensorImpl* impl) { return Tensor(impl); }
  static Tensor share(const TensorImpl* impl) {
    retain(const_cast<TensorImpl*>(impl));
    return Tensor(const_cast<TensorImpl*>(impl));
  }
};

/// The hold of a traced function on an eager tensor that its callable uses.
class Capture {
 public:
  /// @param input its number among the inputs of the function's graph.
  Capture(const TensorImpl& impl, int32_t input) : tensor_(TensorAccess::share(&impl)), input_(input) { count(1); }
  Capture(Capture&&) noexcept = default;
  Capture& operator=(Capture&& other) noexcept {
    std::swap(tensor_, other.tensor_);
    std::swap(input_, other.input_);
    return *this;
  }
  ~Capture() {
    if (tensor_.defined()) count(-1);
  }
  const TensorImpl* get() const { return TensorAccess::get(tensor_); }
  const TensorImpl* operator->() const { return get(); }
  int32_t input() const { return input_; }

 private:
  void count(int32_t n) { TensorAccess::get(tensor_)->captures.fetch_add(n, std::memory_order_relaxed); }
  Tensor tensor_;
  int32_t input_;
};

/// True if the elements are Etch's own memory and nobody holds them but the one handle to the tensor, no function either.
/// Whoever has that handle may write them.
bool is_exclusive(const TensorImpl& impl);

/// True if the elements belong to another tensor, or to a Buffer of the user's, as well. Captures of functions do not
/// count: a function follows the elements of what it captured.
bool is_held_elsewhere(const TensorImpl& impl);

/// What is wrong with a handle to nothing, after the words for it.
inline constexpr std::string_view kHoldsNothing =
    "holds nothing: it was made by default or moved from; assign one first";

inline constexpr int64_t kLongOperand = 4096;

/// The tensor behind a handle; Error if it holds nothing.
TensorImpl& impl_of(const Tensor& tensor, Location where);

/// A new eager tensor with uninitialised elements. Error if the shape is too large or memory is short; `what` names
/// what it is for.
Tensor allocate(DType dtype, const Shape& shape, Location where, std::string_view what);
/// The same for a type that is known to be legal, such as that of a result of an op on these elements. Where a large result begins
/// depends on where they do, so operands of less than kLongOperand bytes, which its loop seldom meets, should not be among them.
Tensor allocate_legal(const Type& type, Location where, std::string_view what, std::span<const void* const> operands = {});
/// A tensor on the elements of another, with as many elements.
Tensor alias(const TensorImpl& of, DType dtype, const Shape& shape);
/// A tensor that is a dtype and a shape only.
Tensor make_spec(DType dtype, const Shape& shape);
Tensor make_traced(uint64_t trace, Value value, const Type& type, std::optional<Op> op,
                   Location where);

/// The bits of a number in a dtype. Error if the dtype cannot hold it, which is that of the tensor beside it or, with the
/// name of an op, the one that the user asked this op for.
uint64_t number_bits(const Number& number, DType dtype, Location where, std::string_view op = {});
/// The number as C++ prints it.
std::string number_text(const Number& number);

/// Error, which names the op, unless the dtype is one.
void check_dtype(DType dtype, std::string_view op, Location where);

/// Error, which names the op, if a tensor of this type cannot be: an extent is negative or it is too large.
void check_type(const Type& type, std::string_view op, Location where);

/// `demo.cc:12: `, or nothing for an unknown place. Only the file's last part, so that messages do not depend on the
/// build.
std::string at(Location where);
/// Throws Error with the place before the message.
[[noreturn]] void fail(Location where, const std::string& message);
/// Throws Error for memory that could not be had.
[[noreturn]] void fail_allocation(Location where, int64_t bytes, std::string_view what);

}  // namespace etch::detail
