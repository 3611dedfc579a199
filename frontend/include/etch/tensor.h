// Tensor: a handle to elements in memory (eager) or to a value of the graph that is being traced.
#pragma once

#include <array>
#include <concepts>
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

namespace [[gnu::visibility("default")]] etch {

class Buffer;
class Operand;
class Tensor;
class Variable;

namespace detail {
struct TensorAccess;
struct TensorImpl;
void retain(TensorImpl* impl) noexcept;
void release(TensorImpl* impl) noexcept;

/// A std::vector, std::array or std::span of elements of tensors.
template <class T>
concept ElementRange = std::same_as<T, std::vector<bool>> || (!std::same_as<T, Tensor> && requires(const T& range) {
  range.size();
  requires Element<std::remove_cvref_t<decltype(*range.data())>>;
});

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

/// Stands for a bound of a Slice that is left out, Python's empty place around ':'.
inline constexpr int64_t kOpen = INT64_MIN;

/// What to take of one axis, with Python's rules. `Slice(2, 5)` is 2:5, `Slice::from(2)` is 2:, `Slice::to(-1)` is :-1,
/// `Slice(0, 8).by(2)` is 0:8:2, `Slice()` the whole axis and `Slice().by(-1)` the axis backwards. Bounds below 0 count
/// from the end, those beyond the axis are clipped, kOpen leaves one out. A plain integer takes one index and drops the
/// axis; out of range it is an Error.
class Slice {
 public:
  enum class Kind : uint8_t { range, index, new_axis, ellipsis, absent };

  constexpr Slice() = default;
  constexpr Slice(Integer start, Integer stop, Integer step = 1) : start_(start), stop_(stop), step_(step) {}
  template <IntegerType T>
  constexpr Slice(T index) : kind_(Kind::index), start_(Integer(index)) {}  // NOLINT: indices convert
  template <std::same_as<bool> T>
  ETCH_REFUSED("an index is an integer, not a bool; where() selects by truth values")
  constexpr Slice(T);

  static constexpr Slice from(Integer start) { return {start, kOpen}; }
  static constexpr Slice to(Integer stop) { return {kOpen, stop}; }
  /// The same bounds with another step.
  constexpr Slice by(Integer step) const { return {start_, stop_, step}; }
  static constexpr Slice of(Kind kind) {
    Slice slice;
    slice.kind_ = kind;
    return slice;
  }

  constexpr Kind kind() const { return kind_; }
  constexpr int64_t start() const { return start_; }
  constexpr int64_t stop() const { return stop_; }
  constexpr int64_t step() const { return step_; }

 private:
  Kind kind_ = Kind::range;
  int64_t start_ = kOpen;
  int64_t stop_ = kOpen;
  int64_t step_ = 1;
};

/// Among slices: a new axis of extent 1 (NumPy's newaxis).
inline constexpr Slice newaxis = Slice::of(Slice::Kind::new_axis);
/// Among slices: all the axes that the others do not name (NumPy's `...`).
inline constexpr Slice ellipsis = Slice::of(Slice::Kind::ellipsis);

/// An index, a Slice or a list of both, and the place where they were written: what stands in `x[...]`. Made
/// implicitly; it lives no longer than the full expression.
class Slices {
 public:
  Slices(Location where = Location::current()) : where_(where) {}  // NOLINT: converts
  template <IntegerType T>
  Slices(T index, Location where = Location::current()) : one_(index), has_one_(true), where_(where) {}  // NOLINT
  template <std::same_as<bool> T>
  ETCH_REFUSED("an index is an integer, not a bool; where() selects by truth values")
  Slices(T);
  Slices(const Slice& slice, Location where = Location::current())  // NOLINT: converts
      : one_(slice), has_one_(true), where_(where) {}
  Slices(std::initializer_list<Slice> slices, Location where = Location::current())
      : Slices(slices.begin(), slices.size(), where) {}
  template <std::same_as<std::vector<Slice>> T>
  Slices(const T& slices, Location where = Location::current())  // NOLINT: converts
      : Slices(slices.data(), slices.size(), where) {}

  std::span<const Slice> list() const;
  Location where() const { return where_; }

