// The types of values.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/inlined_vector.h"
#include "etch/dtype.h"
#include "etch/shape.h"

namespace etch {

/// The type of a value: element type and extents.
struct Type {
  DType dtype = DType::f32;
  Shape shape;

  int64_t size() const { return shape.product(); }
  int64_t bytes() const { return size() * size_of(dtype); }
  bool operator==(const Type&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const Type& type) {
    return H::combine(std::move(h), type.dtype, type.shape);
  }
};

/// The types of an op's results.
using Types = absl::InlinedVector<Type, 2>;

/// `f32[8,4]`.
std::string to_string(const Type& type);

}  // namespace etch
