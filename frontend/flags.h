// The flags of the process as the frontend reads them; etch/options.h is their public side.
#pragma once

#include <cstdint>
#include <string>

#include "compiler/codegen/target.h"
#include "runtime/executable.h"

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
  bool audit = false;
  bool eager = false;
  bool fuse = true;
  bool native_regions = true;
  bool group = true;
  bool stripes = true;
  bool packs = true;
  bool simplify = true;
  bool fast_math = false;
  bool masked_regions = true;
  const Target* target = &host_target();
  int threads = 0;  // 0: all that this process may run on
  int64_t grain = 0;  // see RunOptions

  bool operator==(const Flags&) const = default;
};

/// The flags in force: ETCH_FLAGS, or the innermost ScopedFlags of this thread. Error if ETCH_FLAGS is malformed.
[[gnu::visibility("default")]] const Flags& current_flags();

/// How a call runs by these flags. @param threads what its function asks for; 0 leaves it to the flags.
RunOptions run_options(const Flags& flags, int threads = 0);
inline RunOptions run_options(int threads = 0) { return run_options(current_flags(), threads); }

/// What run_functions_eagerly set.
bool runs_eagerly_everywhere();

/// Hands a message, one line without its end, to the warning handler.
void warn(const std::string& message);

}  // namespace etch::detail
