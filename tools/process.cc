// What this process takes from the system, read from /proc.
#include "tools/process.h"

#include <fstream>
#include <sstream>
#include <string>

namespace etch {

ProcessUse process_use() {
  ProcessUse use;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t value = 0;
    words >> name >> value;
    if (name == "VmRSS:") use.resident_bytes = value * 1024;
    if (name == "Threads:") use.threads = value;
  }
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) ++use.mappings;
  return use;
}

}  // namespace etch