 private:
  Slices(const Slice* list, size_t count, Location where) : list_(list), count_(count), where_(where) {}

  Slice one_;
  bool has_one_ = false;
  const Slice* list_ = nullptr;  // no std::span: making that class here takes a tenth of the time to parse this file
  size_t count_ = 0;
  Location where_;
};

// The ops that the operators of Tensor call; etch/ops.h says what they do.
[[nodiscard]] Tensor add(const Operand& a, const Operand& b);
[[nodiscard]] Tensor sub(const Operand& a, const Operand& b);
[[nodiscard]] Tensor mul(const Operand& a, const Operand& b);
[[nodiscard]] Tensor div(const Operand& a, const Operand& b);
[[nodiscard]] Tensor floor_mod(const Operand& a, const Operand& b);
[[nodiscard]] Tensor equal(const Operand& a, const Operand& b);
[[nodiscard]] Tensor not_equal(const Operand& a, const Operand& b);
[[nodiscard]] Tensor less(const Operand& a, const Operand& b);
[[nodiscard]] Tensor less_equal(const Operand& a, const Operand& b);
[[nodiscard]] Tensor greater(const Operand& a, const Operand& b);
[[nodiscard]] Tensor greater_equal(const Operand& a, const Operand& b);
[[nodiscard]] Tensor shift_left(const Operand& a, const Operand& b);
[[nodiscard]] Tensor shift_right(const Operand& a, const Operand& b);
[[nodiscard]] Tensor neg(const Operand& x);
namespace detail {
// Of bool the logical op, else the bitwise one.
[[nodiscard]] Tensor and_of(const Operand& a, const Operand& b);
[[nodiscard]] Tensor or_of(const Operand& a, const Operand& b);
[[nodiscard]] Tensor xor_of(const Operand& a, const Operand& b);
[[nodiscard]] Tensor not_of(const Operand& x);
[[nodiscard]] Tensor unary_plus(const Operand& x);
[[nodiscard]] Tensor truth_not(const Tensor& x);

/// The same operand. A call with it waits for `Result`: compilers look at others before Tensor is complete.
template <class Result>
const Operand& later(const Operand& x) {
  return x;
}

/// The operators of Tensor and of Variable, found by either. `Result` is Tensor, which is not complete yet where it stands as
/// a base.
template <class Result>
class Operators {
  // Elementwise, with NumPy broadcasting; see the ops of the same meaning in etch/ops.h. Comparisons give bool tensors.
#define ETCH_BINARY(op, function)                                               \
  [[nodiscard]] friend Result operator op(const Operand& a, const Operand& b) { \
    return function(later<Result>(a), later<Result>(b));                        \
  }
  ETCH_BINARY(+, add)
  ETCH_BINARY(-, sub)
  ETCH_BINARY(*, mul)
  ETCH_BINARY(/, div)
  ETCH_BINARY(%, floor_mod)
  ETCH_BINARY(==, equal)
  ETCH_BINARY(!=, not_equal)
  ETCH_BINARY(<, less)
  ETCH_BINARY(<=, less_equal)
  ETCH_BINARY(>, greater)
  ETCH_BINARY(>=, greater_equal)
  ETCH_BINARY(&, and_of)  // bitwise_and; logical_and of bool
  ETCH_BINARY(|, or_of)   // bitwise_or; logical_or of bool
  ETCH_BINARY(^, xor_of)  // bitwise_xor; logical_xor of bool
  ETCH_BINARY(<<, shift_left)
  ETCH_BINARY(>>, shift_right)
#undef ETCH_BINARY
#define ETCH_UNARY(op, function) \
  [[nodiscard]] friend Result operator op(const Operand& x) { return function(later<Result>(x)); }
  ETCH_UNARY(-, neg)
  ETCH_UNARY(~, not_of)      // bitwise_not; logical_not of bool
  ETCH_UNARY(+, unary_plus)  // x itself; numeric
#undef ETCH_UNARY
  // logical_not. It takes the tensor as it is: through Operand it would be ambiguous with C++'s own operator on bool.
  [[nodiscard]] friend Result operator!(const Result& x) { return truth_not(x); }
};
}  // namespace detail

#define ETCH_NO_PLACE                                                                                          \
  ETCH_REFUSED("this assigns to the result of an op, which is a value and no place, so nothing would change; " \
               "make the whole tensor anew, with where() or concat()")

/// A multi-dimensional array of one element type, immutable through its handles: an op never changes a tensor, it makes
/// a new one. Copies share the elements. A default-made Tensor holds nothing and only takes assignments.
///
/// Outside of a trace tensors are eager: ops run at once. While an etch::function is traced, ops on tensors (also on
/// eager ones made before) are recorded instead, and reading elements is an Error.
class Tensor : detail::Operators<Tensor> {
 public:
  Tensor() = default;
  Tensor(const Tensor&) = default;
  Tensor(Tensor&&) = default;
  Tensor& operator=(const Tensor&) & = default;
  Tensor& operator=(Tensor&&) & = default;
  ETCH_NO_PLACE Tensor& operator=(const Tensor&) &&;
  ETCH_NO_PLACE Tensor& operator=(Tensor&&) &&;

