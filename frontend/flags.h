// The flags of the process as the frontend reads them; etch/options.h is their public side.
#pragma once

#include <string>

#include "compiler/codegen/target.h"

namespace etch::detail {

/// The most threads that one call may ask for.
inline constexpr int kMaxThreads = 1024;

struct Flags {
  std::string dump;         // folder, or empty
  std::string print_after;  // pass, `all` or empty
  bool time = false;
  bool verify = false;
  bool trace_twice = false;
  bool check_captures = false;
  bool eager = false;
  bool fuse = true;
  bool simplify = true;
  bool fast_math = false;
  const Target* target = &host_target();
  int threads = 0;  // 0: all that this process may run on

  bool operator==(const Flags&) const = default;
};

/// The flags in force: ETCH_FLAGS, or the innermost ScopedFlags of this thread. Error if ETCH_FLAGS is malformed.
const Flags& current_flags();

/// How many threads a call may use unless its function says otherwise.
int num_threads();

/// Hands a message, one line without its end, to the warning handler.
void warn(const std::string& message);

}  // namespace etch::detail
