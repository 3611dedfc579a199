// The one exception type that Etch throws for a mistake of its user.
#pragma once

#include <stdexcept>
#include <string>

namespace etch {

/// A user's mistake. what() names the op, the operand types, the user's file:line and the way out.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace etch
