// init_scope: runs code outside of the trace around it.
#pragma once

#include <functional>

namespace [[gnu::visibility("default")]] etch {
namespace detail {

/// Pauses the trace of this thread, if there is one, for as long as it stands.
class InitScope {
 public:
  InitScope();
  ~InitScope();
  InitScope(const InitScope&) = delete;
  InitScope& operator=(const InitScope&) = delete;

 private:
  alignas(8) unsigned char scope_[32];
};

}  // namespace detail

/// Calls `f()` eagerly, also while a function is traced: its ops run at once, functions that it calls run compiled, and
/// variables are read and assigned on the spot. It happens once, while tracing; later calls of the function do not repeat
/// it. Returns what `f` returns. Error for ops on values of the trace: they have no elements yet.
template <class F>
decltype(auto) init_scope(F&& f) {
  const detail::InitScope scope;
  return std::invoke(static_cast<F&&>(f));
}

}  // namespace etch
