// Numbers as text files write them, by std::from_chars.
#include "frontend/files/number_text.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace etch::detail {
namespace {

std::string_view trim(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

NumberError parse_bool(std::string_view text, bool& value) {
  for (const std::string_view word : {"1", "true", "True", "TRUE"}) {
    if (text == word) return value = true, NumberError::none;
  }
  for (const std::string_view word : {"0", "false", "False", "FALSE"}) {
    if (text == word) return value = false, NumberError::none;
  }
  return NumberError::malformed;
}

template <class T>
NumberError parse(std::string_view text, T& value) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::invalid_argument || last != end) {
    // An unsigned number does not begin with a sign, but -1 is a number.
    int64_t negative = 0;
    const auto [behind, none] = std::from_chars(text.data(), end, negative);
    const bool is_number =
        std::is_unsigned_v<T> && none != std::errc::invalid_argument && behind == end && negative < 0;
    return is_number ? NumberError::out_of_range : NumberError::malformed;
  }
  return error == std::errc() ? NumberError::none : NumberError::out_of_range;
}

template <class T>
NumberError parse_float(std::string_view text, T& value) {
  if (const NumberError error = parse(text, value); error != NumberError::out_of_range) return error;
  // Too large or too small; a double tells which, and of those beyond it the sign of the exponent.
  double wide = 0;
  if (std::is_same_v<T, float> && parse(text, wide) == NumberError::none) {
    if (std::abs(wide) > 1) return NumberError::out_of_range;
    value = static_cast<T>(wide);
    return NumberError::none;
  }
  const size_t exponent = text.find_first_of("eE");
  const bool is_small = exponent == text.npos ? text.find('.') <= 2 : text.substr(exponent + 1).starts_with('-');
  if (!is_small) return NumberError::out_of_range;
  value = text.starts_with('-') ? T{-0.0} : T{0};
  return NumberError::none;
}

template <class T>
NumberError parse_half(std::string_view text, T& value) {
  float wide = 0;
  if (const NumberError error = parse_float(text, wide); error != NumberError::none) return error;
  value = T(wide);
  return std::isinf(static_cast<float>(value)) && !std::isinf(wide) ? NumberError::out_of_range : NumberError::none;
}

}  // namespace

NumberError parse_number(std::string_view text, DType dtype, void* to) {
  text = trim(text);
  return dispatch(dtype, [&]<class T>() {
    T value{};
    NumberError error;
    if constexpr (std::is_same_v<T, bool>) {
      error = parse_bool(text, value);
    } else if constexpr (std::is_integral_v<T>) {
      error = parse(text, value);
    } else if constexpr (std::is_floating_point_v<T>) {
      error = parse_float(text, value);
    } else {
      error = parse_half(text, value);
    }
    if (error == NumberError::none) std::memcpy(to, &value, sizeof value);
    return error;
  });
}

}  // namespace etch::detail
