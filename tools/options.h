// The command lines of the tools: options of the form --name and --name=value, and one line on the standard error for
// what is wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/codegen/target.h"

namespace etch {

/// A wrong command line or file: one line, exit code 2.
struct BadInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One word of a command line.
struct Argument {
  std::string name;   // without the dashes; empty if it is no option
  std::string value;  // behind the equals sign, or the whole word if it is no option
  bool has_value = false;

  /// True for this option, which takes no value. BadInput if it has one.
  bool is(std::string_view option) const;
  /// True for this option, which needs a value. BadInput if it has none.
  bool takes(std::string_view option) const;
  /// The value as a number. BadInput if it is none, or less than `least`.
  int64_t number(int64_t least) const;
  [[noreturn]] void fail_unknown(std::string_view tool) const;
};

std::vector<Argument> arguments(int argc, char** argv);

/// The target of this name. BadInput, with the names that there are, if there is none.
const Target& target_of(const std::string& name);

/// Prints and ends the process well.
[[noreturn]] void show_help(std::string_view text);

/// The exit code of `run`, or 2 and the message of what it throws, on one line.
int run_tool(std::string_view tool, const std::function<int()>& run);

}  // namespace etch
