// Host: a function of the host as a field of an op.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "runtime/host_function.h"

namespace etch {

/// A shared host function, or none. Equal are those with the same object, or with the same name and text where these say all.
class Host {
 public:
  Host() = default;
  explicit Host(std::shared_ptr<const HostFunction> function) : function_(std::move(function)) {}

  const std::shared_ptr<const HostFunction>& function() const { return function_; }

  friend bool operator==(const Host& a, const Host& b) {
    if (a.function_ == b.function_) return true;
    if (!a.is_text() || !b.is_text()) return false;
    return a.function_->name() == b.function_->name() && a.function_->text() == b.function_->text();
  }
  template <class H>
  friend H AbslHashValue(H h, const Host& host) {
    if (!host.is_text()) return H::combine(std::move(h), host.function_.get());
    return H::combine(std::move(h), host.function_->name(), host.function_->text());
  }

 private:
  bool is_text() const { return function_ && function_->is_text(); }

  std::shared_ptr<const HostFunction> function_;
};

/// `print("loss {}")`, or `nothing`.
std::string to_string(const Host& host);

}  // namespace etch
