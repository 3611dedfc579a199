// The 'lanes' concept that all vector mathematics is written for, and its native one-lane model Scalar<T>.
//
// A lanes type L stands for one or more values of an element type T = L::value_type that are computed in lockstep.
// T is float, double, an integer of 8 to 64 bits, or bool. Two models exist: Scalar<T> here, which computes at once,
// and codegen::Vec<T>, which emits LLVM IR. A function template over L that uses only what follows gives the same bits
// in both (the sign and payload of a NaN excepted), so constant folding agrees with compiled code.
//
//   L::rebind<U>                 the lanes type of the same width with elements U
//   a + b, a - b, a * b, -a      integers wrap; floats round to nearest even, never contracted
//   a / b                        floats IEEE; integers truncate, and the caller keeps b != 0 and INT_MIN / -1 away
//   a % b                        integers only, the sign of a, same duty of the caller
//   a < b ... a == b, a != b     -> L::rebind<bool>; ordered but for !=, as in C
//   a & b, a | b, a ^ b, ~a      integers and bool
//   a << n, a >> n               integers, 0 <= n < bits; >> fills with the sign (with 0 for unsigned ones)
//   shr_logical(a, n)            integers, fills with 0
//   like(a, c)                   the constant c in a's width
//   select(m, a, b)              m ? a : b; a or b may be a plain constant
//   fma(a, b, c)                 one rounding; any operand but one may be a plain constant
//   minimum(a, b), maximum(a, b)  floats: NaN if either is NaN; a if they are equal, whatever the signs of zeros
//   sqrt, floor, ceil, trunc, round_even, copysign, abs; popcount, clz (integers; clz(0) is the number of bits)
//   bitcast<U>(a)                same size
//   convert<U>(a)                the `cast` op: to float rounds to nearest even; float to integer truncates and
//                                saturates, NaN gives 0; integers wrap when narrowed; to bool is a != 0; from bool is
//                                0 or 1
//   convert_in_range<U>(a)       float to integer where the caller knows that the truncated value fits
//   if_any(m, fast, slow)        lanes where m holds take slow(), which runs only if some lane needs it; fast is a lane
//                                value or a std::array of them, as is slow's result
//   while_any(state, more, body) a lane's state (std::array of L) goes through body as long as more(state) holds for it
//   scales_at_once(a)            whether scale_or_zero is one instruction for the float lanes of a
//   scale_or_zero(a, k, m)       a * 2^k rounded once where m holds, else +0, which needs no sense in a or k; k is an integer there
//   lookup(table, i)             the float table[i modulo 8] of a std::array, for int32_t lanes i
//   fold_table(state, table, body)  state = body(state, c) for each constant c of a std::array; a loop, never unrolled
//
// Either side of a binary operator may be a plain T.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace etch::math {

/// Lets one side of an operator of the lanes type L be a constant of its element type T.
template <class L, class T>
struct ConstantOperands {
#define ETCH_LANES_MIXED(op)                                           \
  friend auto operator op(const L& a, T b) { return a op like(a, b); } \
  friend auto operator op(T a, const L& b) { return like(b, a) op b; }
  ETCH_LANES_MIXED(+)
  ETCH_LANES_MIXED(-)
  ETCH_LANES_MIXED(*)
  ETCH_LANES_MIXED(/)
  ETCH_LANES_MIXED(%)
  ETCH_LANES_MIXED(<)
  ETCH_LANES_MIXED(<=)
  ETCH_LANES_MIXED(>)
  ETCH_LANES_MIXED(>=)
  ETCH_LANES_MIXED(==)
  ETCH_LANES_MIXED(!=)
  ETCH_LANES_MIXED(&)
  ETCH_LANES_MIXED(|)
  ETCH_LANES_MIXED(^)
#undef ETCH_LANES_MIXED
  friend L operator<<(const L& a, T n) { return a << like(a, n); }
  friend L operator>>(const L& a, T n) { return a >> like(a, n); }
  friend L shr_logical(const L& a, T n) { return shr_logical(a, like(a, n)); }
  template <class M>
  friend L select(const M& mask, const L& a, T b) {
    return select(mask, a, like(a, b));
  }
  template <class M>
  friend L select(const M& mask, T a, const L& b) {
    return select(mask, like(b, a), b);
  }
  friend L fma(const L& a, const L& b, T c) { return fma(a, b, like(a, c)); }
  friend L fma(const L& a, T b, const L& c) { return fma(a, like(a, b), c); }
  friend L fma(T a, const L& b, const L& c) { return fma(like(b, a), b, c); }
  friend L fma(const L& a, T b, T c) { return fma(a, like(a, b), like(a, c)); }
  friend L minimum(const L& a, T b) { return minimum(a, like(a, b)); }
  friend L maximum(const L& a, T b) { return maximum(a, like(a, b)); }
  friend L copysign(T a, const L& b) { return copysign(like(b, a), b); }
};

