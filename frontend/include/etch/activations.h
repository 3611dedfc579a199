// Activations: functions of one tensor, for layers.
#pragma once

#include <functional>

#include "etch/ops.h"

namespace [[gnu::visibility("default")]] etch {

/// What a layer applies to its result. None is the identity.
using Activation = std::function<Tensor(const Tensor&)>;

// The ops of these names with their default arguments (etch/ops.h).
namespace activations {

inline Tensor linear(const Tensor& x) { return x; }
inline Tensor relu(const Tensor& x) { return etch::relu(x); }
inline Tensor relu6(const Tensor& x) { return etch::relu6(x); }
inline Tensor leaky_relu(const Tensor& x) { return etch::leaky_relu(x); }
inline Tensor elu(const Tensor& x) { return etch::elu(x); }
inline Tensor selu(const Tensor& x) { return etch::selu(x); }
inline Tensor gelu(const Tensor& x) { return etch::gelu(x); }
inline Tensor silu(const Tensor& x) { return etch::silu(x); }
inline Tensor swish(const Tensor& x) { return etch::silu(x); }
inline Tensor sigmoid(const Tensor& x) { return etch::sigmoid(x); }
inline Tensor hard_sigmoid(const Tensor& x) { return etch::hard_sigmoid(x); }
inline Tensor tanh(const Tensor& x) { return etch::tanh(x); }
inline Tensor softplus(const Tensor& x) { return etch::softplus(x); }
inline Tensor softsign(const Tensor& x) { return etch::softsign(x); }
inline Tensor exponential(const Tensor& x) { return etch::exp(x); }
inline Tensor softmax(const Tensor& x) { return etch::softmax(x); }
inline Tensor log_softmax(const Tensor& x) { return etch::log_softmax(x); }

}  // namespace activations
}  // namespace etch
