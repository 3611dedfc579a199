// What the gradients of ops with regions share.
#pragma once

#include <span>
#include <vector>

#include "compiler/ir/gradient.h"
#include "compiler/ir/graph.h"

namespace etch::op {

/// Those of the values that are of floats.
inline std::vector<Value> floats_of(const Graph& graph, std::span<const Value> values) {
  std::vector<Value> floats;
  for (Value value : values) {
    if (is_floating(graph.type(value).dtype)) floats.push_back(value);
  }
  return floats;
}

/// A node where it is differentiated in one operand.
struct RegionBackward {
  RegionBackward(const Backward& at, int operand) : maker(at.operands[0].maker()) {
    for (int i = 0; i < static_cast<int>(at.operands.size()); ++i) {
      operands.push_back(at.operands[i].value());
      index += i < operand && is_floating(at.operands[i].dtype());
    }
    for (size_t i = 0; i < at.results.size(); ++i) {
      const Type type = at.results[i].type();
      if (!is_floating(type.dtype)) continue;
      cotangents.push_back(at.cotangents[i].is_none() ? constant(maker, 0, type).value() : at.cotangents[i].value());
    }
  }

  ExMaker& maker;
  std::vector<Value> operands;
  std::vector<Value> cotangents;  // of the results of floats, 0 where no target depends on one
  int index = 0;                  // of the operand among those of floats
};

}  // namespace etch::op
