// What a callable prints, and the Error that it throws (error_of).
#pragma once

#include <etch/effects.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/frontend/error_of.h"

namespace etch {

/// The lines that it prints.
template <class F>
std::vector<std::string> lines_of(F f) {
  std::vector<std::string> lines;
  const ScopedPrintSink sink([&](std::string_view line) { lines.emplace_back(line); });
  f();
  return lines;
}

}  // namespace etch
