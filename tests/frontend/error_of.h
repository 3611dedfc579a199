// What tests of the frontend ask of calls: the text of the Error they throw.
#pragma once

#include <string>

#include "etch/error.h"

namespace etch {

/// What the Error that `f()` throws says, or `no error`.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace etch
