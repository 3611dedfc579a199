// Counted: the count of references in an object that Ref shares.
#pragma once

#include <atomic>
#include <cstdint>

namespace etch::detail {

/// Counts the references of what Ref shares.
template <class T>
class Counted {
 public:
  void add_reference() const { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop_reference() const {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete static_cast<const T*>(this);
  }

 private:
  mutable std::atomic<int64_t> references_{1};
};

}  // namespace etch::detail
