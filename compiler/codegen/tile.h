// Tiles: pieces of neighbouring rows in memory, as vectors of lanes across the rows. Internal to code generation.
#pragma once

#include "compiler/codegen/emit.h"

namespace etch::codegen {

/// 1 for a scalar.
int lanes_of(llvm::Value* value);

/// All lanes of one vector, then all of the other; one half of a vector.
llvm::Value* concat_lanes(Builder& b, llvm::Value* low, llvm::Value* high);
llvm::Value* half_of(Builder& b, llvm::Value* lanes, bool upper);

/// As many vectors as a row has elements; vector i holds element i of every row. Numbers of rows and of their elements are
/// powers of two.
Values transpose(Builder& b, llvm::ArrayRef<llvm::Value*> rows);

/// Loads elements of `width` rows, the first at `from`, each `step` elements behind the one before it: lane l of result e
/// is element e of row l. Made are those that `wanted` names, ascending from 0, the others are null; read is at most what
/// lies between the first and the last. `type` is that of one element.
Values load_tile(Builder& b, llvm::Type* type, llvm::Value* from, llvm::Value* step, int width,
                 llvm::ArrayRef<int> wanted);

using Join = llvm::function_ref<llvm::Value*(llvm::Value* low, llvm::Value* high)>;

/// Folds rows of `length` elements that stand behind each other in one vector, each in halves, until `left` of each are
/// left: `join` takes the lower half and the upper one. All numbers are powers of two.
llvm::Value* fold_within(Builder& b, llvm::Value* rows, int length, int left, Join join);

/// Folds rows of `length` elements that stand behind each other in `length` vectors: lane i of the result is what row i
/// comes to, folded in halves. All numbers are powers of two.
llvm::Value* fold_rows(Builder& b, Values vectors, int length, Join join);

/// Folds rows that stand in a vector each, in halves: lane i of the result is what row i comes to. There are at most as many rows
/// as lanes. All numbers are powers of two.
llvm::Value* fold_vectors(Builder& b, Values rows, Join join);

/// Stores lane l of value e to element e of row l.
void store_tile(Builder& b, llvm::ArrayRef<llvm::Value*> values, llvm::Value* to, llvm::Value* step);

}  // namespace etch::codegen
