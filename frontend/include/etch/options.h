// Options beside those of a function: ETCH_FLAGS, its overrides for a scope, kept code, warnings.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace [[gnu::visibility("default")]] etch {

/// One flag of ETCH_FLAGS, as docs/flags.md lists it.
struct FlagInfo {
  std::string_view name;
  std::string_view values;   // `DIR`, `0|1`, `N` ...; flags of 0|1 may be named alone for 1
  std::string_view initial;  // the value when ETCH_FLAGS does not name it
  std::string_view meaning;
};

/// All flags, in the order of docs/flags.md. ETCH_FLAGS="name=value,name,..." is read once, at the first use; of a flag
/// named twice the last value counts. A flag that is not in the table or has a bad value is an Error, which lists the
/// table, from whatever needed the flags.
std::span<const FlagInfo> flag_table();

/// Changes flags for as long as it stands, for calls from this thread; text as in ETCH_FLAGS, with the same Error.
/// Flags decide what is compiled from now on, not what a function compiled before. Scopes nest; each ends on the thread
/// that began it, in the opposite order.
class ScopedFlags {
 public:
  explicit ScopedFlags(std::string_view text);
  ~ScopedFlags();
  ScopedFlags(const ScopedFlags&) = delete;
  ScopedFlags& operator=(const ScopedFlags&) = delete;

 private:
  const void* previous_;
};

/// Runs functions as plain C++ instead of tracing them, so that a debugger and prints see values. For the process.
void run_functions_eagerly(bool eagerly);
bool functions_run_eagerly();

/// Frees machine code that no function and no eager op needs any more and that is kept for others of the same structure, 512
/// kernels at the most: the next one that needs such a kernel compiles it.
void trim_kernels();

/// Where warnings go: by default, and with nullptr, one line `etch: warning: ...` to stderr each. Returns the handler
/// before. Handlers are called from any thread, maybe from several at once.
using WarningHandler = void (*)(const std::string& message);
WarningHandler set_warning_handler(WarningHandler handler);

}  // namespace etch
