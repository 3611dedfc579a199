// Initialisers: what the variables of layers start with.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

/// Makes the first value of a variable of this shape and dtype.
using Initializer = std::function<Tensor(const Shape& shape, DType dtype)>;

// Names, defaults and formulas are Keras'. Those that draw give the same numbers at each call if they have a seed, else others,
// from default seeds (random::set_seed). The numbers are those of etch/random.h, so other ones than Keras draws.
namespace initializers {

using Seed = std::optional<uint64_t>;

[[nodiscard]] Initializer zeros();
[[nodiscard]] Initializer ones();
[[nodiscard]] Initializer constant(double value);
[[nodiscard]] Initializer normal(double mean = 0, double stddev = 0.05, Seed seed = {});
/// At most two standard deviations from the mean.
[[nodiscard]] Initializer truncated_normal(double mean = 0, double stddev = 0.05, Seed seed = {});
[[nodiscard]] Initializer uniform(double low = -0.05, double high = 0.05, Seed seed = {});

// Of variance scale / n, where n is the number of inputs of a unit (fan in), or the mean of its inputs and outputs: uniform, or a
// truncated normal. A shape [..., in, out] has `in` and `out` times the extents before as its fans; a vector its extent.
/// Scale 1, mean of both fans (Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
/// 2010).
[[nodiscard]] Initializer glorot_uniform(Seed seed = {});
[[nodiscard]] Initializer glorot_normal(Seed seed = {});
/// Scale 2, fan in (He et al., "Delving Deep into Rectifiers", 2015).
[[nodiscard]] Initializer he_uniform(Seed seed = {});
[[nodiscard]] Initializer he_normal(Seed seed = {});
/// Scale 1, fan in (LeCun et al., "Efficient BackProp", 1998).
[[nodiscard]] Initializer lecun_uniform(Seed seed = {});
[[nodiscard]] Initializer lecun_normal(Seed seed = {});
/// A matrix, of all axes but the last by the last, whose shorter side's vectors are orthonormal, times gain (Saxe et al., "Exact
/// solutions to the nonlinear dynamics of learning in deep linear neural networks", 2014). Error for rank below 2.
[[nodiscard]] Initializer orthogonal(double gain = 1, Seed seed = {});

}  // namespace initializers
}  // namespace etch
