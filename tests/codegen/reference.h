// The documented trees of reductions, written naively.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include "compiler/schedule/kernel.h"

namespace etch::reference {

template <class T>
T wrap(T a, T b, bool multiply) {
  if constexpr (std::is_floating_point_v<T>) {
    return multiply ? a * b : a + b;
  } else {
    uint64_t x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
    return static_cast<T>(multiply ? x * y : x + y);
  }
}

/// Of two elements, the earlier first.
template <class T>
T combine(ReduceKind kind, T a, T b) {
  switch (kind) {
    case ReduceKind::sum: return wrap(a, b, false);
    case ReduceKind::prod: return wrap(a, b, true);
    case ReduceKind::any: return static_cast<T>(a || b);
    case ReduceKind::all: return static_cast<T>(a && b);
    default: break;
  }
  if (a != a) return a;
  if (b != b) return b;
  return (kind == ReduceKind::max) == (a > b) ? a : b;
}

/// A zero of a max or min is +0.
template <class T>
T finish(ReduceKind kind, T x) {
  bool extreme = kind == ReduceKind::max || kind == ReduceKind::min;
  return std::is_floating_point_v<T> && extreme && x == 0 ? T(0) : x;
}

/// The reduction of nothing.
template <class T>
T identity(ReduceKind kind) {
  using Limits = std::numeric_limits<T>;
  switch (kind) {
    case ReduceKind::prod:
    case ReduceKind::all: return T(1);
    case ReduceKind::max: return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    case ReduceKind::min: return Limits::has_infinity ? Limits::infinity() : Limits::max();
    default: return T(0);
  }
}

template <class T>
std::optional<T> combine(ReduceKind kind, std::optional<T> a, std::optional<T> b) {
  if (!a || !b) return a ? a : b;
  return combine(kind, *a, *b);
}

/// One block of a row: lanes, folded in halves.
template <class T>
std::optional<T> reduce_block(ReduceKind kind, const std::vector<T>& x, int64_t begin, int64_t end) {
  std::vector<std::optional<T>> lanes(reduction_lanes(dtype_of<T>));
  for (int64_t i = begin; i < end; ++i) {
    std::optional<T>& lane = lanes[(i - begin) % lanes.size()];
    lane = combine<T>(kind, lane, x[i]);
  }
  for (size_t half = lanes.size() / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) lanes[i] = combine(kind, lanes[i], lanes[i + half]);
  }
  return lanes[0];
}

/// A row as a row kernel reduces it.
template <class T>
T reduce_row(ReduceKind kind, const std::vector<T>& x, int64_t block = kRowBlock) {
  std::optional<T> total;
  int64_t n = static_cast<int64_t>(x.size());
  for (int64_t begin = 0; begin < n; begin += block) {
    total = combine(kind, total, reduce_block(kind, x, begin, std::min(begin + block, n)));
  }
  return finish(kind, total ? *total : identity<T>(kind));
}

/// A column as a column kernel reduces it; `block` elements make a block.
template <class T>
T reduce_column(ReduceKind kind, const std::vector<T>& x, int64_t block = kColumnBlock) {
  std::optional<T> total;
  int64_t n = static_cast<int64_t>(x.size());
  for (int64_t begin = 0; begin < n; begin += block) {
    std::optional<T> sum;
    for (int64_t i = begin; i < std::min(begin + block, n); ++i) sum = combine<T>(kind, sum, x[i]);
    total = combine(kind, total, sum);
  }
  return finish(kind, total ? *total : identity<T>(kind));
}

/// The first index of the largest (or smallest) element; NaN beats all others.
template <class T>
int64_t arg_extreme(ReduceKind kind, const std::vector<T>& x) {
  int64_t best = 0;
  for (size_t i = 1; i < x.size(); ++i) {
    if (x[best] != x[best]) return best;
    bool wins = kind == ReduceKind::argmax ? x[i] > x[best] : x[i] < x[best];
    if (wins || x[i] != x[i]) best = static_cast<int64_t>(i);
  }
  return best;
}

}  // namespace etch::reference
