// How a reduce instruction accumulates: its state per lane, one step, and what comes out. Internal to code generation.
#pragma once

#include "compiler/codegen/emit.h"

namespace etch::codegen {

/// One reduce instruction of a row or column kernel.
///
/// Sums and products of floats depend on the order, and the kernels follow the fixed tree. They start at an identity
/// that changes no bits: x + -0 == x and x * 1 == x for every x. All the others give the same bits in any order: a NaN
/// wins float max and min (which NaN is not promised), and their zeros become +0; argmax and argmin keep the first
/// position beside the value.
class Reducer {
 public:
  /// `position_bits` is the width of the positions that an argmax or argmin keeps.
  Reducer(KernelEmitter& k, int instr, int position_bits);

  int instr() const { return instr_; }
  DType dtype() const { return dtype_; }
  /// True if the order of the elements matters.
  bool ordered() const;
  /// True if an element that comes twice changes nothing.
  bool is_idempotent() const { return kind_ != ReduceKind::sum && kind_ != ReduceKind::prod; }
  /// True if the state holds a value and a position.
  bool has_position() const { return kind_ == ReduceKind::argmax || kind_ == ReduceKind::argmin; }

  /// The state of lanes that saw nothing.
  Values initial(int width) const;
  /// The state after x, at `position` (a scalar), in the lanes where the mask (may be null) holds.
  Values step(llvm::ArrayRef<llvm::Value*> state, llvm::Value* x, llvm::Value* position, llvm::Value* mask) const;
  /// True if it finds NaNs in its state, not in the elements: see watch().
  bool can_watch() const { return (kind_ == ReduceKind::max || kind_ == ReduceKind::min) && is_floating(dtype_); }
  /// A state that stands in several registers, of `width` lanes each, and behind it notes of NaNs that have been in them. Its steps
  /// take the larger or smaller of two in one instruction, which takes a NaN in and loses it to the next element, and look at
  /// two registers at once.
  Values watch(llvm::Value* lanes, int width) const;
  Values step_watched(llvm::ArrayRef<llvm::Value*> watched, llvm::Value* x, llvm::Value* mask) const;
  /// The state alone: a lane is a NaN if there was one.
  llvm::Value* unwatch(llvm::ArrayRef<llvm::Value*> watched) const;
  /// The values of two lanes, taken together: of a reduction with positions the winner.
  llvm::Value* merge(llvm::Value* a, llvm::Value* b) const;
  /// The lanes that hold the winner. All NaNs are one.
  llvm::Value* ties(llvm::Value* lanes, llvm::Value* winner) const;
  /// Two states of an ordered reduction, the earlier elements first.
  llvm::Value* combine(llvm::Value* a, llvm::Value* b) const;
  /// The lanes of an ordered reduction, folded in halves.
  llvm::Value* fold_ordered(llvm::Value* lanes) const;
  /// The lanes of another, reduced to one. Lane i of the state at position p saw elements p * width + i.
  Values fold(llvm::ArrayRef<llvm::Value*> state, int width) const;
  /// The reduction's value from its state, lane by lane. `count` is how many elements there were.
  llvm::Value* finish(llvm::ArrayRef<llvm::Value*> state, llvm::Value* count) const;

 private:
  bool is_max() const { return kind_ == ReduceKind::max || kind_ == ReduceKind::argmax; }
  bool is_signed() const { return is_signed_integer(dtype_); }
  llvm::Value* note_nans(llvm::Value* low, llvm::Value* high, llvm::Value* noted) const;
  llvm::Value* better(llvm::Value* x, llvm::Value* than) const;
  llvm::Value* fold_value(llvm::Value* lanes) const;
  llvm::Value* fold_halves(llvm::Value* lanes) const;
  llvm::Value* fold_extreme(llvm::Value* lanes) const;

  KernelEmitter& k_;
  Builder& b_;
  int instr_;
  ReduceKind kind_;
  DType dtype_;  // of the operand
  int position_bits_;
};

}  // namespace etch::codegen
