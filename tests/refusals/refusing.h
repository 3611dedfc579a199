// A system that refuses things: the test binary's own versions of some system functions.
#pragma once

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

}  // namespace etch
