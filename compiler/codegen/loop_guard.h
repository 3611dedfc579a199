// The guard of loops in kernels: they take no more turns than the run allows (TurnGuard).
#pragma once

#include <llvm/IR/MDBuilder.h>

#include <cstddef>

#include "compiler/codegen/emit.h"
#include "runtime/kernel_abi.h"

namespace etch::codegen {

/// Counts the turns of a kernel's guarded loops. Threads share the guard where the kernel has an axis.
class LoopGuard {
 public:
  explicit LoopGuard(KernelEmitter& k) : k_(k), b_(k.b) {}

  /// What the guard says, at the builder's place, before any of these loops.
  void load() {
    const KernelProgram& program = k_.program;
    if (!program.has_guarded_loops()) return;
    const size_t behind_accesses = program.accesses.size() + (program.num_checks > 0 ? 1 : 0);
    llvm::Value* slot = b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), k_.function->getArg(0), behind_accesses);
    guard_ = b_.CreateLoad(b_.getPtrTy(), slot, "guard");
    limit_ = b_.CreateLoad(b_.getInt64Ty(), field(offsetof(TurnGuard, limit)), "limit");
  }

  /// The turns of a loop so far, at its head; `before` is the block from which it is entered.
  llvm::PHINode* count(llvm::BasicBlock* before) {
    llvm::PHINode* turns = b_.CreatePHI(b_.getInt64Ty(), 2, "turns");
    turns->addIncoming(b_.getInt64(0), before);
    return turns;
  }

  /// Ends the kernel where its loop wants a turn more than it may take. Its results are of no use then.
  void check(llvm::PHINode* turns) {
    llvm::BasicBlock* exceeded = llvm::BasicBlock::Create(k_.context, "exceeded", k_.function);
    llvm::BasicBlock* goes_on = llvm::BasicBlock::Create(k_.context, "turn", k_.function);
    llvm::MDNode* seldom = llvm::MDBuilder(k_.context).createBranchWeights(1, 1 << 20);
    b_.CreateCondBr(b_.CreateICmpUGE(turns, limit_), exceeded, goes_on, seldom);
    b_.SetInsertPoint(exceeded);
    b_.CreateStore(b_.getInt8(1), field(offsetof(TurnGuard, exceeded)))->setAtomic(llvm::AtomicOrdering::Monotonic);
    b_.CreateRetVoid();
    b_.SetInsertPoint(goes_on);
  }

  /// At the end of a turn.
  void turn(llvm::PHINode* turns) {
    turns->addIncoming(b_.CreateAdd(turns, b_.getInt64(1), "", true, true), b_.GetInsertBlock());
  }

  /// Behind the loop: adds its turns to those of the run.
  void note(llvm::PHINode* turns) {
    if (k_.program.rank() == 0) {
      llvm::Value* const total = field(offsetof(TurnGuard, turns));
      b_.CreateStore(b_.CreateAdd(b_.CreateLoad(b_.getInt64Ty(), total), turns), total);
      return;
    }
    b_.CreateAtomicRMW(llvm::AtomicRMWInst::Add, field(offsetof(TurnGuard, turns)), turns, llvm::Align(alignof(int64_t)),
                       llvm::AtomicOrdering::Monotonic);
  }

 private:
  llvm::Value* field(size_t offset) { return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), guard_, offset); }

  KernelEmitter& k_;
  Builder& b_;
  llvm::Value* guard_ = nullptr;
  llvm::Value* limit_ = nullptr;
};

}  // namespace etch::codegen
