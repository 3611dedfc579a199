// The innermost loop of a matrix product: a tile of the result in registers. Internal to code generation.
#pragma once

#include <llvm/IR/Module.h>

#include <string>

#include "compiler/codegen/emit.h"

namespace etch::codegen {

/// The shape of a tile: `rows` rows of one or two vectors each. Two vectors overlap where there are fewer columns: what both
/// have is computed twice.
struct TileShape {
  int rows = 1;
  int vectors = 1;
  bool ragged = false;  // fewer rows may be there; the others compute the last one again
  bool masked = false;  // fewer columns than a vector has may be there, and no others are touched
};

/// An internal function of the module, shared by all kernels in it, that adds products over `depth` >= 1 steps:
///
///   void tile(const T* a, i64 a_row, i64 a_step, const T* b, i64 b_step, i64 depth,
///             const T* in, i64 in_row, T* out, i64 out_row, i64 rows, i64 columns)
///   out[r][j] = in[r][j] + sum over p < depth of a[r * a_row + p * a_step] * b[p * b_step + j]
///
/// in ascending order of p, by fma for floats. Strides are bytes. `rows` >= 1 counts for ragged shapes only, `columns` for
/// masked ones and for those of two vectors. `vector_bytes` is the size of a vector. Function attributes are those of `caller`.
llvm::Function* tile_function(llvm::Module& module, const llvm::Function& caller, DType dtype, int vector_bytes,
                              TileShape shape);

/// An internal function without result, attributes as those of `caller`; `arguments` are the types of its parameters.
llvm::Function* internal_function(llvm::Module& module, const llvm::Function& caller, const std::string& name,
                                  llvm::ArrayRef<llvm::Type*> arguments);

}  // namespace etch::codegen
