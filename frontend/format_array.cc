// Arrays as text, as NumPy writes them: choose the elements to show, make words of one width, lay them out in lines.
#include "frontend/format_array.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <vector>

namespace etch::detail {
namespace {

constexpr int kPrecision = 8;          // digits after the point
constexpr int64_t kThreshold = 1'000;  // more elements are summarised
constexpr int64_t kEdgeItems = 3;      // shown at either end of a summarised axis
constexpr int kLineWidth = 75;

/// A finite float in decimal: sign, digits[0] . digits[1...] * 10^exponent.
struct Decimal {
  bool negative = false;
  std::string digits;
  int exponent = 0;

  int fraction_digits() const { return static_cast<int>(digits.size()) - 1 - exponent; }
};

Decimal parse_scientific(std::string_view text) {
  Decimal decimal;
  decimal.negative = text.starts_with('-');
  const size_t e = text.find('e');
  for (char c : text.substr(0, e)) {
    if (c >= '0' && c <= '9') decimal.digits += c;
  }
  decimal.exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  return decimal;
}

/// The fewest digits that tell the value from all others of its type.
template <int kFractionBits>
Decimal shortest(Float16<kFractionBits> value) {
  for (int fraction = 0;; ++fraction) {
    char text[64];
    const auto end = std::to_chars(text, text + sizeof(text), static_cast<double>(value),
                                   std::chars_format::scientific, fraction).ptr;
    double read = 0;
    std::from_chars(text, end, read);
    if (Float16<kFractionBits>(read) == value) return parse_scientific({text, end});
  }
}

template <class T>
Decimal shortest(T value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value, std::chars_format::scientific).ptr;
  return parse_scientific({text, end});
}

/// The exact value, rounded to `fraction` digits after the first one.
template <class T>
Decimal rounded(T value, int fraction) {
  char text[64];
  const auto end =
      std::to_chars(text, text + sizeof(text), static_cast<double>(value), std::chars_format::scientific, fraction).ptr;
  return parse_scientific({text, end});
}

void trim_zeros(std::string& text) { text.erase(text.find_last_not_of('0') + 1); }

/// A number split at its point; `exponent` is empty in positional notation, else such as `+08`.
struct Word {
  std::string whole;
  std::string fraction;
  std::string exponent;
};

std::string exponent_text(int exponent, int digits) {
  std::string text = std::to_string(std::abs(exponent));
  text.insert(0, std::max<int>(0, digits - static_cast<int>(text.size())), '0');
  return (exponent < 0 ? "-" : "+") + text;
}

/// Positional notation: zeros where the decimal has no digits, none at the end of the fraction.
Word positional(const Decimal& d) {
  const int whole_digits = std::max(d.exponent + 1, 0);
  std::string digits = d.exponent < 0 ? std::string(-d.exponent - 1, '0') + d.digits : d.digits;
  if (static_cast<int>(digits.size()) < whole_digits) digits.resize(whole_digits, '0');
  Word word{(d.negative ? "-" : "") + (whole_digits ? digits.substr(0, whole_digits) : "0"),
            digits.substr(whole_digits), ""};
  trim_zeros(word.fraction);
  return word;
}

/// Positional notation with at most kPrecision digits after the point. NumPy fills digits before the point that the
/// shortest decimal lacks with those of the exact value.
template <class T>
Word short_positional(T value) {
  const Decimal decimal = shortest(value);
  if (decimal.fraction_digits() < 0) return positional(rounded(value, decimal.exponent));
  if (decimal.fraction_digits() <= kPrecision) return positional(decimal);
  char text[400];
  const auto end =
      std::to_chars(text, text + sizeof(text), static_cast<double>(value), std::chars_format::fixed, kPrecision).ptr;
  const std::string_view fixed(text, end - text);
  const size_t point = fixed.find('.');
  Word word{std::string(fixed.substr(0, point)), std::string(fixed.substr(point + 1)), ""};
  trim_zeros(word.fraction);
  return word;
}

Word scientific(const Decimal& d, int exponent_digits) {
  return {(d.negative ? "-" : "") + d.digits.substr(0, 1), d.digits.substr(1),
          exponent_text(d.exponent, exponent_digits)};
}

/// Scientific notation with at most kPrecision digits after the point.
template <class T>
Word short_scientific(T value) {
  Decimal decimal = shortest(value);
  if (static_cast<int>(decimal.digits.size()) > kPrecision + 1) decimal = rounded(value, kPrecision);
  Word word = scientific(decimal, 2);
  trim_zeros(word.fraction);
  return word;
}

/// Scientific notation with exactly `fraction` digits after the point. NumPy fills a number that needs fewer up with
/// the digits of its exact value, not with zeros.
template <class T>
Word padded_scientific(T value, int fraction, int exponent_digits) {
  const Decimal decimal = shortest(value);
  const bool fits = static_cast<int>(decimal.digits.size()) == fraction + 1;
  return scientific(fits ? decimal : rounded(value, fraction), exponent_digits);
}

/// NumPy's choice for an array: scientific when positional would be too long or lose small values.
template <class T>
bool needs_scientific(const std::vector<T>& values) {
  using Computed = std::conditional_t<computes_itself(dtype_of<T>), T, float>;
  Computed smallest = std::numeric_limits<Computed>::infinity();
  Computed largest = 0;
  for (T element : values) {
    const auto value = static_cast<Computed>(element);
    if (!std::isfinite(value) || value == 0) continue;
    smallest = std::min(smallest, std::abs(value));
    largest = std::max(largest, std::abs(value));
  }
  if (largest == 0) return false;
  return largest >= Computed(1e8) || static_cast<double>(smallest) < 1e-4 ||
         static_cast<T>(largest / smallest) > static_cast<T>(1000);
}

template <class T>
bool is_finite(T value) {
  return std::isfinite(static_cast<double>(value));
}

/// NaN or an infinity.
template <class T>
std::string special_text(T value) {
  return value != value ? "nan" : value < T{} ? "-inf" : "inf";
}

std::string aligned_right(std::string text, size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

template <class T>
std::vector<std::string> float_words(const std::vector<T>& values) {
  const bool use_scientific = needs_scientific(values);
  size_t whole = 0;
  size_t fraction = 0;
  size_t exponent = 0;
  bool any_finite = false;
  bool any_special = false;
  bool any_negative_infinity = false;
  for (T value : values) {
    if (!is_finite(value)) {
      any_special = true;
      any_negative_infinity |= value == -std::numeric_limits<T>::infinity();
      continue;
    }
    any_finite = true;
    const Word word = use_scientific ? short_scientific(value) : short_positional(value);
    whole = std::max(whole, word.whole.size());
    fraction = std::max(fraction, word.fraction.size());
    exponent = std::max(exponent, word.exponent.size());
  }
  const size_t tail = any_finite ? 1 + fraction + (use_scientific ? 1 + exponent : 0) : 1;  // from the point on
  size_t width = whole + tail;
  if (any_special) width = std::max<size_t>(width, any_negative_infinity ? 4 : 3);

  std::vector<std::string> words;
  words.reserve(values.size());
  for (T value : values) {
    if (!is_finite(value)) {
      words.push_back(aligned_right(special_text(value), width));
    } else if (use_scientific) {
      const Word word = padded_scientific(value, static_cast<int>(fraction), static_cast<int>(exponent) - 1);
      words.push_back(aligned_right(word.whole + "." + word.fraction + "e" + word.exponent, width));
    } else {
      Word word = short_positional(value);
      word.fraction.resize(fraction, ' ');
      words.push_back(aligned_right(word.whole + "." + word.fraction, width));
    }
  }
  return words;
}

/// The words of an array of rank 1 or more, all of one width.
template <class T>
std::vector<std::string> words_of(const std::vector<T>& values) {
  if constexpr (is_floating(dtype_of<T>)) {
    return float_words(values);
  } else {
    std::vector<std::string> words;
    words.reserve(values.size());
    size_t width = 0;
    for (T value : values) {
      words.push_back(std::is_same_v<T, bool> ? (value ? " True" : "False") : std::to_string(value));
      width = std::max(width, words.back().size());
    }
    for (std::string& word : words) word = aligned_right(std::move(word), width);
    return words;
  }
}

/// NumPy's text of a scalar: all digits, scientific below 1e-4 and from 1e16 on.
template <class T>
std::string scalar_text(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "True" : "False";
  } else if constexpr (is_floating(dtype_of<T>)) {
    if (!is_finite(value)) return special_text(value);
    const double magnitude = std::abs(static_cast<double>(value));
    if (magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16)) {
      const Word word = positional(shortest(value));
      return word.whole + "." + (word.fraction.empty() ? "0" : word.fraction);
    }
    const Word word = scientific(shortest(value), 2);
    return word.whole + (word.fraction.empty() ? "" : "." + word.fraction) + "e" + word.exponent;
  } else {
    return std::to_string(value);
  }
}

