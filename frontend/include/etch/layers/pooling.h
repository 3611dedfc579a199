// Layers that pool sequences f[n, width, c] and pictures f[n, height, width, c] (etch/nn.h).
#pragma once

#include "etch/layers/convolution.h"
#include "etch/nn.h"

namespace [[gnu::visibility("default")]] etch {

// Names and defaults are Keras'. Strides are as large as the windows if they are empty.
namespace layers {

/// The largest element of every window.
struct MaxPooling1D {
  Dims pool_size = 2;
  Dims strides{};
  Padding padding = Padding::valid;

  Tensor operator()(const Operand& x) const;
};

struct MaxPooling2D {
  Dims pool_size = 2;
  Dims strides{};
  Padding padding = Padding::valid;

  Tensor operator()(const Operand& x) const;
};

/// The mean of every window, of what lies within the borders.
struct AveragePooling1D {
  Dims pool_size{};
  Dims strides{};
  Padding padding = Padding::valid;

  Tensor operator()(const Operand& x) const;
};

struct AveragePooling2D {
  Dims pool_size{};
  Dims strides{};
  Padding padding = Padding::valid;

  Tensor operator()(const Operand& x) const;
};

/// The largest element of every channel: f[n, c], or with keepdims extents of 1 in between.
struct GlobalMaxPooling1D {
  bool keepdims = false;

  Tensor operator()(const Operand& x) const;
};

struct GlobalMaxPooling2D {
  bool keepdims = false;

  Tensor operator()(const Operand& x) const;
};

/// The mean of every channel.
struct GlobalAveragePooling1D {
  bool keepdims = false;

  Tensor operator()(const Operand& x) const;
};

struct GlobalAveragePooling2D {
  bool keepdims = false;

  Tensor operator()(const Operand& x) const;
};

}  // namespace layers
}  // namespace etch