/// One native value as lanes of width 1.
template <class T>
struct Scalar : ConstantOperands<Scalar<T>, T> {
  using value_type = T;
  template <class U>
  using rebind = Scalar<U>;
  using Mask = Scalar<bool>;

  T v;

  explicit constexpr Scalar(T value) : v(value) {}

  friend Scalar like(const Scalar&, T c) { return Scalar(c); }

  friend Scalar operator+(const Scalar& a, const Scalar& b) {
    return wrap(a, b, [](auto x, auto y) { return x + y; });
  }
  friend Scalar operator-(const Scalar& a, const Scalar& b) {
    return wrap(a, b, [](auto x, auto y) { return x - y; });
  }
  friend Scalar operator*(const Scalar& a, const Scalar& b) {
    return wrap(a, b, [](auto x, auto y) { return x * y; });
  }
  friend Scalar operator/(const Scalar& a, const Scalar& b) { return Scalar(static_cast<T>(a.v / b.v)); }
  friend Scalar operator%(const Scalar& a, const Scalar& b) { return Scalar(static_cast<T>(a.v % b.v)); }
  friend Scalar operator-(const Scalar& a) {
    if constexpr (std::is_floating_point_v<T>) {
      return Scalar(-a.v);
    } else {
      return Scalar(T{0}) - a;
    }
  }

  friend Mask operator<(const Scalar& a, const Scalar& b) { return Mask(a.v < b.v); }
  friend Mask operator<=(const Scalar& a, const Scalar& b) { return Mask(a.v <= b.v); }
  friend Mask operator>(const Scalar& a, const Scalar& b) { return Mask(a.v > b.v); }
  friend Mask operator>=(const Scalar& a, const Scalar& b) { return Mask(a.v >= b.v); }
  friend Mask operator==(const Scalar& a, const Scalar& b) { return Mask(a.v == b.v); }
  friend Mask operator!=(const Scalar& a, const Scalar& b) { return Mask(a.v != b.v); }

  friend Scalar operator&(const Scalar& a, const Scalar& b) { return Scalar(static_cast<T>(a.v & b.v)); }
  friend Scalar operator|(const Scalar& a, const Scalar& b) { return Scalar(static_cast<T>(a.v | b.v)); }
  friend Scalar operator^(const Scalar& a, const Scalar& b) { return Scalar(static_cast<T>(a.v ^ b.v)); }
  friend Scalar operator~(const Scalar& a) {
    if constexpr (std::same_as<T, bool>) {
      return Scalar(!a.v);
    } else {
      return Scalar(static_cast<T>(~a.v));
    }
  }
  friend Scalar operator<<(const Scalar& a, const Scalar& n) {
    return Scalar(static_cast<T>(static_cast<std::make_unsigned_t<T>>(a.v) << n.v));
  }
  friend Scalar operator>>(const Scalar& a, const Scalar& n) { return Scalar(static_cast<T>(a.v >> n.v)); }
  friend Scalar shr_logical(const Scalar& a, const Scalar& n) {
    return Scalar(static_cast<T>(static_cast<std::make_unsigned_t<T>>(a.v) >> n.v));
  }