/// The part of an array that is shown: all of it, or both ends of each long axis.
class Layout {
 public:
  explicit Layout(const Shape& shape) : shape_(shape), summarised_(shape.product() > kThreshold) {}

  template <class T>
  std::vector<T> shown(const T* data) const {
    std::vector<T> values;
    collect(data, 0, 0, row_major_strides(shape_), values);
    return values;
  }

  /// Consumes one word for each element shown.
  std::string text(const std::vector<std::string>& words) const {
    size_t next = 0;
    return block(0, words, next);
  }

 private:
  bool is_cut(int axis) const { return summarised_ && shape_[axis] > 2 * kEdgeItems; }
  int64_t shown_items(int axis) const { return is_cut(axis) ? 2 * kEdgeItems : shape_[axis]; }

  template <class T>
  void collect(const T* data, int axis, int64_t offset, const Dims& strides, std::vector<T>& values) const {
    if (axis == shape_.rank()) {
      values.push_back(data[offset]);
      return;
    }
    for (int64_t i = 0; i < shown_items(axis); ++i) {
      const int64_t index = is_cut(axis) && i >= kEdgeItems ? shape_[axis] - 2 * kEdgeItems + i : i;
      collect(data, axis + 1, offset + index * strides[axis], strides, values);
    }
  }

