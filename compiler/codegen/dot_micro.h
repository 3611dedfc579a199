// The innermost loop of a matrix product: a tile of the result in registers. Internal to code generation.
#pragma once

#include <llvm/IR/Module.h>

#include <string>

#include "compiler/codegen/emit.h"

namespace etch::codegen {

/// The shape of a tile: `rows` rows of `vectors` vectors each.
struct TileShape {
  int rows = 1;
  int vectors = 1;
  bool ragged = false;  // fewer rows may be valid; the others compute the last valid row again
  bool masked = false;  // fewer columns may be valid, and no others are touched; one vector
};

/// An internal function of the module, shared by all kernels in it, that adds products over `depth` >= 1 steps:
///
///   void tile(const T* a, i64 a_row, i64 a_step, const T* b, i64 b_step, i64 depth,
///             const T* in, i64 in_row, T* out, i64 out_row, i64 valid_rows, i64 valid_columns)
///   out[r][j] = in[r][j] + sum over p < depth of a[r * a_row + p * a_step] * b[p * b_step + j]
///
/// in ascending order of p, by fma for floats. Strides are bytes. `valid_rows` >= 1 counts for ragged shapes only,
/// `valid_columns` >= 1 for masked ones. `vector_bytes` is the size of a vector. Function attributes are those of `caller`.
llvm::Function* tile_function(llvm::Module& module, const llvm::Function& caller, DType dtype, int vector_bytes,
                              TileShape shape);

/// An internal function without result, attributes as those of `caller`; `arguments` are the types of its parameters.
llvm::Function* internal_function(llvm::Module& module, const llvm::Function& caller, const std::string& name,
                                  llvm::ArrayRef<llvm::Type*> arguments);

}  // namespace etch::codegen
