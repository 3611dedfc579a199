// Hand-written C++ for the same work as the benchmarks' functions.
#include "benchmarks/hand.h"

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace hand {
namespace {

constexpr int kLanes = 64;

// The partial results of 64 lanes, folded in halves.
template <class Combine>
float fold(float (&lanes)[kLanes], Combine combine) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] = combine(lanes[i], lanes[i + half]);
  }
  return lanes[0];
}

template <class Element>
float row_reduce_sum(int64_t n, Element element) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += element(i + lane);
  }
  for (int lane = 0; i < n; ++i, ++lane) lanes[lane] += element(i);
  return fold(lanes, [](float a, float b) { return a + b; });
}

float row_max(const float* x, int64_t n) {
  float lanes[kLanes];
  std::fill_n(lanes, kLanes, -INFINITY);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
  }
  for (int lane = 0; i < n; ++i, ++lane) lanes[lane] = std::max(lanes[lane], x[i]);
  return fold(lanes, [](float a, float b) { return std::max(a, b); });
}

}  // namespace

void chain10(const float* __restrict x, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float a = x[i] * 1.5f + 0.5f;
    float b = a * x[i] - 2.0f;
    float c = std::fabs(b) * 0.25f;
    float d = std::max(c, x[i]) - b;
    y[i] = std::sqrt(std::fabs(d));
  }
}

void exp_heavy(const float* __restrict x, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = std::exp(-x[i] * x[i]) / (1.0f + std::exp(-x[i]));
}

void scale_shift(const float* __restrict x, const float* __restrict gamma, const float* __restrict beta,
                 float* __restrict y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) y[r * columns + c] = x[r * columns + c] * gamma[c] + beta[c];
  }
}

float sum(const float* x, int64_t n) {
  float total = 0;
  constexpr int64_t kBlock = 16384;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    total += row_reduce_sum(std::min(kBlock, n - begin), [x = x + begin](int64_t i) { return x[i]; });
  }
  return total;
}

void row_sum(const float* x, float* y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    y[r] = row_reduce_sum(columns, [x = x + r * columns](int64_t i) { return x[i]; });
  }
}

void column_sum(const float* __restrict x, float* __restrict y, int64_t rows, int64_t columns) {
  std::fill_n(y, columns, 0.0f);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) y[c] += x[r * columns + c];
  }
}

void softmax(const float* __restrict x, float* __restrict y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    float max = row_max(x, columns);
    for (int64_t c = 0; c < columns; ++c) y[c] = std::exp(x[c] - max);
    float total = row_reduce_sum(columns, [y](int64_t i) { return y[i]; });
    for (int64_t c = 0; c < columns; ++c) y[c] /= total;
  }
}

void layer_norm(const float* __restrict x, const float* __restrict gamma, const float* __restrict beta,
                float* __restrict y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    float mean = row_reduce_sum(columns, [x](int64_t i) { return x[i]; }) / columns;
    float variance = row_reduce_sum(columns, [x, mean](int64_t i) { return (x[i] - mean) * (x[i] - mean); }) / columns;
    float scale = 1.0f / std::sqrt(variance + 1e-5f);
    for (int64_t c = 0; c < columns; ++c) y[c] = (x[c] - mean) * scale * gamma[c] + beta[c];
  }
}

void add(const float* __restrict x, float c, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] + c;
}

void add_index(const float* __restrict x, float* __restrict y, int64_t n) {
  for (int32_t i = 0; i < n; ++i) y[i] = x[i] + static_cast<float>(i);
}

void clip(const float* __restrict x, float low, float high, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    float a = x[i] < low ? low : x[i];
    y[i] = a > high ? high : a;
  }
}

void row_max(const float* x, float* y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) y[r] = row_max(x + r * columns, columns);
}

void row_argmax(const float* x, int64_t* y, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; ++r, x += columns) {
    float best = row_max(x, columns);
    y[r] = std::find(x, x + columns, best) - x;
  }
}

void column_max(const float* __restrict x, float* __restrict y, int64_t rows, int64_t columns) {
  std::fill_n(y, columns, -INFINITY);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) y[c] = x[r * columns + c] > y[c] ? x[r * columns + c] : y[c];
  }
}

template <class T>
void channel(const T* __restrict x, int64_t stride, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(x[stride * i]) + 1;
}

template <class T>
void grey(const T* __restrict x, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = 0.2f * x[3 * i] + 0.7f * x[3 * i + 1] + 0.1f * x[3 * i + 2];
}

