// Calls on a large stack.
#include "runtime/stack.h"

#include <pthread.h>
#include <signal.h>

#include <exception>
#include <string>
#include <system_error>

#include "etch/error.h"

namespace etch {
namespace {

constexpr int64_t kEnough = int64_t{1} << 20;  // LLVM takes some 200 KiB for kernels of usual size
constexpr int64_t kLarge = int64_t{16} << 20;

struct Bounds {
  char* low = nullptr;
  char* high = nullptr;
};

Bounds find_bounds() {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* low = nullptr;
  size_t bytes = 0;
  const bool known = pthread_attr_getstack(&attributes, &low, &bytes) == 0;
  pthread_attr_destroy(&attributes);
  if (!known) return {};
  return {static_cast<char*>(low), static_cast<char*>(low) + bytes};
}

struct Call {
  void (*body)(void* context);
  void* context;
  std::exception_ptr error;
};

void* run_call(void* argument) {
  Call& call = *static_cast<Call*>(argument);
  try {
    call.body(call.context);
  } catch (...) {
    call.error = std::current_exception();
  }
  return nullptr;
}

/// 0, or why the thread could not be made.
int run_on_thread(Call& call) {
  pthread_attr_t attributes;
  if (int reason = pthread_attr_init(&attributes); reason != 0) return reason;
  pthread_attr_setstacksize(&attributes, kLarge);
  // Signals are the business of the program's own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int reason = pthread_create(&thread, &attributes, run_call, &call);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (reason == 0) pthread_join(thread, nullptr);
  return reason;
}

}  // namespace

int64_t stack_left() {
  static thread_local const Bounds bounds = find_bounds();
  char* here = static_cast<char*>(__builtin_frame_address(0));
  return here >= bounds.low && here < bounds.high ? here - bounds.low : 0;
}

void call_with_large_stack(void (*body)(void* context), void* context) {
  const int64_t left = stack_left();
  if (left >= kEnough) return body(context);
  Call call{body, context, nullptr};
  if (const int reason = run_on_thread(call); reason != 0) {
    throw Error("compiling needs 1 MiB of stack; the calling thread has " + std::to_string(left >> 10) +
                " KiB left, and the system refuses a thread with more: " + std::generic_category().message(reason) +
                "; call the function from a thread with a larger stack first");
  }
  if (call.error) std::rethrow_exception(call.error);
}

}  // namespace etch
