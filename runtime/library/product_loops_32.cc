// The loops of matrix products for AVX2 and FMA.
#include <immintrin.h>

#include "runtime/library/product_loops_body.h"

namespace etch {
namespace {

struct Avx2 {
  static constexpr int bytes = 32;

  static __m256 fma(__m256 x, __m256 y, __m256 sum) { return _mm256_fmadd_ps(x, y, sum); }
  static __m256d fma(__m256d x, __m256d y, __m256d sum) { return _mm256_fmadd_pd(x, y, sum); }

  template <class T>
  static VectorOf<T, bytes>::type load_some(const T* from, int64_t count) {
    if constexpr (sizeof(T) == 4) {
      return reinterpret_cast<VectorOf<T, bytes>::type>(_mm256_maskload_epi32(reinterpret_cast<const int*>(from), mask<T>(count)));
    } else {
      return reinterpret_cast<VectorOf<T, bytes>::type>(
          _mm256_maskload_epi64(reinterpret_cast<const long long*>(from), mask<T>(count)));
    }
  }

  template <class T, int n>
  static VectorOf<T, bytes>::type repeat(const T* from) {
    __m256i repeated;
    if constexpr (n == 2) repeated = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    if constexpr (n == 4) repeated = _mm256_broadcastq_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    return reinterpret_cast<VectorOf<T, bytes>::type>(repeated);
  }

  template <class T, class Vector>
  static void store_some(Vector value, T* to, int64_t count) {
    if constexpr (sizeof(T) == 4) {
      _mm256_maskstore_epi32(reinterpret_cast<int*>(to), mask<T>(count), reinterpret_cast<__m256i>(value));
    } else {
      _mm256_maskstore_epi64(reinterpret_cast<long long*>(to), mask<T>(count), reinterpret_cast<__m256i>(value));
    }
  }

  template <class Bits>
  static bool all_zero(Bits bits) {
    return _mm256_testz_si256(reinterpret_cast<__m256i>(bits), reinterpret_cast<__m256i>(bits)) != 0;
  }

 private:
  template <class T>
  static __m256i mask(int64_t count) {
    if constexpr (sizeof(T) == 4) {
      return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    } else {
      return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
    }
  }
};

}  // namespace

constinit const ProductLoopsOfVectors kProductLoops32 = AllProductLoops<Avx2>::kAll;

}  // namespace etch
