// The fields of ops as text.
#include "compiler/ir/field_text.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace etch {
namespace {

template <class T>
bool is_nan(T value) {
  return value != value;
}

template <class T>
std::string number_text(T value) {
  char buffer[64];
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

/// The fewest digits that tell a 16-bit float from its neighbours.
template <int kFractionBits>
std::string number_text(Float16<kFractionBits> value) {
  char buffer[64];
  for (int digits = 1;; ++digits) {
    char* end =
        std::to_chars(buffer, buffer + sizeof buffer, static_cast<double>(value), std::chars_format::general, digits).ptr;
    double read = 0;
    std::from_chars(buffer, end, read);
    if (Float16<kFractionBits>(read).bits == value.bits) return std::string(buffer, end);
  }
}

template <class T>
std::string float_text(T value) {
  if (value == value) return number_text(value);
  const uint64_t bits = to_bits(value);
  if (bits == to_bits(std::numeric_limits<T>::quiet_NaN())) return "nan";
  char buffer[32];
  return "nan:0x" + std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, bits, 16).ptr);
}

template <class T>
std::optional<uint64_t> parse_number(std::string_view text, int base = 10) {
  // A decimal that is not one of f64 is rounded to it on its way to 16 bits.
  std::conditional_t<computes_itself(dtype_of<T>), T, double> value{};
  std::from_chars_result result{};
  if constexpr (is_floating(dtype_of<T>)) {
    result = std::from_chars(text.data(), text.data() + text.size(), value);
  } else {
    result = std::from_chars(text.data(), text.data() + text.size(), value, base);
  }
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  const T rounded = static_cast<T>(value);
  if constexpr (!computes_itself(dtype_of<T>)) {
    if (std::isinf(static_cast<float>(rounded)) && !std::isinf(value)) return std::nullopt;
  }
  return to_bits(rounded);
}

template <class T>
std::optional<uint64_t> parse_float(std::string_view text) {
  constexpr std::string_view kNanPrefix = "nan:0x";
  if (text == "nan") return to_bits(std::numeric_limits<T>::quiet_NaN());
  if (!text.starts_with(kNanPrefix)) {
    const auto bits = parse_number<T>(text);
    return bits && is_nan(from_bits<T>(*bits)) ? std::nullopt : bits;
  }
  const auto bits = parse_number<uint64_t>(text.substr(kNanPrefix.size()), 16);
  const bool fits = bits && to_bits(from_bits<T>(*bits)) == *bits;
  return fits && is_nan(from_bits<T>(*bits)) ? bits : std::nullopt;
}

std::string field_text(int64_t value, DType) { return std::to_string(value); }
std::string field_text(bool flag, DType) { return flag ? "true" : "false"; }
std::string field_text(uint64_t bits, DType dtype) { return constant_text(bits, dtype); }
std::string field_text(const Dims& dims, DType) { return to_string(dims); }
std::string field_text(ReduceKind kind, DType) { return std::string(name(kind)); }
std::string field_text(const Region& region, DType) { return to_string(region); }
std::string field_text(const Host& host, DType) { return to_string(host); }

}  // namespace

std::string constant_text(uint64_t bits, DType dtype) {
  return dispatch(dtype, [&]<class T>() -> std::string {
    if constexpr (std::is_same_v<T, bool>) {
      return bits ? "true" : "false";
    } else if constexpr (is_floating(dtype_of<T>)) {
      return float_text(from_bits<T>(bits));
    } else {
      return number_text(from_bits<T>(bits));
    }
  });
}

std::optional<uint64_t> parse_constant(std::string_view text, DType dtype) {
  return dispatch(dtype, [&]<class T>() -> std::optional<uint64_t> {
    if constexpr (std::is_same_v<T, bool>) {
      if (text != "true" && text != "false") return std::nullopt;
      return text == "true";
    } else if constexpr (is_floating(dtype_of<T>)) {
      return parse_float<T>(text);
    } else {
      return parse_number<T>(text);
    }
  });
}

std::string fields_text(const AnyOp& op, DType dtype, bool with_regions) {
  std::string text;
  op.visit([&]<class T>(const T& fields) {
    if constexpr (!std::is_same_v<T, Row>) {
      for_each_field(fields, [&]<class Field>(std::string_view name, const Field& field) {
        if constexpr (T::kTraits.place == Place::region && std::is_same_v<Field, int64_t>) {
          if (field == 0) return;
        }
        if constexpr (std::is_same_v<Field, Mark>) {
          if (field) text.append(" ").append(name);
        } else if (with_regions || !std::is_same_v<Field, Region>) {
          text.append(" ").append(name).append("=").append(field_text(field, dtype));
        }
      });
    }
  });
  return text;
}

}  // namespace etch
