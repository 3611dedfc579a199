// The one door by which Etch's own bugs leave: a check that does not hold.
#pragma once

#include <string_view>

#include "etch/error.h"

namespace etch::detail {

/// Throws InternalError: where, the condition that does not hold, what that means, and how to report it.
[[noreturn]] void fail_check(const char* file, int line, const char* condition, std::string_view message);

}  // namespace etch::detail

/// Throws etch::InternalError unless the condition holds, which only a bug of Etch can break. `message`, a text or
/// anything that becomes a std::string_view, says what is wrong; it is made only then.
#define ETCH_CHECK(condition, message) \
  ((condition) ? static_cast<void>(0) : ::etch::detail::fail_check(__FILE__, __LINE__, #condition, message))

/// Throws etch::InternalError: this place is not reached unless Etch has a bug.
#define ETCH_UNREACHABLE(message) ::etch::detail::fail_check(__FILE__, __LINE__, "", message)
