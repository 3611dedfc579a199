// Arithmetic of library functions.
#pragma once

#include <concepts>
#include <type_traits>

namespace etch::library {

template <class T>
struct WrappingOf {
  using type = T;
};
template <std::signed_integral T>
struct WrappingOf<T> {
  using type = std::make_unsigned_t<T>;
};

/// The type in which sums of T wrap around: integers are added as unsigned ones.
template <class T>
using Wrapping = typename WrappingOf<T>::type;

}  // namespace etch::library
