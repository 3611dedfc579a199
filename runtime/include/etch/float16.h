// The 16-bit floating-point numbers that tensors hold: storage and conversions. Arithmetic is done in float.
#pragma once

#include <bit>
#include <compare>
#include <concepts>
#include <cstdint>
#include <limits>

namespace [[gnu::visibility("default")]] etch {

/// A float of 16 bits, `kFractionBits` of them behind the leading one. Numbers become it by one rounding to nearest, ties
/// to even; what is too large becomes infinite. Its value as a float or double is exact.
template <int kFractionBits>
struct Float16 {
  uint16_t bits;

  Float16() = default;
  template <std::integral T>
  explicit constexpr Float16(T value) : bits(round(exact_or_odd(value))) {}
  explicit constexpr Float16(float value) : bits(round(value)) {}
  explicit constexpr Float16(double value) : bits(round(value)) {}

  static constexpr Float16 from_bits(uint16_t bits) {
    Float16 result{};
    result.bits = bits;
    return result;
  }

  explicit constexpr operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
    const uint32_t fraction = static_cast<uint32_t>(bits & kFractionMask) << (23 - kFractionBits);
    const int exponent = (bits & 0x7fff) >> kFractionBits;
    if (exponent == kSpecial) return std::bit_cast<float>(sign | 0x7f80'0000 | fraction);
    if (exponent > 0) {
      return std::bit_cast<float>(sign | static_cast<uint32_t>(exponent - kBias + 127) << 23 | fraction);
    }
    const float magnitude = static_cast<float>(bits & kFractionMask) * kLeast;
    return sign ? -magnitude : magnitude;
  }
  explicit constexpr operator double() const { return static_cast<float>(*this); }

  friend constexpr bool operator==(Float16 a, Float16 b) { return static_cast<float>(a) == static_cast<float>(b); }
  friend constexpr auto operator<=>(Float16 a, Float16 b) { return static_cast<float>(a) <=> static_cast<float>(b); }
  friend constexpr Float16 operator-(Float16 a) { return from_bits(a.bits ^ 0x8000); }

 private:
  static constexpr int kExponentBits = 15 - kFractionBits;
  static constexpr int kSpecial = (1 << kExponentBits) - 1;  // the exponent of infinities and NaNs
  static constexpr int kBias = kSpecial >> 1;
  static constexpr uint16_t kFractionMask = (1 << kFractionBits) - 1;
  static constexpr uint16_t kInfinity = kSpecial << kFractionBits;
  static constexpr float kLeast =  // the smallest positive number
      std::bit_cast<float>(kBias + kFractionBits < 127 ? static_cast<uint32_t>(128 - kBias - kFractionBits) << 23
                                                       : uint32_t{1} << (149 + 1 - kBias - kFractionBits));

  /// An integer as a double. Where that cannot be exact, a last bit stands for all that are lost, so that rounding it
  /// again gives what rounding the integer would.
  template <std::integral T>
  static constexpr double exact_or_odd(T value) {
    if constexpr (sizeof(T) < 8) {
      return static_cast<double>(value);
    } else {
      constexpr T kLost = 0x7ff;
      constexpr T kExact = T{1} << 53;
      const bool is_exact = value <= kExact && (std::unsigned_integral<T> || value >= -kExact);
      return static_cast<double>(is_exact || (value & kLost) == 0 ? value : (value & ~kLost) | (kLost + 1));
    }
  }

  static constexpr uint16_t round(double value) {
    const uint64_t pattern = std::bit_cast<uint64_t>(value);
    const auto sign = static_cast<uint16_t>(pattern >> 48 & 0x8000);
    const int exponent = static_cast<int>(pattern >> 52 & 0x7ff) - 1023;
    if (value != value) return sign | kInfinity | (kFractionMask + 1) >> 1;
    if (exponent > kBias) return sign | kInfinity;
    const int biased = exponent + kBias > 1 ? exponent + kBias : 1;  // of the result; subnormals have that of 1
    const int dropped = 52 - kFractionBits + (biased - kBias - exponent);
    if (dropped > 53) return sign;  // below half of the least number; subnormal doubles are among them
    const uint64_t significand = uint64_t{1} << 52 | (pattern & ((uint64_t{1} << 52) - 1));
    const uint64_t kept = significand >> dropped;
    const uint64_t rest = significand & ((uint64_t{1} << dropped) - 1);
    const uint64_t half = uint64_t{1} << (dropped - 1);
    const uint64_t rounded = kept + (rest > half || (rest == half && (kept & 1)));
    // A normal number's leading one adds 1 to the exponent, as does a carry out of the fraction.
    return static_cast<uint16_t>(sign | ((static_cast<uint64_t>(biased - 1) << kFractionBits) + rounded));
  }
};

/// The upper half of a float: its range, with 8 significant bits.
using bfloat16 = Float16<7>;
/// IEEE 754's binary16: 11 significant bits, up to 65,504.
using float16 = Float16<10>;

}  // namespace etch

template <int kFractionBits>
class std::numeric_limits<etch::Float16<kFractionBits>> {
  using Self = etch::Float16<kFractionBits>;
  static constexpr int kExponentBits = 15 - kFractionBits;
  static constexpr int kInfinity = ((1 << kExponentBits) - 1) << kFractionBits;

 public:
  static constexpr bool is_specialized = true;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = false;
  static constexpr bool is_exact = false;
  static constexpr bool has_infinity = true;
  static constexpr bool has_quiet_NaN = true;
  static constexpr bool is_iec559 = true;
  static constexpr bool is_bounded = true;
  static constexpr int radix = 2;
  static constexpr int digits = kFractionBits + 1;
  static constexpr int digits10 = kFractionBits * 30103 / 100000;
  static constexpr int max_digits10 = digits * 30103 / 100000 + 2;
  static constexpr int max_exponent = 1 << (kExponentBits - 1);
  static constexpr int min_exponent = 3 - max_exponent;

  static constexpr Self min() { return Self::from_bits(1 << kFractionBits); }
  static constexpr Self max() { return Self::from_bits(kInfinity - 1); }
  static constexpr Self lowest() { return -max(); }
  static constexpr Self epsilon() { return Self(1.0 / (1 << kFractionBits)); }
  static constexpr Self infinity() { return Self::from_bits(kInfinity); }
  static constexpr Self quiet_NaN() { return Self::from_bits(kInfinity | 1 << (kFractionBits - 1)); }
  static constexpr Self denorm_min() { return Self::from_bits(1); }
};
