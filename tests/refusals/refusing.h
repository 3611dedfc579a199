// A system that refuses things: the test binary's own versions of some system functions.
#pragma once

#include <cstdint>

namespace etch {

/// While it stands, a function of the system fails with this errno (pthread_create: returns it).
class Refuse {
 public:
  enum Function { executable_pages, mappings, threads, kFunctions };
  Refuse(Function function, int reason);
  ~Refuse();
  Refuse(const Refuse&) = delete;
  Refuse& operator=(const Refuse&) = delete;

  /// How often it was refused.
  static int count(Function function);

 private:
  Function function_;
};

/// While it stands, one allocation of this thread fails: the one after so many others. Sanitizers have allocators of their
/// own, so under them none does.
class RefuseAllocation {
 public:
  explicit RefuseAllocation(int64_t after);
  ~RefuseAllocation();
  RefuseAllocation(const RefuseAllocation&) = delete;
  RefuseAllocation& operator=(const RefuseAllocation&) = delete;

  /// True if it came to that.
  bool happened() const;
};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kCanRefuseAllocations = false;
#else
inline constexpr bool kCanRefuseAllocations = true;
#endif

}  // namespace etch
