// The handlers around fork(), in their order.
#include "runtime/fork.h"

#include <pthread.h>

#include <chrono>
#include <mutex>
#include <thread>

namespace etch {

/// A list of all handlers, sorted by their order. Constant-initialised and never destroyed.
struct ForkHandlers {
  std::mutex mutex;
  ForkHandler *first = nullptr, *last = nullptr;
  int64_t made = 0;
  bool installed = false;

  void add(ForkHandler* handler);
  void remove(ForkHandler* handler);

  static void prepare();
  bool try_prepare();
  template <auto kFunction>
  static void after();
};

namespace {

constinit ForkHandlers handlers;

}  // namespace

void ForkHandlers::add(ForkHandler* handler) {
  std::lock_guard lock(mutex);
  if (!installed) pthread_atfork(prepare, after<&ForkHandler::parent_>, after<&ForkHandler::child_>);
  installed = true;
  handler->number_ = ++made;
  ForkHandler* before = last;
  while (before && before->order_ > handler->order_) before = before->previous_;
  handler->previous_ = before;
  handler->next_ = before ? before->next_ : first;
  (handler->next_ ? handler->next_->previous_ : last) = handler;
  (before ? before->next_ : first) = handler;
}

void ForkHandlers::remove(ForkHandler* handler) {
  std::lock_guard lock(mutex);
  (handler->next_ ? handler->next_->previous_ : last) = handler->previous_;
  (handler->previous_ ? handler->previous_->next_ : first) = handler->next_;
}

void ForkHandlers::prepare() {
  constexpr std::chrono::milliseconds kPause(1);  // for whoever waited for what was unlocked again
  while (!handlers.try_prepare()) std::this_thread::sleep_for(kPause);
}

bool ForkHandlers::try_prepare() {
  mutex.lock();
  ForkHandler* handler = first;
  while (handler && handler->prepare_(handler->context_)) handler = handler->next_;
  if (handler == nullptr) return true;
  while ((handler = handler->previous_)) handler->parent_(handler->context_);
  mutex.unlock();
  return false;
}

template <auto kFunction>
void ForkHandlers::after() {
  for (ForkHandler* handler = handlers.last; handler; handler = handler->previous_) {
    (handler->*kFunction)(handler->context_);
  }
  handlers.mutex.unlock();
}

ForkHandler::ForkHandler(ForkOrder order, void* context, Prepare prepare, Function parent, Function child)
    : order_(order), context_(context), prepare_(prepare), parent_(parent), child_(child) {
  handlers.add(this);
}

ForkHandler::~ForkHandler() { handlers.remove(this); }

}  // namespace etch
