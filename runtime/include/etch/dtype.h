// Element types of tensors and their C++ counterparts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace etch {

/// The element types. A `boolean` is stored as one byte that is 0 or 1.
enum class DType : uint8_t { f32, f64, i32, i64, u8, boolean };

inline constexpr int kNumDTypes = 6;

/// The name used in printed types: `f32`, `f64`, `i32`, `i64`, `u8`, `bool`.
constexpr std::string_view name(DType dtype) {
  constexpr std::string_view kNames[] = {"f32", "f64", "i32", "i64", "u8", "bool"};
  return kNames[static_cast<int>(dtype)];
}

/// Bytes of one element.
constexpr int64_t size_of(DType dtype) {
  constexpr int64_t kSizes[] = {4, 8, 4, 8, 1, 1};
  return kSizes[static_cast<int>(dtype)];
}

constexpr bool is_floating(DType dtype) { return dtype == DType::f32 || dtype == DType::f64; }
constexpr bool is_integer(DType dtype) { return dtype == DType::i32 || dtype == DType::i64 || dtype == DType::u8; }

/// The C++ types that are element types.
template <class T>
concept Element = std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, int32_t> ||
                  std::is_same_v<T, int64_t> || std::is_same_v<T, uint8_t> || std::is_same_v<T, bool>;

/// The element type that stores a C++ type.
template <Element T>
inline constexpr DType dtype_of = std::is_same_v<T, float>     ? DType::f32
                                  : std::is_same_v<T, double>  ? DType::f64
                                  : std::is_same_v<T, int32_t> ? DType::i32
                                  : std::is_same_v<T, int64_t> ? DType::i64
                                  : std::is_same_v<T, uint8_t> ? DType::u8
                                                               : DType::boolean;

/// Calls `f.template operator()<T>()` with the C++ type of `dtype`.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32: return f.template operator()<float>();
    case DType::f64: return f.template operator()<double>();
    case DType::i32: return f.template operator()<int32_t>();
    case DType::i64: return f.template operator()<int64_t>();
    case DType::u8: return f.template operator()<uint8_t>();
    case DType::boolean: break;
  }
  return f.template operator()<bool>();
}

}  // namespace etch