template <class T>
void interleave3(const T* __restrict x, T* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    y[3 * i] = x[i];
    y[3 * i + 1] = x[i] + 1;
    y[3 * i + 2] = x[i] + 2;
  }
}

template <class T>
void saturate(const float* __restrict x, T* __restrict y, int64_t n) {
  constexpr float kLow = static_cast<float>(std::numeric_limits<T>::min());
  constexpr float kEnd = static_cast<float>(std::numeric_limits<T>::max() / 2 + 1) * 2;
  for (int64_t i = 0; i < n; ++i) {
    float a = x[i] > kLow ? x[i] : kLow;
    T value = a < kEnd ? static_cast<T>(a) : std::numeric_limits<T>::max();
    y[i] = x[i] == x[i] ? value : T(0);
  }
}

template <class T>
void transpose(const T* __restrict x, T* __restrict y, int64_t n) {
  constexpr int64_t kBlock = 16;
  for (int64_t i0 = 0; i0 < n; i0 += kBlock) {
    for (int64_t j0 = 0; j0 < n; j0 += kBlock) {
      for (int64_t j = j0; j < j0 + kBlock; ++j) {
        for (int64_t i = i0; i < i0 + kBlock; ++i) y[j * n + i] = x[i * n + j];
      }
    }
  }
}

void add_transposed(const float* __restrict a, const float* __restrict x, float* __restrict y, int64_t n) {
  constexpr int64_t kBlock = 16;
  for (int64_t i0 = 0; i0 < n; i0 += kBlock) {
    for (int64_t j0 = 0; j0 < n; j0 += kBlock) {
      for (int64_t i = i0; i < i0 + kBlock; ++i) {
        for (int64_t j = j0; j < j0 + kBlock; ++j) y[i * n + j] = a[i * n + j] + x[j * n + i];
      }
    }
  }
}

void swap_outer(const float* x, float* y, int64_t s, int64_t h, int64_t c) {
  for (int64_t i = 0; i < s; ++i) {
    for (int64_t j = 0; j < h; ++j) std::copy_n(x + (i * h + j) * c, c, y + (j * s + i) * c);
  }
}

void interleave2(const float* __restrict a, const float* __restrict b, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    y[2 * i] = a[i];
    y[2 * i + 1] = b[i];
  }
}

void flip(const float* __restrict x, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[n - 1 - i];
}

void join_columns(const float* a, const float* b, float* y, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i) {
    std::copy_n(a + i * columns, columns, y + 2 * i * columns);
    std::copy_n(b + i * columns, columns, y + (2 * i + 1) * columns);
  }
}

template void channel(const float*, int64_t, float*, int64_t);
template void channel(const uint8_t*, int64_t, float*, int64_t);
template void grey(const float*, float*, int64_t);
template void grey(const uint8_t*, float*, int64_t);
template void interleave3(const float*, float*, int64_t);
template void interleave3(const uint8_t*, uint8_t*, int64_t);
template void saturate(const float*, uint8_t*, int64_t);
template void transpose(const uint8_t*, uint8_t*, int64_t);
template void transpose(const float*, float*, int64_t);
template void transpose(const double*, double*, int64_t);
template void saturate(const float*, int32_t*, int64_t);
template void saturate(const float*, int64_t*, int64_t);

int64_t collatz(int64_t turns) {
  int64_t from = 0;
  while (turns > 0) {
    ++from;
    for (int64_t n = from; n != 1; --turns) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
  }
  return from;
}

double newton(int64_t turns, double x) {
  double square = 1;
  for (int64_t i = 0; i < turns; ++i) {
    square += 1;
    x = 0.5 * (x + square / x);
  }
  return x;
}

