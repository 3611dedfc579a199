// Hand-written C++ for the same work as the benchmarks' functions: what a careful user would write without Etch. Built
// with -O3 -march=native. Reductions keep 64 partial sums, as Etch's do, so that the compiler may use vectors.
#pragma once

#include <cstdint>

namespace hand {

void chain10(const float* x, float* y, int64_t n);
void exp_heavy(const float* x, float* y, int64_t n);
void scale_shift(const float* x, const float* gamma, const float* beta, float* y, int64_t rows, int64_t columns);
float sum(const float* x, int64_t n);
void row_sum(const float* x, float* y, int64_t rows, int64_t columns);
void column_sum(const float* x, float* y, int64_t rows, int64_t columns);
void softmax(const float* x, float* y, int64_t rows, int64_t columns);
void layer_norm(const float* x, const float* gamma, const float* beta, float* y, int64_t rows, int64_t columns);

void add(const float* x, float c, float* y, int64_t n);
void add_index(const float* x, float* y, int64_t n);
void clip(const float* x, float low, float high, float* y, int64_t n);
void row_max(const float* x, float* y, int64_t rows, int64_t columns);
void row_argmax(const float* x, int64_t* y, int64_t rows, int64_t columns);
void column_max(const float* x, float* y, int64_t rows, int64_t columns);

/// y[i] = x[stride * i] + 1
template <class T>
void channel(const T* x, int64_t stride, float* y, int64_t n);
/// A weighted sum of x[3 i], x[3 i + 1] and x[3 i + 2].
template <class T>
void grey(const T* x, float* y, int64_t n);
/// y[3 i + k] = x[i] + k
template <class T>
void interleave3(const T* x, T* y, int64_t n);
/// Truncated and limited to the range of T.
template <class T>
void saturate(const float* x, T* y, int64_t n);

/// y[j, i] = x[i, j] of an n by n matrix, n a multiple of 16, in blocks.
template <class T>
void transpose(const T* x, T* y, int64_t n);
/// y[i, j] = a[i, j] + x[j, i], likewise.
void add_transposed(const float* a, const float* x, float* y, int64_t n);
/// y[h, s, c] = x[s, h, c]
void swap_outer(const float* x, float* y, int64_t s, int64_t h, int64_t c);
/// y[2 i] = a[i], y[2 i + 1] = b[i]
void interleave2(const float* a, const float* b, float* y, int64_t n);
/// y[i] = x[n - 1 - i]
void flip(const float* x, float* y, int64_t n);
/// The rows of a and of b, of so many columns each, beside each other.
void join_columns(const float* a, const float* b, float* y, int64_t rows, int64_t columns);

/// Loops of so many turns over scalars: turns of Collatz' rule for 1, 2, 3 ... one after the other (the number at which it
/// stands); steps of Newton's rule towards the root of a growing number; steps of a linear congruence.
int64_t collatz(int64_t turns);
double newton(int64_t turns, double x);
uint64_t congruence(int64_t turns, uint64_t x);

/// Turns of z = z * z + c for each c of n, a multiple of 32, until |z| > 2, at most `most`: vectors with masks, two of them
/// under way at a time. Without fused multiply-adds, so that results can be compared.
void mandelbrot(const float* re, const float* im, int32_t* turns, int64_t n, int32_t most);

/// Probes of the machine: copies n floats; runs n fused multiply-adds per lane on 8 independent vectors.
void copy(const float* x, float* y, int64_t n);
float fma_peak(int64_t n);

}  // namespace hand