  /// A rank-0 tensor of the number's own element type: C++ types that are element types are themselves; of the others
  /// char, char16_t and the like are i32, long long is i64 and unsigned long long u64. In a trace it is a constant of
  /// the graph.
  template <Arithmetic T>
  Tensor(T value, Location where = Location::current()) : Tensor(Number(value), where) {}  // NOLINT: numbers convert

  /// The value that stands in a variable, as Variable::value gives it.
  Tensor(const Variable& variable, Location where = Location::current());  // NOLINT: variables convert

  /// The elements of a nested list: `Tensor({{1.f, 2.f}, {3.f, 4.f}})` is f32[2,2]. Integers of several types become
  /// the shortest type that holds all of theirs, and f32 or f64 beside one of those; an integer that cannot be exact is
  /// an Error, and so are lists of different lengths side by side. `Tensor({})` is f32[0].
  Tensor(std::initializer_list<detail::Nested> values, Location where = Location::current());

  /// A rank-1 copy of a std::vector, std::array or std::span.
  template <detail::ElementRange Values>
  explicit Tensor(const Values& values, Location where = Location::current())
      : Tensor(from(values, Shape(values.size()), where)) {}

  /// A copy of the elements of a std::vector, std::array or std::span in row-major order. Error unless their number is
  /// that of the shape's elements.
  template <class Values>
  static Tensor from(const Values& values, const Shape& shape, Location where = Location::current()) {
    static_assert(detail::ElementRange<Values>, "etch: tensors hold bool, integers of 8 to 64 bits, etch::float16, "
                                                "etch::bfloat16, float or double");
    if constexpr (std::same_as<Values, std::vector<bool>>) {
      return from_bits(values, shape, where);
    } else {
      using T = std::remove_cvref_t<decltype(*values.data())>;
      return copy_of(dtype_of<T>, values.data(), static_cast<int64_t>(values.size()), shape, where);
    }
  }

