// The exceptions of Etch: Error for a mistake of its user, InternalError for one of its own.
#pragma once

#include <stdexcept>
#include <string>

namespace [[gnu::visibility("default")]] etch {

/// A user's mistake. what() names the op, the operand types, the user's file:line and the way out.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A bug of Etch: no input should be able to cause it. what() names the broken check and how to report it.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace etch