uint64_t congruence(int64_t turns, uint64_t x) {
  for (int64_t i = 0; i < turns; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
  return x;
}

#if defined(__AVX512F__)
__attribute__((optimize("fp-contract=off"))) void mandelbrot(const float* re, const float* im, int32_t* turns, int64_t n,
                                                             int32_t most) {
  constexpr int kLanesOf512 = 16, kAtOnce = 2;
  const __m512 four = _mm512_set1_ps(4);
  const __m512i one = _mm512_set1_epi32(1);
  for (int64_t i = 0; i < n; i += kAtOnce * kLanesOf512) {
    __m512 cx[kAtOnce], cy[kAtOnce], x[kAtOnce], y[kAtOnce];
    __m512i count[kAtOnce];
    __mmask16 on[kAtOnce];
    for (int v = 0; v < kAtOnce; ++v) {
      cx[v] = _mm512_loadu_ps(re + i + v * kLanesOf512);
      cy[v] = _mm512_loadu_ps(im + i + v * kLanesOf512);
      x[v] = y[v] = _mm512_setzero_ps();
      count[v] = _mm512_setzero_si512();
      on[v] = 0xffff;
    }
    for (int32_t k = 0; k < most; ++k) {
      for (int v = 0; v < kAtOnce; ++v) {
        const __m512 xx = _mm512_mul_ps(x[v], x[v]), yy = _mm512_mul_ps(y[v], y[v]), xy = _mm512_mul_ps(x[v], y[v]);
        on[v] = _mm512_mask_cmp_ps_mask(on[v], _mm512_add_ps(xx, yy), four, _CMP_LE_OQ);
        count[v] = _mm512_mask_add_epi32(count[v], on[v], count[v], one);
        x[v] = _mm512_add_ps(_mm512_sub_ps(xx, yy), cx[v]);
        y[v] = _mm512_add_ps(_mm512_add_ps(xy, xy), cy[v]);
      }
      if ((on[0] | on[1]) == 0) break;
    }
    for (int v = 0; v < kAtOnce; ++v) _mm512_storeu_si512(turns + i + v * kLanesOf512, count[v]);
  }
}
#elif defined(__AVX2__)
__attribute__((optimize("fp-contract=off"))) void mandelbrot(const float* re, const float* im, int32_t* turns, int64_t n,
                                                             int32_t most) {
  constexpr int kLanesOf256 = 8, kAtOnce = 2;
  const __m256 four = _mm256_set1_ps(4);
  for (int64_t i = 0; i < n; i += kAtOnce * kLanesOf256) {
    __m256 cx[kAtOnce], cy[kAtOnce], x[kAtOnce], y[kAtOnce], on[kAtOnce];
    __m256i count[kAtOnce];
    for (int v = 0; v < kAtOnce; ++v) {
      cx[v] = _mm256_loadu_ps(re + i + v * kLanesOf256);
      cy[v] = _mm256_loadu_ps(im + i + v * kLanesOf256);
      x[v] = y[v] = _mm256_setzero_ps();
      count[v] = _mm256_setzero_si256();
      on[v] = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    }
    for (int32_t k = 0; k < most; ++k) {
      for (int v = 0; v < kAtOnce; ++v) {
        const __m256 xx = _mm256_mul_ps(x[v], x[v]), yy = _mm256_mul_ps(y[v], y[v]), xy = _mm256_mul_ps(x[v], y[v]);
        on[v] = _mm256_and_ps(on[v], _mm256_cmp_ps(_mm256_add_ps(xx, yy), four, _CMP_LE_OQ));
        count[v] = _mm256_sub_epi32(count[v], _mm256_castps_si256(on[v]));
        x[v] = _mm256_add_ps(_mm256_sub_ps(xx, yy), cx[v]);
        y[v] = _mm256_add_ps(_mm256_add_ps(xy, xy), cy[v]);
      }
      if (_mm256_movemask_ps(_mm256_or_ps(on[0], on[1])) == 0) break;
    }
    for (int v = 0; v < kAtOnce; ++v) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(turns + i + v * kLanesOf256), count[v]);
    }
  }
}
#else
void mandelbrot(const float* re, const float* im, int32_t* turns, int64_t n, int32_t most) {
  for (int64_t i = 0; i < n; ++i) {
    float x = 0, y = 0;
    for (turns[i] = 0; turns[i] < most && x * x + y * y <= 4; ++turns[i]) {
      const float next = x * x - y * y + re[i];
      y = x * y + x * y + im[i];
      x = next;
    }
  }
}
#endif

void copy(const float* __restrict x, float* __restrict y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i];
}

float fma_peak(int64_t n) {
  constexpr int kWidth = 16, kVectors = 12;
  typedef float Vector __attribute__((vector_size(kWidth * sizeof(float))));
  Vector accumulators[kVectors];
  for (int i = 0; i < kVectors; ++i) accumulators[i] = Vector{} + static_cast<float>(i);  // equal ones would be one
  Vector a = {}, b = {};
  for (int lane = 0; lane < kWidth; ++lane) a[lane] = 0.999f, b[lane] = 0.001f * (lane + 1);
  for (int64_t i = 0; i < n; ++i) {
    for (Vector& accumulator : accumulators) accumulator = accumulator * a + b;
  }
  // Every lane counts: what is not read would not be computed.
  float total = 0;
  for (const Vector& accumulator : accumulators) {
    for (int lane = 0; lane < kWidth; ++lane) total += accumulator[lane];
  }
  return total;
}

}  // namespace hand
