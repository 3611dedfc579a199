// Patterns of file names.
#include "frontend/checkpoint/file_name.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// `02d` of Python.
struct Format {
  bool has_zeros = false;
  int width = 0;
  std::optional<int> precision;
  char type = 0;
};

/// A number of at most two digits.
int take_number(std::string_view& text) {
  int number = 0;
  for (int i = 0; i < 2 && !text.empty() && is_digit(text[0]); ++i) {
    number = 10 * number + (text[0] - '0');
    text.remove_prefix(1);
  }
  return number;
}

Format parse_format(std::string_view text, std::string_view whole) {
  Format format;
  if (text.starts_with('0')) {
    format.has_zeros = true;
    text.remove_prefix(1);
  }
  format.width = take_number(text);
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    if (text.empty() || !is_digit(text[0])) throw Error(cat("`", whole, "` has a precision without a number"));
    format.precision = take_number(text);
  }
  if (!text.empty()) {
    format.type = text[0];
    text.remove_prefix(1);
  }
  const bool is_known = text.empty() && std::string_view("dfeg\0", 5).find(format.type) != std::string_view::npos;
  if (!is_known) {
    throw Error(cat("`", whole, "` has a format that is none; formats are as in {epoch:02d} and {loss:.3f}"));
  }
  return format;
}

std::string text_of(double value, const Format& format) {
  const bool is_whole =
      format.type == 'd' || (format.type == 0 && value == std::rint(value) && std::fabs(value) < 1e15);
  std::string digits;
  if (is_whole && !format.precision) digits = absl::StrFormat("%.0f", value);
  else if (format.type == 'f') digits = absl::StrFormat("%.*f", format.precision.value_or(6), value);
  else if (format.type == 'e') digits = absl::StrFormat("%.*e", format.precision.value_or(6), value);
  else digits = absl::StrFormat("%.*g", format.precision.value_or(6), value);
  const auto width = static_cast<size_t>(format.width);
  if (digits.size() >= width) return digits;
  const size_t sign = digits.starts_with('-') ? 1 : 0;
  return digits.insert(format.has_zeros ? sign : 0, width - digits.size(), format.has_zeros ? '0' : ' ');
}

}  // namespace

std::string format_file_name(std::string_view pattern, const NamedNumbers& numbers) {
  std::string text;
  while (!pattern.empty()) {
    const char first = pattern[0];
    const bool is_double = pattern.size() > 1 && pattern[1] == first;
    if ((first != '{' && first != '}') || is_double) {
      text += first;
      pattern.remove_prefix(first == '{' || first == '}' ? 2 : 1);
      continue;
    }
    const size_t end = pattern.find('}');
    if (first == '}' || end == std::string_view::npos) {
      throw Error(cat("a brace of `", pattern, "` has no counterpart"));
    }
    const std::string_view whole = pattern.substr(0, end + 1);
    const std::string_view inside = pattern.substr(1, end - 1);
    const size_t colon = std::min(inside.find(':'), inside.size());
    const std::string_view name = inside.substr(0, colon);
    const Format format = parse_format(inside.substr(std::min(colon + 1, inside.size())), whole);
    const std::optional<double> value = numbers(name);
    if (!value) throw Error(cat("there is no `", name, "`"));
    text += text_of(*value, format);
    pattern.remove_prefix(end + 1);
  }
  return text;
}

}  // namespace etch::detail
