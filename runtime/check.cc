// What a bug of Etch says.
#include "runtime/check.h"

#include <string>

namespace etch::detail {
namespace {

/// A file of the project without the folders that the project stands in.
std::string_view short_name(std::string_view file) {
  constexpr std::string_view kThis = __FILE__;
  constexpr std::string_view kFolders = kThis.substr(0, kThis.size() - std::string_view("runtime/check.cc").size());
  return file.substr(file.starts_with(kFolders) ? kFolders.size() : 0);
}

}  // namespace

void fail_check(const char* file, int line, const char* condition, std::string_view message) {
  std::string text = std::string(short_name(file)) + ":" + std::to_string(line) + ": internal error: ";
  if (*condition != '\0') text += std::string("`") + condition + "` does not hold: ";
  text += message;
  text += "; this is a bug of Etch: please run again with ETCH_FLAGS=\"dump=DIR,verify\" and report it with the files in"
          " DIR";
  throw InternalError(text);
}

}  // namespace etch::detail
