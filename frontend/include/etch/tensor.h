// Tensor: a handle to elements in memory (eager) or to a value of the graph that is being traced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "etch/dtype.h"
#include "etch/error.h"
#include "etch/number.h"
#include "etch/ref.h"
#include "etch/shape.h"

namespace etch {

class Buffer;
class Operand;
class Slice;
class Tensor;

namespace detail {
struct TensorAccess;
struct TensorImpl;
void retain(TensorImpl* impl) noexcept;
void release(TensorImpl* impl) noexcept;

/// A number or a list of such: what a nested initialiser list is made of. It lives no longer than the full expression.
class Nested {
 public:
  template <Arithmetic T>
  Nested(T value) : number_(value) {}  // NOLINT: numbers convert
  Nested(std::initializer_list<Nested> list) : number_(0), is_list_(true), list_(list) {}

  bool is_list() const { return is_list_; }
  std::initializer_list<Nested> list() const { return list_; }
  const Number& number() const { return number_; }

 private:
  Number number_;
  bool is_list_ = false;
  std::initializer_list<Nested> list_;
};
}  // namespace detail

/// A multi-dimensional array of one element type, immutable through its handles: an op never changes a tensor, it makes
/// a new one. Copies share the elements. A default-made Tensor holds nothing and only takes assignments.
///
/// Outside of a trace tensors are eager: ops run at once. While an etch::function is traced, ops on tensors (also on
/// eager ones made before) are recorded instead, and reading elements is an Error.
class Tensor {
 public:
  Tensor() = default;

  /// A rank-0 tensor of the number's own element type: bool, uint8_t, float and double are themselves, integers of up
  /// to 32 bits are i32, others i64. In a trace it is a constant of the graph.
  template <Arithmetic T>
  Tensor(T value, Location where = Location::current()) : Tensor(Number(value), where) {}  // NOLINT: numbers convert

  /// The elements of a nested list: `Tensor({{1.f, 2.f}, {3.f, 4.f}})` is f32[2,2]. Numbers of several types become the
  /// last of theirs in bool, u8, i32, i64, f32, f64; an integer that f32 or f64 cannot hold exactly is an Error, and so
  /// are lists of different lengths side by side. `Tensor({})` is f32[0].
  Tensor(std::initializer_list<detail::Nested> values, Location where = Location::current());

  /// A rank-1 copy of a vector.
  template <Arithmetic T>
  explicit Tensor(const std::vector<T>& values, Location where = Location::current())
      : Tensor(from(values, Shape{static_cast<int64_t>(values.size())}, where)) {}

  /// A copy of `values` (anything with data() and size(), or std::vector<bool>) in row-major order. Error unless
  /// their number is that of the shape's elements.
  template <class Values>
  static Tensor from(const Values& values, const Shape& shape, Location where = Location::current()) {
    if constexpr (requires { values.flip; } || !requires { values.data(); }) {
      return from_bits(std::vector<bool>(values.begin(), values.end()), shape, where);
    } else {
      using T = std::remove_cvref_t<decltype(*values.data())>;
      static_assert(Element<T>, "etch: tensors hold float, double, int32_t, int64_t, uint8_t or bool");
      return copy_of(dtype_of<T>, values.data(), static_cast<int64_t>(values.size()), shape, where);
    }
  }

  /// A tensor on memory that a Buffer holds, without a copy (see Buffer::wrap for memory of one's own). Error if the
  /// buffer is too small or not aligned to the element type. The owner must not change the elements while tensors that
  /// share them are used.
  static Tensor adopt(Buffer buffer, DType dtype, const Shape& shape, Location where = Location::current());

  DType dtype() const;
  const Shape& shape() const;
  int rank() const { return shape().rank(); }
  /// The number of elements.
  int64_t size() const { return shape().product(); }
  /// True if the handle holds something.
  bool defined() const { return static_cast<bool>(impl_); }
  /// True if the elements are in memory, false for a value of a trace.
  bool is_eager() const;

  /// The element of a tensor of size 1. Error for another size, another element type or inside a trace.
  template <Element T>
  T item(Location where = Location::current()) const {
    return *static_cast<const T*>(read_item(dtype_of<T>, where));
  }
  /// The elements in row-major order, as long as a handle to the tensor lives. Error for another element type or inside
  /// a trace.
  template <Element T>
  std::span<const T> data(Location where = Location::current()) const {
    return {static_cast<const T*>(read_data(dtype_of<T>, where)), static_cast<size_t>(size())};
  }
  /// A copy of the elements in row-major order; errors as data().
  template <Element T>
  std::vector<T> to_vector(Location where = Location::current()) const {
    std::span<const T> elements = data<T>(where);
    return std::vector<T>(elements.begin(), elements.end());
  }
  /// The truth of a tensor of size 1: its element is not 0. Error for another size or inside a trace.
  explicit operator bool() const;

  /// Sub-tensor i along the first axis, without that axis; a negative i counts from the end. Error when out of range.
  Tensor operator[](Index i) const;
  /// One Slice per axis, as NumPy's x[...]; axes that are not named stay whole. See etch::Slice.
  Tensor slice(std::initializer_list<Slice> slices, Location where = Location::current()) const;

