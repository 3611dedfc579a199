// What a callable prints, and the Error that it throws.
#pragma once

#include <etch/effects.h>
#include <etch/error.h>

#include <string>
#include <string_view>
#include <vector>

namespace etch {

/// The lines that it prints.
template <class F>
std::vector<std::string> lines_of(F f) {
  std::vector<std::string> lines;
  const ScopedPrintSink sink([&](std::string_view line) { lines.emplace_back(line); });
  f();
  return lines;
}

/// The text of its Error.
template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace etch
