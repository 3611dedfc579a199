// The loops of matrix products for AVX-512.
#include <immintrin.h>

#include "runtime/library/product_loops_body.h"

namespace etch {
namespace {

struct Avx512 {
  static constexpr int bytes = 64;

  static __m512 fma(__m512 x, __m512 y, __m512 sum) { return _mm512_fmadd_ps(x, y, sum); }
  static __m512d fma(__m512d x, __m512d y, __m512d sum) { return _mm512_fmadd_pd(x, y, sum); }

  template <class T>
  static VectorOf<T, bytes>::type load_some(const T* from, int64_t count) {
    if constexpr (sizeof(T) == 4) {
      return reinterpret_cast<VectorOf<T, bytes>::type>(_mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask(count)), from));
    } else {
      return reinterpret_cast<VectorOf<T, bytes>::type>(_mm512_maskz_loadu_epi64(static_cast<__mmask8>(mask(count)), from));
    }
  }

  template <class T, int n>
  static VectorOf<T, bytes>::type repeat(const T* from) {
    const auto* some = reinterpret_cast<const float*>(from);
    __m512 repeated;
    if constexpr (n == 2) repeated = _mm512_broadcast_f32x8(_mm256_loadu_ps(some));
    if constexpr (n == 4) repeated = _mm512_broadcast_f32x4(_mm_loadu_ps(some));
    return reinterpret_cast<VectorOf<T, bytes>::type>(repeated);
  }

  template <class T, class Vector>
  static void store_some(Vector value, T* to, int64_t count) {
    if constexpr (sizeof(T) == 4) {
      _mm512_mask_storeu_epi32(to, static_cast<__mmask16>(mask(count)), reinterpret_cast<__m512i>(value));
    } else {
      _mm512_mask_storeu_epi64(to, static_cast<__mmask8>(mask(count)), reinterpret_cast<__m512i>(value));
    }
  }

  template <class Bits>
  static bool all_zero(Bits bits) {
    return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(bits), reinterpret_cast<__m512i>(bits)) == 0;
  }

 private:
  static uint32_t mask(int64_t count) { return (uint32_t{1} << count) - 1; }
};

}  // namespace

constinit const ProductLoopsOfVectors kProductLoops64 = AllProductLoops<Avx512>::kAll;

}  // namespace etch
