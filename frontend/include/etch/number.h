// Number: a plain C++ number on its way to a tensor's element type.
#pragma once

#include <cstdint>
#include <source_location>
#include <type_traits>

#include "etch/dtype.h"

namespace [[gnu::visibility("default")]] etch {

/// Where in the user's code an op was written.
using Location = std::source_location;

/// The C++ numbers that may stand beside tensors.
template <class T>
concept Arithmetic = (std::is_arithmetic_v<T> && !std::is_same_v<T, long double>) || Element<T>;

/// A C++ number and the element type that it has on its own: that which stores its type, or else (as for char and long
/// long) i32, i64, u32 or u64.
class Number {
 public:
  enum class Kind : uint8_t { boolean, integer, floating };

  template <Arithmetic T>
  constexpr Number(T value) : dtype_(own_dtype<T>()) {  // NOLINT: numbers convert
    if constexpr (is_floating(own_dtype<T>())) {
      kind_ = Kind::floating;
      floating_ = static_cast<double>(value);
    } else {
      kind_ = std::is_same_v<T, bool> ? Kind::boolean : Kind::integer;
      integer_ = static_cast<int64_t>(value);
      if constexpr (std::is_unsigned_v<T> && sizeof(T) == 8) too_large_ = integer_ < 0;
    }
  }

  constexpr Kind kind() const { return kind_; }
  constexpr DType dtype() const { return dtype_; }
  /// The value of a boolean or an integer.
  constexpr int64_t integer() const { return integer_; }
  /// The value of a floating number.
  constexpr double floating() const { return floating_; }
  /// True for an unsigned number beyond int64_t.
  constexpr bool too_large() const { return too_large_; }

 private:
  template <class T>
  static constexpr DType own_dtype() {
    if constexpr (Element<T>) {
      return dtype_of<T>;
    } else {
      if constexpr (sizeof(T) < 4) return DType::i32;
      if constexpr (sizeof(T) == 4) return std::is_signed_v<T> ? DType::i32 : DType::u32;
      return std::is_signed_v<T> ? DType::i64 : DType::u64;
    }
  }

  Kind kind_ = Kind::integer;
  DType dtype_;
  bool too_large_ = false;
  int64_t integer_ = 0;
  double floating_ = 0;
};

}  // namespace etch
