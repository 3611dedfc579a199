// top_k: the k largest elements of each row, in descending order, and where they stand.
//
// Buffers: x [rows, n]; values [rows, k]; indices i64 [rows, k]. Sizes: n, k. An iteration is a row. Scratch holds one
// entry for each element that is a candidate: all of them where k is a large part of n, else a heap of the k best so far.
#include <algorithm>
#include <compare>
#include <limits>
#include <type_traits>

#include "runtime/library.h"

namespace etch::library {
namespace {

template <class T>
using Key = std::conditional_t<(sizeof(T) > 4), uint64_t, uint32_t>;

/// Unsigned numbers in the order of the elements: every NaN is the same and the largest, and the zeros are the same.
template <class T>
Key<T> key_of(T x) {
  using K = Key<T>;
  constexpr K kSign = K{1} << (8 * sizeof(K) - 1);
  if constexpr (is_floating(dtype_of<T>)) {
    using Float = std::conditional_t<(sizeof(T) > 4), double, float>;
    const auto value = static_cast<Float>(x);
    if (value != value) return std::numeric_limits<K>::max();
    if (value == 0) return kSign;
    K bits;
    static_assert(sizeof bits == sizeof value);
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits & kSign ? ~bits : bits | kSign;
  } else if constexpr (is_signed_integer(dtype_of<T>)) {
    using Signed = std::make_signed_t<K>;
    return static_cast<K>(static_cast<Signed>(x)) ^ kSign;
  } else {
    return static_cast<K>(x);
  }
}

/// Entries ascend where elements descend, equal ones by their index. Two halves of a word where both fit.
struct NarrowEntry {
  uint64_t bits;

  NarrowEntry(uint32_t key, int64_t index)
      : bits(static_cast<uint64_t>(~key) << 32 | static_cast<uint64_t>(index)) {}
  int64_t index() const { return static_cast<int64_t>(bits & 0xffffffff); }
  auto operator<=>(const NarrowEntry&) const = default;
};

struct WideEntry {
  uint64_t descending;
  int64_t at;

  WideEntry(uint64_t key, int64_t index) : descending(~key), at(index) {}
  int64_t index() const { return at; }
  auto operator<=>(const WideEntry&) const = default;
};

bool is_narrow(int64_t element_bytes, int64_t n) { return element_bytes <= 4 && n <= int64_t{1} << 32; }

/// How many elements are candidates at a time. Beyond a 64th of the row one selection beats the heap.
int64_t num_candidates(int64_t n, int64_t k) { return k <= n / 64 ? k : n; }

/// The first element from `i` on that ranks above `worst`, which stands before it; n if there is none.
template <class T>
int64_t first_above(const T* row, int64_t i, int64_t n, T worst) {
  constexpr int kBlock = 64;
  if (worst != worst) return n;
  // What is not less or equal is larger or NaN.
  const auto is_above = [worst](T x) { return !(x <= worst); };
  for (; i + kBlock <= n; i += kBlock) {
    bool any = false;
    for (int j = 0; j < kBlock; ++j) any |= is_above(row[i + j]);
    if (any) break;
  }
  while (i < n && !is_above(row[i])) ++i;
  return i;
}

template <class Entry, class T>
void select(const T* row, int64_t n, int64_t k, T* values, int64_t* indices, Entry* entries) {
  if (k == 0) return;
  const int64_t count = num_candidates(n, k);
  for (int64_t i = 0; i < count; ++i) entries[i] = Entry(key_of(row[i]), i);
  if (count == n) {
    if (k < n) std::nth_element(entries, entries + k, entries + n);
    std::sort(entries, entries + k);
  } else {
    std::make_heap(entries, entries + k);  // its front is the least of the best
    for (int64_t i = k; (i = first_above(row, i, n, row[entries[0].index()])) < n; ++i) {
      std::pop_heap(entries, entries + k);
      entries[k - 1] = Entry(key_of(row[i]), i);
      std::push_heap(entries, entries + k);
    }
    std::sort_heap(entries, entries + k);
  }
  for (int64_t j = 0; j < k; ++j) {
    indices[j] = entries[j].index();
    values[j] = row[indices[j]];
  }
}

template <class T>
void run(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte* scratch) {
  const int64_t n = sizes[0], k = sizes[1];
  const auto* x = static_cast<const T*>(buffers[0]);
  auto* values = static_cast<T*>(buffers[1]);
  auto* indices = static_cast<int64_t*>(buffers[2]);
  for (int64_t row = begin; row < end; ++row) {
    const auto select_into = [&](auto* entries) {
      select(x + row * n, n, k, values + row * k, indices + row * k, entries);
    };
    if constexpr (sizeof(T) <= 4) {
      if (is_narrow(sizeof(T), n)) {
        select_into(reinterpret_cast<NarrowEntry*>(scratch));
        continue;
      }
    }
    select_into(reinterpret_cast<WideEntry*>(scratch));
  }
}

template <class T>
int64_t scratch_bytes(const int64_t* sizes) {
  const auto entry = static_cast<int64_t>(is_narrow(sizeof(T), sizes[0]) ? sizeof(NarrowEntry) : sizeof(WideEntry));
  return entry * num_candidates(sizes[0], sizes[1]);
}

}  // namespace

LibraryFunction top_k(DType dtype) {
  return dispatch(dtype, []<class T>() -> LibraryFunction {
    if constexpr (is_numeric(dtype_of<T>)) {
      return {run<T>, scratch_bytes<T>};
    } else {
      return {};
    }
  });
}

}  // namespace etch::library
