// Stages of a row kernel that take one element of the row. Internal to code generation.
#pragma once

#include <optional>

#include "compiler/codegen/emit.h"

namespace etch::codegen {

/// Where a stage looks that sums `where(equal(number, index), value, 0)` over a row, as the loss of a label's class does: at one
/// element at the most. All others add zeros, which change nothing but the sign of a zero.
struct RowPoint {
  llvm::Value* holds;     // i1: the row has two elements or more, and what the others add is +0
  llvm::Value *from, *to; // i64: the elements to look at; all of the row unless it holds

  /// The state of a sum, from which it begins: +0 where it holds, as if one zero had been added already.
  llvm::Value* begin_sum(Builder& b, llvm::Value* initial) const;
  /// Those of the elements that lie in start .. stop.
  RowPoint within(Builder& b, llvm::Value* start, llvm::Value* stop) const;
};

/// That of a stage with these instructions per element, in a row of `n` elements at the origin, with the values so far.
std::optional<RowPoint> find_row_point(KernelEmitter& k, const std::vector<Level>& levels, llvm::ArrayRef<int> elements,
                                       const Origin& origin, llvm::Value* n, const std::vector<llvm::Value*>& values);

}  // namespace etch::codegen
