// Parts of files in the texts of errors.
#pragma once

#include <string>
#include <string_view>

namespace etch::detail {

/// Text of a file for an error message: short and printable.
inline std::string quote(std::string_view text) {
  constexpr size_t kLongest = 32;
  std::string quoted = "'";
  for (char c : text.substr(0, kLongest)) quoted += c >= ' ' && c <= '~' ? c : '?';
  return quoted + (text.size() > kLongest ? "...'" : "'");
}

}  // namespace etch::detail
