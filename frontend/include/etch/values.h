// How arguments and results of functions are read: which tensors and other values stand in a C++ value, and where.
// Internal to etch/function.h.
#pragma once

#include <boost/pfr/core.hpp>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/tensor.h"

namespace etch::detail {

/// Reads values into a signature: bytes that are equal exactly if the values have the same structure, tensors the same
/// dtypes and shapes, and all else the same values; and the tensors, in order. On demand it also describes each value
/// for people.
class ArgReader {
 public:
  /// One tensor or value: `args[0].weights[2]` is `f32[8,4]`.
  struct Leaf {
    std::string path;
    std::string text;
    bool is_tensor;
  };

  ArgReader() = default;
  /// Reads for people: fills `leaves` beside the signature, under paths that start with `root`.
  ArgReader(std::vector<Leaf>* leaves, std::string_view root);
  ~ArgReader();
  ArgReader(const ArgReader&) = delete;
  ArgReader& operator=(const ArgReader&) = delete;

  void tensor(const Tensor& tensor);
  void count(uint64_t n) { append(&n, sizeof n); }
  void text(std::string_view value) {
    count(value.size());
    append(value.data(), value.size());
    if (leaves_) describe_text(value);
  }
  template <class T>
  void number(T value) {
    append(&value, sizeof value);
    if (leaves_) describe_number(value);
  }

  // Where in the value the next leaf stands.
  void enter(uint64_t index) {
    if (leaves_) enter_path(index);
  }
  void enter(std::string_view field) {
    if (leaves_) enter_path(field);
  }
  void leave() {
    if (leaves_) leave_path();
  }

  std::span<const std::byte> key() const { return {key_, key_size_}; }
  std::span<const TensorImpl* const> tensors() const { return {tensors_, num_tensors_}; }
  /// Keeps the tensors alive as long as the reader: a callable that is traced may drop the caller's own handles.
  void pin() const;

 private:
  void append(const void* data, size_t bytes) {
    if (key_size_ + bytes > key_capacity_) grow_key(bytes);
    if (bytes > 0) std::memcpy(key_ + key_size_, data, bytes);
    key_size_ += bytes;
  }
  void grow_key(size_t bytes);
  void grow_tensors();
  void describe_text(std::string_view value);
  void describe_number(bool value);
  void describe_number(int64_t value);
  void describe_number(uint64_t value);
  void describe_number(float value);
  void describe_number(double value);
  template <class T>
    requires std::is_integral_v<T>
  void describe_number(T value) {
    if constexpr (std::is_signed_v<T>) {
      describe_number(static_cast<int64_t>(value));
    } else {
      describe_number(static_cast<uint64_t>(value));
    }
  }
  void enter_path(uint64_t index);
  void enter_path(std::string_view field);
  void leave_path();
  void add_leaf(std::string text, bool is_tensor);

  std::byte inline_key_[192];
  std::byte* key_ = inline_key_;
  size_t key_size_ = 0;
  size_t key_capacity_ = sizeof inline_key_;
  const TensorImpl* inline_tensors_[12];
  const TensorImpl** tensors_ = inline_tensors_;
  size_t num_tensors_ = 0;
  size_t tensors_capacity_ = 12;
  mutable std::vector<Tensor> pins_;
  std::vector<Leaf>* leaves_ = nullptr;
  std::string path_;
  std::vector<size_t> path_ends_;
};

/// Meets the tensors of a value in order and may replace them.
class TensorVisitor {
 public:
  virtual void tensor(Tensor& tensor) = 0;

