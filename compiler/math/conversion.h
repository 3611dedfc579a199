// The cast op on lanes, 16-bit floats among them: those stand as the integers of their bits.
#pragma once

#include "compiler/math/lanes.h"
#include "etch/dtype.h"

namespace etch::math {

/// What holds an element in lanes: the integer of its bits for dtypes that no op computes in, else the element itself.
template <Element T>
using LaneOf = std::conditional_t<computes_itself(dtype_of<T>), T, uint16_t>;

namespace internal {

/// The f32 value of the bits of a 16-bit float T, exact.
template <class T, class L>
auto widened(const L& bits) {
  if constexpr (std::same_as<T, bfloat16>) {
    return bitcast<float>(convert<uint32_t>(bits) << uint32_t{16});
  } else {
    static_assert(std::same_as<T, float16>);
    auto all = convert<uint32_t>(bits);
    auto fraction = (all & 0x7fffu) << 13u;  // and the exponent, at the place where f32 has them
    constexpr uint32_t kRebias = (127 - 15) << 23;
    auto normal = fraction + kRebias;
    auto special = normal + kRebias;  // infinities and NaNs
    // A subnormal number is what it adds to the smallest normal one.
    auto subnormal = bitcast<uint32_t>(bitcast<float>(fraction + (113u << 23)) - 0x1p-14f);
    auto magnitude = select(fraction < (1u << 23), subnormal, select(fraction < (31u << 23), normal, special));
    return bitcast<float>(magnitude | (all & 0x8000u) << 16u);
  }
}

/// The bits of the 16-bit float T nearest to an f32 that was a From, ties to even.
template <class T, class From, class L>
auto narrowed(const L& x) {
  auto all = bitcast<uint32_t>(x);
  if constexpr (std::same_as<T, bfloat16> && holds(DType::bf16, dtype_of<From>)) {
    return convert<uint16_t>(all >> 16u);
  } else if constexpr (std::same_as<T, bfloat16>) {
    auto rounded = all + (0x7fffu + ((all >> 16u) & 1u));
    return convert<uint16_t>(select(x != x, all | (1u << 22), rounded) >> 16u);
  } else {
    static_assert(std::same_as<T, float16>);
    auto magnitude = all & 0x7fff'ffffu;
    constexpr uint32_t kRebias = (127 - 15) << 23;
    auto normal = (magnitude - kRebias + (0xfffu + ((magnitude >> 13u) & 1u))) >> 13u;
    // 0.5 has the unit of the subnormal numbers in its last place, so adding it rounds to that.
    auto subnormal = bitcast<uint32_t>(bitcast<float>(magnitude) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
    auto finite = select(magnitude < std::bit_cast<uint32_t>(0x1p-14f), subnormal, normal);
    auto above = select(magnitude > 0x7f80'0000u, 0x7e00u, like(all, 0x7c00u));
    auto result = select(magnitude < std::bit_cast<uint32_t>(65520.0f), finite, above);
    return convert<uint16_t>(result | (all & 0x8000'0000u) >> 16u);
  }
}

/// x rounded to odd: the bits below 2^kLost become 0, and bit kLost becomes 1 if any of them was 1. Rounding the result to
/// fewer digits, by 2 at least, gives what rounding x would. After Boldo and Melquiond, "When double rounding is odd" (2005).
template <int kLost, class L>
L odd(const L& x) {
  using T = ElementOf<L>;
  constexpr auto kBelow = static_cast<T>((T{1} << kLost) - 1);
  return (x | ((x & kBelow) + kBelow)) & static_cast<T>(~kBelow);
}

/// An integer of more than kDigits bits rounded to odd, so that a float of so many digits holds it.
template <int kDigits, class L>
L odd_integer(const L& x) {
  using T = ElementOf<L>;
  using Bits = std::make_unsigned_t<T>;
  constexpr int kLost = 8 * sizeof(T) - kDigits;
  auto fits = std::is_signed_v<T> ? bitcast<Bits>(x + (T{1} << kDigits)) <= Bits{2} << kDigits
                                  : bitcast<Bits>(x) <= Bits{1} << kDigits;
  return select(fits, x, odd<kLost>(x));
}

/// An f64 rounded to odd in an f32 that is not subnormal.
template <class L>
auto f32_by_odd(const L& x) {
  return convert<float>(bitcast<double>(odd<52 - 23>(bitcast<uint64_t>(x))));
}

/// The same where the f32 is subnormal, which has fewer bits.
template <class L>
auto subnormal_f32_by_odd(const L& x) {
  auto nearest = convert<float>(x);
  auto back = convert<double>(nearest);
  auto bits = bitcast<uint32_t>(nearest);
  auto toward_0 = select(abs(back) > abs(x), bits - 1u, bits);
  return bitcast<float>(select(back != x, toward_0 | 1u, bits));
}

}  // namespace internal

/// A value on its way to the 16-bit float U: the f32 that is rounded to what the value itself would be rounded to.
template <class U, class L>
auto on_the_way_to(const L& x) {
  using T = ElementOf<L>;
  if constexpr (std::same_as<T, double>) {
    auto normal = internal::f32_by_odd(x);
    if constexpr (std::same_as<U, float16>) {
      return normal;  // what is subnormal in f32 is 0
    } else {
      auto tiny = (abs(x) < 0x1p-126) & (x != 0.0);
      return if_any(tiny, normal, [&] { return internal::subnormal_f32_by_odd(x); });
    }
  } else if constexpr (std::same_as<T, float> || sizeof(T) <= 2) {
    return convert<float>(x);
  } else if constexpr (sizeof(T) == 4) {
    return convert<float>(internal::odd_integer<24>(x));
  } else {
    return internal::f32_by_odd(convert<double>(internal::odd_integer<53>(x)));
  }
}

/// The cast op from T to U on lanes of LaneOf<T>, giving LaneOf<U>. Each conversion rounds once, to nearest even.
template <class U, class T, class L>
auto cast(const L& x) {
  static_assert(std::same_as<ElementOf<L>, LaneOf<T>>);
  if constexpr (std::same_as<U, T>) {
    return x;
  } else if constexpr (!computes_itself(dtype_of<T>)) {
    return cast<U, float>(internal::widened<T>(x));
  } else if constexpr (!computes_itself(dtype_of<U>)) {
    return internal::narrowed<U, T>(on_the_way_to<U>(x));
  } else {
    return convert<U>(x);
  }
}

}  // namespace etch::math
