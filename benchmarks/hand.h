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

/// Probes of the machine: copies n floats; runs n fused multiply-adds per lane on 8 independent vectors.
void copy(const float* x, float* y, int64_t n);
float fma_peak(int64_t n);

}  // namespace hand
