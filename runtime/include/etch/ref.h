// Ref: the one counted handle of all that is shared.
#pragma once

#include <type_traits>
#include <utility>

namespace [[gnu::visibility("default")]] etch {

/// Shares an object that counts its references. `retain(T*)` and `release(T*)`, found beside T, add and drop one; T may
/// be incomplete.
template <class T>
class Ref {
 public:
  Ref() = default;
  /// Takes over one reference.
  explicit Ref(T* adopted) noexcept : object_(adopted) {}
  Ref(const Ref& other) noexcept : object_(other.object_) {
    if (object_) retain(object_);
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U> other) noexcept : object_(other.detach()) {}  // NOLINT: converts, to const for one
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_) release(object_);
  }

  T* get() const { return object_; }
  /// Gives up the reference.
  T* detach() { return std::exchange(object_, nullptr); }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

}  // namespace etch