 protected:
  ~TensorVisitor() = default;
};

template <class T>
concept TextLike = !std::is_pointer_v<T> && std::is_convertible_v<const T&, std::string_view>;
template <class T>
concept OptionalLike = requires(const T& v) {
  typename T::value_type;
  { v.has_value() } -> std::same_as<bool>;
  *v;
};
template <class T>
concept OrderedRange = requires(const T& v) {
  typename T::value_type;
  v.begin();
  v.end();
  v.size();
} && !requires { typename T::hasher; } && !requires { typename T::element_type; } &&
    !std::is_same_v<T, std::initializer_list<typename T::value_type>>;  // views do not own what they show
template <class T>
concept TupleLike = requires { std::tuple_size<T>::value; };
/// A class of plain members, read by Boost.PFR.
template <class T>
concept Plain = std::is_aggregate_v<T> && std::is_class_v<T>;

template <class T>
inline constexpr bool kUnreadable = false;
#define ETCH_UNREADABLE(T)                                                                                         \
  static_assert(kUnreadable<T>,                                                                                    \
                "etch: a function cannot take or give this type; it may be Tensor, a number, an enum, std::string, " \
                "std::vector, array, tuple, pair, optional, map or a plain aggregate of these")

// The name of member I of an aggregate, cut out of the name of a pointer to it.
template <class T>
struct Specimen {
  T value;
};
template <class T>
extern const Specimen<T> specimen;
template <auto kPointer>
consteval std::string_view pointer_name() {
  return __PRETTY_FUNCTION__;
}
template <class T, size_t I>
constexpr std::string_view field_name() {
  std::string_view text = pointer_name<&boost::pfr::get<I>(specimen<T>.value)>();
  text = text.substr(0, text.rfind(')'));
  return text.substr(text.find_last_of(":.>") + 1);
}

template <class T>
void read(const T& value, ArgReader& reader);

template <class T, size_t... I>
void read_elements(const T& value, ArgReader& reader, std::index_sequence<I...>) {
  ((reader.enter(uint64_t{I}), read(std::get<I>(value), reader), reader.leave()), ...);
}

template <class T, size_t... I>
void read_fields(const T& value, ArgReader& reader, std::index_sequence<I...>) {
  ((reader.enter(field_name<T, I>()), read(boost::pfr::get<I>(value), reader), reader.leave()), ...);
}

template <class T>
void read(const T& value, ArgReader& reader) {
  if constexpr (std::is_same_v<T, Tensor>) {
    reader.tensor(value);
  } else if constexpr (std::is_enum_v<T>) {
    reader.number(static_cast<std::underlying_type_t<T>>(value));
  } else if constexpr (Arithmetic<T>) {
    reader.number(value);
  } else if constexpr (TextLike<T>) {
    reader.text(value);
  } else if constexpr (OptionalLike<T>) {
    reader.count(value.has_value() ? 1 : 0);  // as a container of none or one
    if (value.has_value()) read(*value, reader);
  } else if constexpr (OrderedRange<T>) {
    reader.count(value.size());
    uint64_t i = 0;
    for (auto&& element : value) {
      reader.enter(i++);
      read(static_cast<const typename T::value_type&>(element), reader);
      reader.leave();
    }
  } else if constexpr (TupleLike<T>) {
    read_elements(value, reader, std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (Plain<T>) {
    read_fields(value, reader, std::make_index_sequence<boost::pfr::tuple_size_v<T>>());
  } else {
    ETCH_UNREADABLE(T);
  }
}

template <class T>
void visit_tensors(T& value, TensorVisitor& visitor) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, Tensor>) {
    static_assert(!std::is_const_v<T>, "etch: a const Tensor cannot be replaced while tracing; make it non-const");
    visitor.tensor(value);
  } else if constexpr (std::is_enum_v<std::remove_const_t<T>> || Arithmetic<std::remove_const_t<T>> || TextLike<T>) {
    return;  // holds no tensor
  } else if constexpr (OptionalLike<T>) {
    if (value.has_value()) visit_tensors(*value, visitor);
  } else if constexpr (OrderedRange<T>) {
    if constexpr (std::is_reference_v<decltype(*value.begin())>) {
      for (auto& element : value) visit_tensors(element, visitor);
    }
  } else if constexpr (TupleLike<T>) {
    std::apply([&](auto&... elements) { (visit_tensors(elements, visitor), ...); }, value);
  } else if constexpr (Plain<T>) {
    [&]<size_t... I>(std::index_sequence<I...>) {
      (visit_tensors(boost::pfr::get<I>(value), visitor), ...);
    }(std::make_index_sequence<boost::pfr::tuple_size_v<T>>());
  } else {
    ETCH_UNREADABLE(T);
  }
}

}  // namespace etch::detail
