// Element types of tensors and their C++ counterparts: what follows from the rows of dtypes.def.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <limits>
#include <string>
#include <string_view>

#include "etch/float16.h"

namespace [[gnu::visibility("default")]] etch {

/// The element types, one for each row of dtypes.def. A `boolean` is stored as one byte that is 0 or 1.
enum class DType : uint8_t {
#define ETCH_DTYPE(id, ...) id,
#include "etch/dtypes.def"
};

enum class DTypeKind : uint8_t { floating, signed_integer, unsigned_integer, boolean };

/// What dtypes.def says of an element type, and what follows from its C++ type.
struct DTypeInfo {
  std::string_view name;  // in printed types, such as `f32`
  int64_t bytes;          // of one element
  DType compute;          // ops compute in this dtype; itself for most
  DTypeKind kind;
  std::string_view npy;   // NumPy's type string
  int digits;             // significant bits: of the significand of floats, without the sign of integers
  int min_exponent;       // floats: as std::numeric_limits
  int max_exponent;
};

inline constexpr DTypeInfo kDTypes[] = {
#define ETCH_DTYPE(id, text, type, compute, kind, npy)                                                         \
  {text,                                                                                                       \
   sizeof(type),                                                                                               \
   DType::compute,                                                                                             \
   DTypeKind::kind,                                                                                            \
   npy,                                                                                                        \
   std::numeric_limits<type>::digits,                                                                          \
   std::numeric_limits<type>::min_exponent,                                                                    \
   std::numeric_limits<type>::max_exponent},
#include "etch/dtypes.def"
};

inline constexpr int kNumDTypes = sizeof kDTypes / sizeof kDTypes[0];

/// True for the values that are rows of dtypes.def; a DType may hold others by a cast. All functions that take a DType
/// refuse those with an Error.
constexpr bool is_dtype(DType dtype) { return static_cast<int>(dtype) < kNumDTypes; }

namespace detail {
[[noreturn]] void fail_dtype(DType dtype);
}

/// The row of an element type; Error if it has none.
constexpr const DTypeInfo& info(DType dtype) {
  if (!is_dtype(dtype)) detail::fail_dtype(dtype);
  return kDTypes[static_cast<int>(dtype)];
}

/// The name used in printed types, such as `f32` or `bool`.
constexpr std::string_view name(DType dtype) { return is_dtype(dtype) ? info(dtype).name : "no dtype"; }
inline std::string to_string(DType dtype) { return std::string(name(dtype)); }
std::ostream& operator<<(std::ostream& stream, DType dtype);

/// Bytes of one element.
constexpr int64_t size_of(DType dtype) { return info(dtype).bytes; }

constexpr bool is_floating(DType dtype) { return info(dtype).kind == DTypeKind::floating; }
constexpr bool is_signed_integer(DType dtype) { return info(dtype).kind == DTypeKind::signed_integer; }
constexpr bool is_unsigned_integer(DType dtype) { return info(dtype).kind == DTypeKind::unsigned_integer; }
constexpr bool is_integer(DType dtype) { return is_signed_integer(dtype) || is_unsigned_integer(dtype); }
/// All but bool.
constexpr bool is_numeric(DType dtype) { return info(dtype).kind != DTypeKind::boolean; }

/// True if every value of `narrow` is one of `wide`. A bool counts as 0 and 1.
constexpr bool holds(DType wide, DType narrow) {
  if (wide == narrow || !is_numeric(narrow)) return true;
  if (!is_numeric(wide)) return false;
  const DTypeInfo& to = info(wide);
  const DTypeInfo& from = info(narrow);
  if (to.digits < from.digits) return false;
  if (is_floating(narrow)) {
    return is_floating(wide) && to.min_exponent <= from.min_exponent && to.max_exponent >= from.max_exponent;
  }
  return is_floating(wide) ? to.max_exponent > from.digits : !is_signed_integer(narrow) || is_signed_integer(wide);
}

namespace detail {
template <class T>
inline constexpr int kRowOf = -1;
#define ETCH_DTYPE(id, text, type, ...) \
  template <>                           \
  inline constexpr int kRowOf<type> = static_cast<int>(DType::id);
#include "etch/dtypes.def"
}  // namespace detail

/// The C++ types that are element types.
template <class T>
concept Element = detail::kRowOf<T> >= 0;

/// The element type that stores a C++ type.
template <Element T>
inline constexpr DType dtype_of = static_cast<DType>(detail::kRowOf<T>);

/// True if ops compute in the dtype itself; false for the storage-only dtypes f16 and bf16.
constexpr bool computes_itself(DType dtype) { return info(dtype).compute == dtype; }

/// Calls `f.template operator()<T>()` with the C++ type of `dtype`.
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  switch (dtype) {
#define ETCH_DTYPE(id, text, type, ...) \
  case DType::id: return f.template operator()<type>();
#include "etch/dtypes.def"
  }
  detail::fail_dtype(dtype);
}

}  // namespace etch
