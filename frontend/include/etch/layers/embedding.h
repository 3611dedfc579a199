// A layer that looks up rows of a table.
#pragma once

#include "etch/initializers.h"
#include "etch/ops.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {
namespace layers {

/// A row of the table for each index: integers [...] -> dtype [..., output_dim] (Keras' Embedding). The table is built by the
/// first call. An index outside of 0..input_dim-1 is an Error, as for gather.
struct Embedding {
  int64_t input_dim = 0;
  int64_t output_dim = 0;
  Initializer embeddings_initializer = initializers::uniform();
  DType dtype = DType::f32;
  bool mask_zero = false;  // index 0 fills sequences up: it gives a row like others, and a mask that is false

  Variable embeddings = Variable::deferred({.name = "embeddings"});  // dtype [input_dim, output_dim]

  Tensor operator()(const Operand& indices) const;
  /// Where the indices are not 0, for the layers that follow, as Sequential does; none unless mask_zero.
  Tensor compute_mask(const Operand& indices, const Tensor& mask = {}) const;
};

}  // namespace layers
}  // namespace etch
