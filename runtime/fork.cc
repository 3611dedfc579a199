// The handlers around fork(), in their order.
#include "runtime/fork.h"

#include <pthread.h>

#include <mutex>

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
  handlers.mutex.lock();
  for (ForkHandler* handler = handlers.first; handler; handler = handler->next_) {
    if (handler->prepare_) handler->prepare_(handler->context_);
  }
}

template <auto kFunction>
void ForkHandlers::after() {
  for (ForkHandler* handler = handlers.last; handler; handler = handler->previous_) {
    if (handler->*kFunction) (handler->*kFunction)(handler->context_);
  }
  handlers.mutex.unlock();
}

ForkHandler::ForkHandler(ForkOrder order, void* context, Function prepare, Function parent, Function child)
    : order_(order), context_(context), prepare_(prepare), parent_(parent), child_(child) {
  handlers.add(this);
}

ForkHandler::~ForkHandler() { handlers.remove(this); }

}  // namespace etch
