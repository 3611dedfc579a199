// The readers of host functions, by name.
#include "runtime/host_function.h"

#include <map>
#include <mutex>

#include "runtime/fork.h"

namespace etch {
namespace {

struct Readers {
  std::mutex mutex;
  std::map<std::string, ReadHostFunction, std::less<>> by_name;

  static Readers& all() {
    static Readers* const readers = new Readers;
    return *readers;
  }
};

const ForkHandler fork_handler(
    ForkOrder::memory, nullptr,
    [](void*) {
      Readers::all().mutex.lock();
      return true;
    },
    [](void*) { Readers::all().mutex.unlock(); }, [](void*) { Readers::all().mutex.unlock(); });

}  // namespace

bool register_host_function(std::string_view name, ReadHostFunction read) {
  Readers& readers = Readers::all();
  const std::lock_guard lock(readers.mutex);
  return readers.by_name.emplace(name, read).second;
}

ReadHostFunction find_host_function(std::string_view name) {
  Readers& readers = Readers::all();
  const std::lock_guard lock(readers.mutex);
  const auto found = readers.by_name.find(name);
  return found == readers.by_name.end() ? nullptr : found->second;
}

}  // namespace etch
