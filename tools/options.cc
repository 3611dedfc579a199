// The command lines of the tools.
#include "tools/options.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include "absl/strings/numbers.h"
#include "compiler/ir/cat.h"

namespace etch {

bool Argument::is(std::string_view option) const {
  if (name != option) return false;
  if (has_value) throw BadInput(cat("--", name, " takes no value"));
  return true;
}

bool Argument::takes(std::string_view option) const {
  if (name != option) return false;
  if (value.empty()) throw BadInput(cat("--", name, " needs a value: --", name, "=..."));
  return true;
}

int64_t Argument::number(int64_t least) const {
  int64_t result;
  if (absl::SimpleAtoi(value, &result) && result >= least) return result;
  const std::string what = name.empty() ? "this tool" : "--" + name;
  throw BadInput(cat(what, " takes a number from ", least, " on, not '", value, "'"));
}

void Argument::fail_unknown(std::string_view tool) const {
  throw BadInput(cat("unknown option --", name, "; see ", tool, " --help"));
}

std::vector<Argument> arguments(int argc, char** argv) {
  std::vector<Argument> result;
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    if (!word.starts_with("--")) {
      result.push_back({"", std::string(word), true});
      continue;
    }
    word.remove_prefix(2);
    const size_t equals = std::min(word.find('='), word.size());
    const bool has_value = equals < word.size();
    result.push_back({std::string(word.substr(0, equals)), std::string(has_value ? word.substr(equals + 1) : ""), has_value});
  }
  return result;
}

const Target& target_of(const std::string& name) {
  if (const Target* target = find_target(name)) return *target;
  std::string known;
  for (const std::string& one : target_names()) known += (known.empty() ? "" : ", ") + one;
  throw BadInput(cat("--target=", name, ": it may be ", known));
}

void show_help(std::string_view text) {
  std::cout << text << std::flush;
  std::exit(0);
}

int run_tool(std::string_view tool, const std::function<int()>& run) {
  try {
    return run();
  } catch (const std::exception& error) {
    std::string line = error.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::cerr << tool << ": " << line << "\n";
    return 2;
  }
}

}  // namespace etch
