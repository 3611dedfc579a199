// The loops of matrix products for processors without AVX2 or FMA.
#include "runtime/library/product_loops_body.h"

namespace etch {
namespace {

struct Plain {
  static constexpr int bytes = 16;

  template <class Vector>
  static Vector fma(Vector x, Vector y, Vector sum) {
    Vector result = sum;
    for (unsigned i = 0; i < sizeof(Vector) / sizeof(x[0]); ++i) {
      if constexpr (sizeof(x[0]) == 4) result[i] = __builtin_fmaf(x[i], y[i], sum[i]);
      if constexpr (sizeof(x[0]) == 8) result[i] = __builtin_fma(x[i], y[i], sum[i]);
    }
    return result;
  }

  template <class T>
  static VectorOf<T, bytes>::type load_some(const T* from, int64_t count) {
    typename VectorOf<T, bytes>::type result = {};
    for (int64_t i = 0; i < count; ++i) result[i] = from[i];
    return result;
  }

  template <class T, int n>
  static VectorOf<T, bytes>::type repeat(const T* from) {
    constexpr int kSome = bytes / sizeof(T) / n;
    typename VectorOf<T, bytes>::type result = {};
    for (int i = 0; i < n * kSome; ++i) result[i] = from[i % kSome];
    return result;
  }

  template <class T, class Vector>
  static void store_some(Vector value, T* to, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = value[i];
  }

  template <class Bits>
  static bool all_zero(Bits bits) {
    const auto halves = reinterpret_cast<VectorOf<uint64_t, bytes>::type>(bits);
    return (halves[0] | halves[1]) == 0;
  }
};

}  // namespace

constinit const ProductLoopsOfVectors kProductLoops16 = AllProductLoops<Plain>::kAll;

}  // namespace etch