  /// The brackets of one sub-array with what is in them.
  std::string block(int axis, const std::vector<std::string>& words, size_t& next) const {
    if (axis == shape_.rank() - 1) return row(axis, words, next);
    const std::string separator = std::string(shape_.rank() - 1 - axis, '\n') + std::string(axis + 1, ' ');
    std::string text = "[";
    for (int64_t i = 0; i < shown_items(axis); ++i) {
      if (i > 0) text += separator;
      if (is_cut(axis) && i == kEdgeItems) text += "..." + separator;
      text += block(axis + 1, words, next);
    }
    return text + "]";
  }

  /// The elements of a last axis, broken into lines that leave room for the closing brackets.
  std::string row(int axis, const std::vector<std::string>& words, size_t& next) const {
    const size_t indent = axis + 1;
    const size_t width = kLineWidth - axis - 1;
    std::string text = "[";
    size_t line = indent;  // columns used
    const auto append = [&](std::string_view word) {
      if (line > indent) {
        text += ' ';
        ++line;
      }
      if (line > indent && line + word.size() > width) {
        text.erase(text.find_last_not_of(' ') + 1);
        text += '\n' + std::string(indent, ' ');
        line = indent;
      }
      text += word;
      line += word.size();
    };
    for (int64_t i = 0; i < shown_items(axis); ++i) {
      if (is_cut(axis) && i == kEdgeItems) append("...");
      append(words[next++]);
    }
    return text + "]";
  }

  const Shape& shape_;
  bool summarised_;
};

}  // namespace

std::string format_array(DType dtype, const void* data, const Shape& shape) {
  if (shape.product() == 0) return "[]";
  return dispatch(dtype, [&]<class T>() {
    const T* elements = static_cast<const T*>(data);
    if (shape.empty()) return scalar_text(*elements);
    const Layout layout(shape);
    return layout.text(words_of(layout.shown(elements)));
  });
}

}  // namespace etch::detail
