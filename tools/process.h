// What this process takes from the system, read from /proc.
#pragma once

#include <cstdint>

namespace etch {

struct ProcessUse {
  int64_t resident_bytes = 0;
  int64_t threads = 0;
  int64_t mappings = 0;
};

ProcessUse process_use();

}  // namespace etch
