// Work that needs a large stack, called from threads that may have a small one.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

namespace etch {

/// Calls `body(context)` on this thread if enough of its stack is left for LLVM, else on a thread with a large stack, for
/// which this one waits. What the body throws comes out. Throws Error if that thread is needed and the system refuses it.
void call_with_large_stack(void (*body)(void* context), void* context);

/// The same for a callable with a result.
template <class F>
auto with_large_stack(F f) {
  std::optional<decltype(f())> result;
  auto body = [&] { result.emplace(f()); };
  call_with_large_stack([](void* context) { (*static_cast<decltype(body)*>(context))(); }, &body);
  return *std::move(result);
}

/// Bytes that are left of this thread's stack; 0 where it runs on memory that the system does not know as its stack.
int64_t stack_left();

}  // namespace etch