  Tensor& operator+=(const Operand& other);
  Tensor& operator-=(const Operand& other);
  Tensor& operator*=(const Operand& other);
  Tensor& operator/=(const Operand& other);

  // Elementwise, with NumPy broadcasting; see the ops of the same meaning in etch/ops.h. Comparisons give bool tensors.
  // && and || evaluate both sides.
  friend Tensor operator+(const Operand& a, const Operand& b);   // add
  friend Tensor operator-(const Operand& a, const Operand& b);   // sub
  friend Tensor operator*(const Operand& a, const Operand& b);   // mul
  friend Tensor operator/(const Operand& a, const Operand& b);   // div
  friend Tensor operator%(const Operand& a, const Operand& b);   // floor_mod
  friend Tensor operator==(const Operand& a, const Operand& b);  // equal
  friend Tensor operator!=(const Operand& a, const Operand& b);  // not_equal
  friend Tensor operator<(const Operand& a, const Operand& b);   // less
  friend Tensor operator<=(const Operand& a, const Operand& b);  // less_equal
  friend Tensor operator>(const Operand& a, const Operand& b);   // greater
  friend Tensor operator>=(const Operand& a, const Operand& b);  // greater_equal
  friend Tensor operator&(const Operand& a, const Operand& b);   // bitwise_and; logical_and of bool
  friend Tensor operator|(const Operand& a, const Operand& b);   // bitwise_or; logical_or of bool
  friend Tensor operator^(const Operand& a, const Operand& b);   // bitwise_xor; logical_xor of bool
  friend Tensor operator<<(const Operand& a, const Operand& b);  // shift_left
  friend Tensor operator>>(const Operand& a, const Operand& b);  // shift_right
  friend Tensor operator-(const Operand& x);                     // neg
  friend Tensor operator~(const Operand& x);                     // bitwise_not; logical_not of bool
  // These take tensors as they are: through Operand they would be ambiguous with C++'s own operators on bool.
  friend Tensor operator&&(const Tensor& a, const Tensor& b);  // logical_and
  friend Tensor operator||(const Tensor& a, const Tensor& b);  // logical_or
  friend Tensor operator!(const Tensor& x);                    // logical_not

  /// Prints as NumPy's print does: eight digits, aligned, the middle of more than 1,000 elements left out. A value of a
  /// trace prints its type and where it was made.
  friend std::ostream& operator<<(std::ostream& stream, const Tensor& tensor);
  friend std::string to_string(const Tensor& tensor);

 private:
  friend struct detail::TensorAccess;
  explicit Tensor(detail::TensorImpl* impl) : impl_(impl) {}
  Tensor(Number value, Location where);

  static Tensor copy_of(DType dtype, const void* data, int64_t count, const Shape& shape, Location where);
  static Tensor from_bits(const std::vector<bool>& values, const Shape& shape, Location where);
  const void* read_item(DType dtype, Location where) const;
  const void* read_data(DType dtype, Location where) const;

  Ref<detail::TensorImpl> impl_;
};

/// An operand of an op: a tensor, or a number that takes the dtype of the op's tensor operand; and the call site. Made
/// implicitly; it lives no longer than the full expression.
class Operand {
 public:
  Operand(const Tensor& tensor, Location where = Location::current())  // NOLINT: converts
      : tensor_(&tensor), number_(0), where_(where) {}
  template <Arithmetic T>
  Operand(T value, Location where = Location::current()) : number_(value), where_(where) {}  // NOLINT: converts

  /// The tensor, or nullptr for a number.
  const Tensor* tensor() const { return tensor_; }
  const Number& number() const { return number_; }
  Location where() const { return where_; }

 private:
  const Tensor* tensor_ = nullptr;
  Number number_;
  Location where_;
};

/// Stands for a bound of a Slice that is left out, Python's empty place around ':'.
inline constexpr int64_t kOpen = INT64_MIN;

/// What to take of one axis, with Python's rules: `Slice(start, stop, step)` is start:stop:step, bounds below 0 count
/// from the end, kOpen leaves a bound out and bounds beyond the axis are clipped. `Slice()` is the whole axis. A plain
/// integer takes one index, dropping the axis; out of range it is an Error.
class Slice {
 public:
  Slice() = default;
  Slice(int64_t start, int64_t stop, int64_t step = 1) : start_(start), stop_(stop), step_(step) {}
  template <class T>
    requires std::is_integral_v<T>
  Slice(T index) : start_(static_cast<int64_t>(index)), is_index_(true) {}  // NOLINT: indices convert

  int64_t start() const { return start_; }
  int64_t stop() const { return stop_; }
  int64_t step() const { return step_; }
  bool is_index() const { return is_index_; }

 private:
  int64_t start_ = kOpen;
  int64_t stop_ = kOpen;
  int64_t step_ = 1;
  bool is_index_ = false;
};

/// As NumPy's str(); see operator<<.
std::string to_string(const Tensor& tensor);

}  // namespace etch
