// How the oracle reads and writes elements: what the evaluations of the ops share.
#pragma once

#include <cstring>

#include "compiler/ir/literal.h"

namespace etch {

/// Runs through the offsets of an affine access in the row-major order of a shape.
class Walk {
 public:
  Walk(const Shape& shape, const Dims& strides, int64_t offset = 0)
      : shape_(shape), strides_(strides), index_(Dims::filled(shape.rank(), 0)), offset_(offset) {}

  int64_t offset() const { return offset_; }

  void next() {
    for (int axis = shape_.rank() - 1; axis >= 0; --axis) {
      offset_ += strides_[axis];
      if (++index_[axis] < shape_[axis]) return;
      offset_ -= strides_[axis] * shape_[axis];
      index_[axis] = 0;
    }
  }

 private:
  Shape shape_;
  Dims strides_;
  Dims index_;
  int64_t offset_;
};

/// The strides that read `from` as if it were broadcast to `to`.
inline Dims broadcast_strides(const Shape& from, const Shape& to) {
  const Dims strides = row_major_strides(from);
  const int lead = to.rank() - from.rank();
  Dims result = Dims::filled(to.rank(), 0);
  for (int i = 0; i < from.rank(); ++i) {
    if (from[i] != 1) result[lead + i] = strides[i];
  }
  return result;
}

inline Literal make_literal(const Type& type) {
  return {type, std::vector<std::byte>(static_cast<size_t>(type.bytes()))};
}

template <class T>
T load(const Literal& from, int64_t i) {
  if constexpr (std::is_same_v<T, bool>) {
    return from.bytes[i] != std::byte{0};
  } else {
    T value;
    std::memcpy(&value, from.bytes.data() + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return value;
  }
}

template <class T>
void store(Literal& to, int64_t i, T value) {
  std::memcpy(to.bytes.data() + i * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

inline void copy_element(const Literal& from, int64_t source, Literal& to, int64_t target) {
  const int64_t size = size_of(to.type.dtype);
  std::memcpy(to.bytes.data() + target * size, from.bytes.data() + source * size, static_cast<size_t>(size));
}

/// Result element i is the operand's element at the walk's i-th offset.
inline Literal gather(const Literal& from, const Type& type, Walk walk) {
  Literal result = make_literal(type);
  for (int64_t i = 0, n = type.size(); i < n; ++i, walk.next()) copy_element(from, walk.offset(), result, i);
  return result;
}

/// The operand's element i goes to the walk's i-th offset.
inline void scatter(const Literal& from, Literal& to, Walk walk) {
  for (int64_t i = 0, n = from.type.size(); i < n; ++i, walk.next()) copy_element(from, i, to, walk.offset());
}

}  // namespace etch
