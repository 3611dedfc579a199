// What layers over time share: their input, their mask, and a cell that runs over both.
#pragma once

#include <string_view>
#include <vector>

#include "frontend/layers/parts.h"

namespace etch::layers {

/// A call of a cell or a layer.
struct SequenceCall {
  std::string_view name;
  const Tensor& x;
  Location where;
};

/// The input of a cell, f[batch, n], or of a layer, f[batch, time, n]. Error for another rank.
const Tensor& sequence_input(const Operand& x, std::string_view name, int rank);

/// Error if there is no time.
void check_time(const SequenceCall& call);

/// bool[batch, 1] for each time. Error for another mask than bool[batch, time].
std::vector<Tensor> masks_of(const Tensor& mask, const SequenceCall& call);

}  // namespace etch::layers
