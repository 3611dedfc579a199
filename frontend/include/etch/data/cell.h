// Types of values that readers of files put into members of structs. Internal to the sources of files.
#pragma once

#include <concepts>
#include <string>
#include <type_traits>

#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {
namespace data::detail {

/// What a value becomes: a number of a dtype, a text, or a tensor of the dtype.
struct CellType {
  enum class Kind : uint8_t { number, text, tensor };
  Kind kind = Kind::number;
  DType dtype = DType::f32;
};

/// The dtype that is stored as a C++ number is.
template <class T>
consteval DType stored_dtype() {
  if constexpr (Element<T>) {
    return dtype_of<T>;
  } else if constexpr (sizeof(T) == 1) {
    return std::is_signed_v<T> ? DType::i8 : DType::u8;
  } else if constexpr (sizeof(T) == 2) {
    return std::is_signed_v<T> ? DType::i16 : DType::u16;
  } else if constexpr (sizeof(T) == 4) {
    return std::is_signed_v<T> ? DType::i32 : DType::u32;
  } else {
    return std::is_signed_v<T> ? DType::i64 : DType::u64;
  }
}

template <class T>
concept CellNumber = Arithmetic<T> && !etch::detail::Character<T>;

template <class T>
consteval CellType cell_type() {
  static_assert(CellNumber<T> || std::same_as<T, std::string>,
                "etch: a member that is read from a file is a bool, a number, a std::string, a std::optional of these, "
                "or a Tensor");
  if constexpr (std::same_as<T, std::string>) {
    return {CellType::Kind::text, DType::u8};
  } else {
    return {CellType::Kind::number, stored_dtype<T>()};
  }
}

}  // namespace data::detail
}  // namespace etch
