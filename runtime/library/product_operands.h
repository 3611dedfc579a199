// What the loops of matrix products read. Each file that includes this has its own copy (product_loops_body.h).
#pragma once

#include <cstdint>

namespace etch {
namespace {

template <class T>
const T* add_bytes(const T* pointer, int64_t bytes) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(pointer) + bytes);
}
template <class T>
T* add_bytes(T* pointer, int64_t bytes) {
  return reinterpret_cast<T*>(reinterpret_cast<char*>(pointer) + bytes);
}

template <class T>
struct Operands {
  const T* a;
  int64_t a_row, a_step;  // in bytes
  const T* b;
  int64_t b_step;
  int64_t depth;
};

/// Operands of so many pieces of `depth` steps. A type of its own, and tiles for it: the registers that these save cost tiles of
/// a few steps a tenth.
template <class T>
struct OperandsInPieces : Operands<T> {
  int64_t pieces;
  int64_t a_next;  // bytes from behind a piece of a to the next one
};

template <class T>
constexpr int64_t pieces_of(const Operands<T>&) { return 1; }
template <class T>
int64_t pieces_of(const OperandsInPieces<T>& at) { return at.pieces; }
template <class T>
constexpr int64_t next_of(const Operands<T>&) { return 0; }
template <class T>
int64_t next_of(const OperandsInPieces<T>& at) { return at.a_next; }

/// Many small matrices: bytes between them and between rows of the results, how many there are, and the size of a result.
struct Batch {
  int64_t a_next, b_next, out_next, out_row, count, rows, columns;
};

}  // namespace
}  // namespace etch
