// The value of what cannot fail unless Etch has a bug.
#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "runtime/check.h"

namespace etch {

/// The value. Throws InternalError with the status if there is none.
template <class T>
T checked(absl::StatusOr<T> value) {
  ETCH_CHECK(value.ok(), std::string(value.status().message()));
  return *std::move(value);
}

/// Throws InternalError with the status unless it is ok.
inline void checked(const absl::Status& status) { ETCH_CHECK(status.ok(), std::string(status.message())); }

}  // namespace etch
