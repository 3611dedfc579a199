// A bounded cache of what was compiled for eager code.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>

#include "runtime/flat_map.h"
#include "runtime/fork.h"

namespace etch::detail {

/// The entries that were looked up here longest ago are dropped first. A View points to what a Key, made from it, holds: a look-up copies
/// nothing.
template <class Key, class View, class Compiled>
class CompiledCache {
 public:
  explicit CompiledCache(ForkOrder order)
      : fork_handler_(order, this,
                      [](void* self) {
                        static_cast<CompiledCache*>(self)->mutex_.lock();
                        return true;
                      },
                      [](void* self) { static_cast<CompiledCache*>(self)->mutex_.unlock(); },
                      [](void* self) { static_cast<CompiledCache*>(self)->mutex_.unlock(); }) {}

  std::shared_ptr<const Compiled> find(const View& key) {
    std::lock_guard lock(mutex_);
    auto it = entries_.find(key);
    if (it == entries_.end()) {
      ++misses_;
      return nullptr;
    }
    if (it->second != order_.begin()) order_.splice(order_.begin(), order_, it->second);
    return it->second->compiled;
  }

  void insert(const View& key, std::shared_ptr<const Compiled> compiled) {
    std::lock_guard lock(mutex_);
    if (entries_.contains(key)) return;
    order_.emplace_front(key, std::move(compiled));
    entries_.emplace(order_.front().key.view(), order_.begin());
    if (order_.size() <= kLimit) return;
    entries_.erase(order_.back().key.view());
    order_.pop_back();
  }

  /// How often find() found nothing.
  int64_t misses() {
    std::lock_guard lock(mutex_);
    return misses_;
  }

 private:
  static constexpr size_t kLimit = 4096;

  struct Entry {
    Entry(const View& key, std::shared_ptr<const Compiled> compiled) : key(key), compiled(std::move(compiled)) {}
    Key key;
    std::shared_ptr<const Compiled> compiled;
  };
  std::mutex mutex_;
  const ForkHandler fork_handler_;
  std::list<Entry> order_;
  FlatMap<View, typename std::list<Entry>::iterator> entries_;  // keys point into order_
  int64_t misses_ = 0;
};

}  // namespace etch::detail
