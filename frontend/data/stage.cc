// Stages and cursors: what does not depend on elements.
#include "etch/data/stage.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <list>
#include <mutex>

#include "compiler/ir/cat.h"

namespace etch::data {

bool operator==(const ElementSpec& a, const ElementSpec& b) {
  const auto is_same = [](const TensorSpec& x, const TensorSpec& y) {
    return x.dtype == y.dtype && x.shape == y.shape;
  };
  return std::ranges::equal(a.tensors, b.tensors, is_same);
}

std::string to_string(const ElementSpec& spec) {
  std::string text;
  for (const TensorSpec& tensor : spec.tensors) {
    text += cat(text.empty() ? "" : ", ", name(tensor.dtype), to_string(tensor.shape));
  }
  return text;
}

struct Cancellation::State {
  std::mutex mutex;
  std::atomic<bool> is_cancelled{false};
  std::list<const Listener*> listeners;
  std::unique_ptr<Listener> parent;
};

Cancellation::Cancellation() : state_(std::make_unique<State>()) {}

Cancellation::Cancellation(Cancellation& parent) : Cancellation() {
  const auto cancel = [](void* self) { static_cast<Cancellation*>(self)->cancel(); };
  state_->parent = std::make_unique<Listener>(parent, cancel, this);
}

Cancellation::~Cancellation() { state_->parent.reset(); }

void Cancellation::cancel() noexcept {
  const std::lock_guard lock(state_->mutex);
  if (state_->is_cancelled.exchange(true)) return;
  for (const Listener* listener : state_->listeners) listener->wake_(listener->context_);
}

bool Cancellation::is_cancelled() const noexcept { return state_->is_cancelled.load(std::memory_order_acquire); }

Cancellation::Listener::Listener(Cancellation& of, void (*wake)(void*), void* context)
    : of_(of), wake_(wake), context_(context) {
  const std::lock_guard lock(of_.state_->mutex);
  of_.state_->listeners.push_back(this);
  if (of_.is_cancelled()) wake_(context_);
}

Cancellation::Listener::~Listener() {
  const std::lock_guard lock(of_.state_->mutex);
  of_.state_->listeners.remove(this);
}

CursorBase::~CursorBase() = default;
StageBase::StageBase() : number_([] {
  static std::atomic<uint64_t> next{1};
  return next.fetch_add(1, std::memory_order_relaxed);
}()) {}
StageBase::~StageBase() = default;

std::string StageBase::path() const {
  const std::vector<const StageBase*> from = inputs();
  return from.empty() ? std::string(name()) : cat(from[0]->path(), " > ", name());
}

namespace detail {

void replay(CursorBase& cursor, int64_t target, const int64_t& position) {
  std::exception_ptr last;
  while (position < target) {
    try {
      if (cursor.skip(target - position) > 0) continue;
    } catch (...) {
      last = std::current_exception();
      continue;
    }
    if (last) std::rethrow_exception(last);
    throw Error(cat("a saved state stands at element ", target, ", but there are only ", position, " now"));
  }
}

}  // namespace detail
}  // namespace etch::data
