// What the variables of layers start with.
#include "etch/initializers.h"

#include <algorithm>
#include <cmath>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "etch/random.h"
#include "frontend/tensor_impl.h"

namespace etch::initializers {
namespace {

/// The given seed, or a default one.
Tensor key_of(const Seed& seed) { return Tensor(seed ? *seed : random::next_seed()); }

struct Fans {
  double in, out;
};

Fans fans_of(const Shape& shape) {
  const int rank = shape.rank();
  if (rank == 0) return {1, 1};
  if (rank == 1) return {static_cast<double>(shape[0]), static_cast<double>(shape[0])};
  double receptive = 1;
  for (int i = 0; i < rank - 2; ++i) receptive *= static_cast<double>(shape[i]);
  return {static_cast<double>(shape[rank - 2]) * receptive, static_cast<double>(shape[rank - 1]) * receptive};
}

enum class Fan : uint8_t { in, mean };

double variance_of(const Shape& shape, double scale, Fan fan) {
  const Fans fans = fans_of(shape);
  return scale / std::max(1.0, fan == Fan::in ? fans.in : (fans.in + fans.out) / 2);
}

Initializer scaled_uniform(double scale, Fan fan, Seed seed) {
  return [=](const Shape& shape, DType dtype) {
    const double limit = std::sqrt(3 * variance_of(shape, scale, fan));
    return random::uniform(key_of(seed), shape, {-limit, limit, dtype});
  };
}

Initializer scaled_normal(double scale, Fan fan, Seed seed) {
  constexpr double kStddevOfTruncated = 0.87962566103423978;  // of a normal variable that is cut at two of them
  return [=](const Shape& shape, DType dtype) {
    const double stddev = std::sqrt(variance_of(shape, scale, fan)) / kStddevOfTruncated;
    return random::truncated_normal(key_of(seed), shape, {0, stddev, dtype});
  };
}

/// Makes the rows of a matrix of at least as many columns orthonormal, one after the other: what points along those before is
/// taken out, twice, since the first time leaves rounding errors.
void make_orthonormal(std::vector<double>& matrix, int64_t rows, int64_t columns) {
  const auto row = [&](int64_t i) { return matrix.data() + i * columns; };
  const auto product = [&](int64_t i, int64_t j) {
    double sum = 0;
    for (int64_t c = 0; c < columns; ++c) sum += row(i)[c] * row(j)[c];
    return sum;
  };
  for (int64_t i = 0; i < rows; ++i) {
    for (int time = 0; time < 2; ++time) {
      for (int64_t j = 0; j < i; ++j) {
        const double along = product(i, j);
        for (int64_t c = 0; c < columns; ++c) row(i)[c] -= along * row(j)[c];
      }
    }
    const double length = std::sqrt(product(i, i));
    for (int64_t c = 0; c < columns; ++c) row(i)[c] /= length;
  }
}

}  // namespace

Initializer zeros() {
  return [](const Shape& shape, DType dtype) { return etch::zeros(shape, dtype); };
}

Initializer ones() {
  return [](const Shape& shape, DType dtype) { return etch::ones(shape, dtype); };
}

Initializer constant(double value) {
  return [=](const Shape& shape, DType dtype) { return full(shape, value, dtype); };
}

Initializer normal(double mean, double stddev, Seed seed) {
  return [=](const Shape& shape, DType dtype) { return random::normal(key_of(seed), shape, {mean, stddev, dtype}); };
}

Initializer truncated_normal(double mean, double stddev, Seed seed) {
  return [=](const Shape& shape, DType dtype) {
    return random::truncated_normal(key_of(seed), shape, {mean, stddev, dtype});
  };
}

Initializer uniform(double low, double high, Seed seed) {
  return [=](const Shape& shape, DType dtype) { return random::uniform(key_of(seed), shape, {low, high, dtype}); };
}

Initializer glorot_uniform(Seed seed) { return scaled_uniform(1, Fan::mean, seed); }
Initializer glorot_normal(Seed seed) { return scaled_normal(1, Fan::mean, seed); }
Initializer he_uniform(Seed seed) { return scaled_uniform(2, Fan::in, seed); }
Initializer he_normal(Seed seed) { return scaled_normal(2, Fan::in, seed); }
Initializer lecun_uniform(Seed seed) { return scaled_uniform(1, Fan::in, seed); }
Initializer lecun_normal(Seed seed) { return scaled_normal(1, Fan::in, seed); }

Initializer orthogonal(double gain, Seed seed) {
  return [=](const Shape& shape, DType dtype) {
    if (shape.rank() < 2) {
      throw Error(cat("initializers::orthogonal: ", to_string(shape), " is no matrix; it needs two axes or more"));
    }
    const int64_t columns = shape[shape.rank() - 1];
    const int64_t rows = columns == 0 ? 0 : shape.product() / columns;
    const int64_t shorter = std::min(rows, columns), longer = std::max(rows, columns);
    std::vector<double> matrix = random::normal(key_of(seed), {shorter, longer}, {.dtype = DType::f64}).to_vector<double>();
    make_orthonormal(matrix, shorter, longer);
    Tensor result = Tensor::from(matrix, {shorter, longer});
    if (rows > columns) result = transpose(result);
    return cast(reshape(result * gain, shape), dtype);
  };
}

}  // namespace etch::initializers