  /// A tensor on the memory of `values`, an lvalue with data() and size() such as a std::vector, without a copy. The
  /// memory must outlive every tensor that shares it, and its elements must not change while those are used. Where they
  /// are const, call_into refuses the tensor as a destination. Error unless the number of values is that of the shape's
  /// elements.
  template <class Values>
  static Tensor borrow(Values& values, const Shape& shape, Location where = Location::current()) {
    return borrow(std::span(values), shape, where);
  }
  template <class T>
  static Tensor borrow(std::span<T> values, const Shape& shape, Location where = Location::current()) {
    using E = std::remove_const_t<T>;
    static_assert(Element<E>, "etch: tensors hold bool, integers of 8 to 64 bits, etch::float16, etch::bfloat16, "
                              "float or double");
    check_count("Tensor::borrow", static_cast<int64_t>(values.size()), shape, where);
    return on_memory(dtype_of<E>, values.data(), std::is_const_v<T>, shape,
                     nullptr, nullptr, where);
  }
  /// A tensor that takes a vector's memory over, without a copy.
  template <Element T>
  static Tensor adopt(std::vector<T>&& values, const Shape& shape, Location where = Location::current()) {
    check_count("Tensor::adopt", static_cast<int64_t>(values.size()), shape, where);
    auto* owner = new std::vector<T>(std::move(values));
    const auto destroy = [](void* p) { delete static_cast<std::vector<T>*>(p); };
    return on_memory(dtype_of<T>, owner->data(), false, shape, destroy, owner, where);
  }
  /// A tensor on external memory of as many elements as the shape has, without a copy; `release()` is called when the
  /// last tensor that shares it is gone, and also if the call fails.
  template <class T, std::invocable Release>
    requires Element<std::remove_const_t<T>>
  static Tensor adopt(T* values, const Shape& shape, Release release, Location where = Location::current()) {
    auto* owner = new Release(std::move(release));
    const auto destroy = [](void* p) {
      (*static_cast<Release*>(p))();
      delete static_cast<Release*>(p);
    };
    return on_memory(dtype_of<std::remove_const_t<T>>, values, std::is_const_v<T>, shape, destroy, owner, where);
  }
  /// A tensor on memory that a Buffer holds, without a copy. Error if the buffer is too small or not aligned to the
  /// element type. The owner must not change the elements while tensors that share them are used.
  static Tensor adopt(Buffer buffer, DType dtype, const Shape& shape, Location where = Location::current());

  DType dtype(Location where = Location::current()) const;
  const Shape& shape(Location where = Location::current()) const;
  int rank(Location where = Location::current()) const { return shape(where).rank(); }
  /// The number of elements.
  int64_t size(Location where = Location::current()) const { return shape(where).product(); }
  /// The extents, for `auto [height, width] = x.extents<2>()`. Error for a tensor of another rank.
  template <int kRank>
  std::array<int64_t, kRank> extents(Location where = Location::current()) const {
    std::array<int64_t, kRank> extents{};
    copy_extents(extents, where);
    return extents;
  }
  /// True if the handle holds something.
  bool defined() const { return static_cast<bool>(impl_); }
  /// True if the elements are in memory, false for a value of a trace.
  bool is_eager(Location where = Location::current()) const;

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
  /// The truth of a tensor of size 1: its element is not 0. Error for another size. So `if (x)`, `while (x)`, `x && y` and
  /// `x || y` ask for one truth value each, as C++ does; per element there are `x & y`, `x | y` and `!x`. In a trace this is
  /// how `if` and loops are found: the function is run again under the other answer.
  explicit operator bool() const;

  /// The tensor with 1 added to each element, or taken away, becomes the new one of this handle.
  Tensor& operator++() &;
  Tensor operator++(int) &;
  Tensor& operator--() &;
  Tensor operator--(int) &;

  /// NumPy's x[...]: `x[1]`, `x[Slice(2, 5)]`, `x[{1, Slice(2, 5)}]`, `x[{ellipsis, newaxis}]`. Axes that are not named
  /// stay whole. See etch::Slice. The result is a value: nothing can be assigned to it.
  [[nodiscard]] Tensor operator[](const Slices& slices) const;
  /// The same for up to eight: `x(1, Slice(2, 5))`.
  [[nodiscard]] Tensor operator()(Slice a, Slice b = kNone, Slice c = kNone, Slice d = kNone, Slice e = kNone,
                                  Slice f = kNone, Slice g = kNone, Slice h = kNone,
                                  Location where = Location::current()) const;
  /// The same as x[slices].
  [[nodiscard]] Tensor slice(const Slices& slices) const;

  /// The sub-tensors along the first axis: `for (Tensor row : x)`. Error for rank 0. In a traced function this is one loop,
  /// which counts; `for (int i = 0; i < n; ++i) ... x[i]` is written out turn by turn.
  class Rows;
  Rows begin(Location where = Location::current()) const;
  Rows end(Location where = Location::current()) const;

