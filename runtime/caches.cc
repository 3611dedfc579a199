// The sizes of the machine's caches, as the system knows them.
#include "runtime/caches.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace etch {
namespace {

// A process has no more of a large cache for itself: others share it.
constexpr int64_t kUsual = int64_t{32} << 20, kLeast = int64_t{4} << 20, kMost = int64_t{64} << 20;
// A cache that is spread over all processors of a server takes what is written hardly faster than memory does.
constexpr int64_t kOfSpread = int64_t{16} << 20;

/// True if it lies across many processors. Those of AMD share it with the few beside them, however large it is.
bool is_spread(int64_t bytes) {
  __builtin_cpu_init();
  return bytes > kMost && !__builtin_cpu_is("amd");
}

/// What one processor shares, by the kernel's list; 0 if it has none. sysconf may add up the caches of all processors.
int64_t listed_bytes() {
  int64_t bytes = 0;
  for (const char* index : {"2", "3"}) {
    std::ifstream file(std::string("/sys/devices/system/cpu/cpu0/cache/index") + index + "/size");
    int64_t kibibytes = 0;
    if (file >> kibibytes) bytes = std::max(bytes, kibibytes << 10);
  }
  return bytes;
}

}  // namespace

int64_t last_level_cache_bytes() {
  static const int64_t bytes = [] {
    const int64_t listed = listed_bytes();
    const int64_t told = listed > 0 ? listed : std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE));
    if (told <= 0) return kUsual;
    return is_spread(told) ? kOfSpread : std::clamp(told, kLeast, kMost);
  }();
  return bytes;
}

}  // namespace etch
