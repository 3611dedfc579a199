// Joins strings and numbers into messages.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace etch {

/// The arguments, strings and integers, one after the other.
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::string text;
  const auto append = [&]<class P>(const P& part) {
    if constexpr (std::integral<P>) {
      text += std::to_string(part);
    } else {
      text += std::string_view(part);
    }
  };
  (append(parts), ...);
  return text;
}

}  // namespace etch