  // x += y puts a new tensor into the handle x; other handles to the old one keep it.
#define ETCH_ASSIGNMENT(op)                   \
  Tensor& operator op(const Operand& other)&; \
  ETCH_NO_PLACE Tensor& operator op(const Operand& other)&&
  ETCH_ASSIGNMENT(+=);
  ETCH_ASSIGNMENT(-=);
  ETCH_ASSIGNMENT(*=);
  ETCH_ASSIGNMENT(/=);
  ETCH_ASSIGNMENT(%=);
  ETCH_ASSIGNMENT(&=);
  ETCH_ASSIGNMENT(|=);
  ETCH_ASSIGNMENT(^=);
  ETCH_ASSIGNMENT(<<=);
  ETCH_ASSIGNMENT(>>=);
#undef ETCH_ASSIGNMENT

  /// Prints as NumPy's print does: eight digits, aligned, the middle of more than 1,000 elements left out. A value of a
  /// trace prints its type and where it was made.
  friend std::ostream& operator<<(std::ostream& stream, const Tensor& tensor);
  friend std::string to_string(const Tensor& tensor);

 private:
  friend struct detail::TensorAccess;
  explicit Tensor(detail::TensorImpl* impl) : impl_(impl) {}
  Tensor(Number value, Location where);

  static Tensor copy_of(DType dtype, const void* data, int64_t count, const Shape& shape, Location where);
  static constexpr Slice kNone = Slice::of(Slice::Kind::absent);
  static void check_count(const char* caller, int64_t count, const Shape& shape, Location where);
  static Tensor on_memory(DType dtype, const void* data, bool is_const, const Shape& shape, void (*release)(void*),
                          void* context, Location where);
  void copy_extents(std::span<int64_t> extents, Location where) const;
  static Tensor from_bits(const std::vector<bool>& values, const Shape& shape, Location where);
  const void* read_item(DType dtype, Location where) const;
  const void* read_data(DType dtype, Location where) const;

  Ref<detail::TensorImpl> impl_;
};

#undef ETCH_NO_PLACE

/// Walks over the sub-tensors along the first axis; it lives no longer than the tensor's handle.
class Tensor::Rows {
 public:
  using value_type = Tensor;
  using difference_type = int64_t;
  using pointer = void;
  using reference = Tensor;

  Rows(const Tensor& tensor, int64_t i, Location where) : tensor_(&tensor), i_(i), where_(where) {}
  Tensor operator*() const { return index_.defined() ? traced_row() : (*tensor_)[Slices(i_, where_)]; }
  Rows& operator++() {
    index_.defined() ? count() : void(++i_);
    return *this;
  }
  Rows operator++(int) {
    Rows before = *this;
    ++*this;
    return before;
  }
  /// In a trace this asks whether the loop has ended.
  bool operator==(const Rows& other) const {
    if (index_.defined()) return has_ended();
    return other.index_.defined() ? other.has_ended() : i_ == other.i_;
  }

 private:
  friend class Tensor;
  void begin_in_trace();
  Tensor traced_row() const;
  void count();
  bool has_ended() const;

  const Tensor* tensor_;
  int64_t i_;
  Location where_;
  Tensor index_;             // of the row, in a trace; of range() the number itself
  bool is_number_ = false;
  int64_t step_ = 1, stop_ = 0;
};

/// An operand of an op: a tensor, the value of a variable, or a number that takes the dtype of the op's tensor operand; and
/// the call site. Made implicitly; it lives no longer than the full expression.
class Operand {
 public:
  Operand(const Tensor& tensor, Location where = Location::current())  // NOLINT: converts
      : tensor_(&tensor), number_(0), where_(where) {}
  template <Arithmetic T>
  Operand(T value, Location where = Location::current()) : number_(value), where_(where) {}  // NOLINT: converts

  Operand(const Variable& variable, Location where = Location::current())  // NOLINT: converts
      : value_(variable, where), number_(0), where_(where) {}

  /// The tensor, or nullptr for a number.
  const Tensor* tensor() const { return value_.defined() ? &value_ : tensor_; }
  const Number& number() const { return number_; }
  Location where() const { return where_; }

 private:
  const Tensor* tensor_ = nullptr;
  Tensor value_;  // of a variable
  Number number_;
  Location where_;
};

/// As NumPy's str(); see operator<<.
std::string to_string(const Tensor& tensor);

}  // namespace etch