  friend Scalar select(const Mask& m, const Scalar& a, const Scalar& b) { return m.v ? a : b; }
  friend Scalar fma(const Scalar& a, const Scalar& b, const Scalar& c) { return Scalar(std::fma(a.v, b.v, c.v)); }
  friend Scalar minimum(const Scalar& a, const Scalar& b) { return b.v < a.v || b.v != b.v ? b : a; }
  friend Scalar maximum(const Scalar& a, const Scalar& b) { return b.v > a.v || b.v != b.v ? b : a; }
  friend Scalar sqrt(const Scalar& a) { return Scalar(std::sqrt(a.v)); }
  friend Scalar floor(const Scalar& a) { return Scalar(std::floor(a.v)); }
  friend Scalar ceil(const Scalar& a) { return Scalar(std::ceil(a.v)); }
  friend Scalar trunc(const Scalar& a) { return Scalar(std::trunc(a.v)); }
  friend Scalar round_even(const Scalar& a) { return Scalar(std::nearbyint(a.v)); }
  friend Scalar copysign(const Scalar& a, const Scalar& b) { return Scalar(std::copysign(a.v, b.v)); }
  friend Scalar abs(const Scalar& a) {
    if constexpr (std::is_floating_point_v<T>) {
      return Scalar(std::fabs(a.v));
    } else if constexpr (std::is_signed_v<T>) {
      return a.v < 0 ? -a : a;
    } else {
      return a;
    }
  }
  friend Scalar popcount(const Scalar& a) {
    return Scalar(static_cast<T>(std::popcount(static_cast<std::make_unsigned_t<T>>(a.v))));
  }
  friend Scalar clz(const Scalar& a) {
    return Scalar(static_cast<T>(std::countl_zero(static_cast<std::make_unsigned_t<T>>(a.v))));
  }

 private:
  /// Integer arithmetic is done in an unsigned type at least as wide as unsigned int, where wrapping is defined.
  template <class F>
  static Scalar wrap(const Scalar& a, const Scalar& b, F f) {
    if constexpr (std::is_floating_point_v<T>) {
      return Scalar(f(a.v, b.v));
    } else {
      using U = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
      return Scalar(static_cast<T>(f(static_cast<U>(a.v), static_cast<U>(b.v))));
    }
  }
};

template <class U, class T>
Scalar<U> bitcast(const Scalar<T>& a) {
  return Scalar<U>(std::bit_cast<U>(a.v));
}

template <class U, class T>
Scalar<U> convert_in_range(const Scalar<T>& a) {
  return Scalar<U>(static_cast<U>(a.v));
}

template <class U, class T>
Scalar<U> convert(const Scalar<T>& a) {
  if constexpr (std::same_as<U, bool>) {
    return Scalar<bool>(a.v != T{0});
  } else if constexpr (std::is_floating_point_v<T> && std::is_integral_v<U>) {
    using Limits = std::numeric_limits<U>;
    // The first value above the range is a power of two, so T holds it exactly.
    constexpr T kEnd = static_cast<T>(Limits::max() / 2 + 1) * 2;
    if (a.v != a.v) return Scalar<U>(0);
    if (a.v >= kEnd) return Scalar<U>(Limits::max());
    if (a.v <= static_cast<T>(Limits::min())) return Scalar<U>(Limits::min());
    return Scalar<U>(static_cast<U>(a.v));
  } else {
    return Scalar<U>(static_cast<U>(a.v));
  }
}

template <class T, class F>
Scalar<T> if_any(const Scalar<bool>& mask, const Scalar<T>& fast, F&& slow) {
  return mask.v ? slow() : fast;
}

template <class T, size_t K, class F>
std::array<Scalar<T>, K> if_any(const Scalar<bool>& mask, const std::array<Scalar<T>, K>& fast, F&& slow) {
  return mask.v ? slow() : fast;
}

template <class T, size_t K, class More, class Body>
std::array<Scalar<T>, K> while_any(std::array<Scalar<T>, K> state, More&& more, Body&& body) {
  while (more(state).v) state = body(state);
  return state;
}

template <class T>
constexpr bool scales_at_once(const Scalar<T>&) {
  return false;
}

template <class T>
Scalar<T> scale_or_zero(const Scalar<T>& a, const Scalar<T>& k, const Scalar<bool>& m) {
  return Scalar<T>(m.v ? std::scalbn(a.v, static_cast<int>(k.v)) : T{0});
}

inline Scalar<float> lookup(const std::array<float, 8>& table, const Scalar<int32_t>& i) {
  return Scalar<float>(table[i.v & 7]);
}

template <class T, size_t K, size_t N, class Body>
std::array<Scalar<T>, K> fold_table(std::array<Scalar<T>, K> state, const std::array<T, N>& table, Body&& body) {
  for (T c : table) state = body(state, Scalar<T>(c));
  return state;
}

template <class L>
using ElementOf = typename L::value_type;

/// The integer type of the same size as the element type of L: int32_t for float, int64_t for double.
template <class L>
using IntOf = std::conditional_t<sizeof(ElementOf<L>) == 4, int32_t, int64_t>;

template <class L>
inline constexpr bool kIsFloat = std::is_floating_point_v<ElementOf<L>>;

template <class L>
inline constexpr bool kIsF32 = std::same_as<ElementOf<L>, float>;

}  // namespace etch::math
