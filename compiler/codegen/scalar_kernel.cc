// Scalar kernels: single elements in registers, with loops and branches between them.
#include "compiler/codegen/loop_guard.h"

namespace etch::codegen {

namespace {

class ScalarKernel {
 public:
  ScalarKernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module, const std::string& name)
      : k_(program, options, module, name), b_(k_.b), program_(program), values_(program.body.size()),
        handed_(program.body.size()), guard_(k_) {}

  llvm::Function* emit() {
    k_.function->addFnAttr(kScalarLoops, has_loops_that_fold() ? kFoldTurns : "");
    const Cursor at = KernelEmitter::element(k_.origin());
    guard_.load();
    for (int i = 0; i < static_cast<int>(program_.body.size()); ++i) {
      if (!emit_control(i)) k_.emit(i, at, values_);
    }
    return k_.finish();
  }

 private:
  /// A block that has begun and not ended.
  struct Block {
    llvm::BasicBlock* other = nullptr;          // where the code goes on if the condition is false
    llvm::BasicBlock* head = nullptr;           // of a loop
    llvm::BasicBlock* end_of_first = nullptr;   // of a branch, once otherwise has come
    llvm::SmallVector<llvm::PHINode*, 8> phis;  // what a loop carries
    llvm::PHINode* turns = nullptr;             // of a guarded loop, so far
    Values handed;                              // what leave takes out, or the first arm gives
    bool folds = false;                         // a loop's turns
  };

  /// True if several turns of a loop may fold to the work of one: a few sums and products of integers, such as a linear
  /// congruence.
  bool folds(size_t begin) const {
    constexpr int kMostOps = 8;
    if (program_.body[begin].guarded) return false;
    int ops = 0;
    for (size_t i = begin + 1; i < program_.body.size(); ++i) {
      const Instr& instr = program_.body[i];
      if (instr.kind == InstrKind::next) return ops <= kMostOps;
      const bool is_plain = instr.kind == InstrKind::handed || instr.kind == InstrKind::leave;
      if (is_plain) continue;
      if (instr.kind != InstrKind::compute || !is_table_op(instr.op) || is_floating(operand_dtype(program_, instr))) return false;
      const TypeRule rule = info(instr.op).rule;
      if (cost_of(instr.op) > 1 || (rule != TypeRule::numeric && rule != TypeRule::ordering)) return false;
      ++ops;
    }
    return false;
  }

  bool has_loops_that_fold() const {
    for (size_t i = 0; i < program_.body.size(); ++i) {
      if (program_.body[i].kind == InstrKind::loop && folds(i)) return true;
    }
    return false;
  }

  /// Keeps LLVM from writing out the turns of a loop: its code would be long for nothing.
  void keep_rolled(llvm::Instruction* back_edge) {
    llvm::MDNode* disable = llvm::MDNode::get(k_.context, llvm::MDString::get(k_.context, "llvm.loop.unroll.disable"));
    llvm::MDNode* loop = llvm::MDNode::getDistinct(k_.context, {nullptr, disable});
    loop->replaceOperandWith(0, loop);
    back_edge->setMetadata(llvm::LLVMContext::MD_loop, loop);
  }

  llvm::BasicBlock* new_block(const char* name) { return llvm::BasicBlock::Create(k_.context, name, k_.function); }

  Values args_of(const Instr& instr, size_t from = 0) const {
    Values args;
    for (size_t i = from; i < instr.args.size(); ++i) args.push_back(values_[instr.args[i]]);
    return args;
  }

  /// False for instructions that are no control flow.
  bool emit_control(int i) {
    const Instr& instr = program_.body[i];
    switch (instr.kind) {
      case InstrKind::branch: branch(instr); return true;
      case InstrKind::otherwise: otherwise(instr); return true;
      case InstrKind::join: handed_[i] = join(instr); return true;
      case InstrKind::loop:
        handed_[i] = loop(instr);
        blocks_.back().folds = folds(i);
        return true;
      case InstrKind::leave: leave(instr); return true;
      case InstrKind::next: handed_[i] = next(instr); return true;
      case InstrKind::handed: values_[i] = handed_[instr.args[0]][instr.slot]; return true;
      default: return false;
    }
  }

  void branch(const Instr& instr) {
    Block& block = blocks_.emplace_back();
    llvm::BasicBlock* then = new_block("then");
    block.other = new_block("otherwise");
    b_.CreateCondBr(values_[instr.args[0]], then, block.other);
    b_.SetInsertPoint(then);
  }

  void otherwise(const Instr& instr) {
    Block& block = blocks_.back();
    block.handed = args_of(instr);
    block.end_of_first = b_.GetInsertBlock();
    block.other->moveAfter(block.end_of_first);
    b_.SetInsertPoint(block.other);
  }

  Values join(const Instr& instr) {
    const Block block = blocks_.pop_back_val();
    const Values others = args_of(instr);
    llvm::BasicBlock* end_of_second = b_.GetInsertBlock();
    llvm::BasicBlock* joined = new_block("join");
    b_.CreateBr(joined);
    b_.SetInsertPoint(block.end_of_first);
    b_.CreateBr(joined);
    b_.SetInsertPoint(joined);
    Values handed;
    for (size_t i = 0; i < others.size(); ++i) {
      llvm::PHINode* phi = b_.CreatePHI(others[i]->getType(), 2);
      phi->addIncoming(block.handed[i], block.end_of_first);
      phi->addIncoming(others[i], end_of_second);
      handed.push_back(phi);
    }
    return handed;
  }

  Values loop(const Instr& instr) {
    Block& block = blocks_.emplace_back();
    llvm::BasicBlock* before = b_.GetInsertBlock();
    block.head = new_block("loop");
    b_.CreateBr(block.head);
    b_.SetInsertPoint(block.head);
    Values carried;
    for (llvm::Value* initial : args_of(instr)) {
      block.phis.push_back(b_.CreatePHI(initial->getType(), 2));
      block.phis.back()->addIncoming(initial, before);
      carried.push_back(block.phis.back());
    }
    if (instr.guarded) block.turns = guard_.count(before);
    return carried;
  }

  void leave(const Instr& instr) {
    Block& block = blocks_.back();
    block.handed = args_of(instr, 1);
    llvm::BasicBlock* goes_on = new_block("body");
    block.other = new_block("done");
    b_.CreateCondBr(values_[instr.args[0]], goes_on, block.other);
    b_.SetInsertPoint(goes_on);
    if (block.turns) guard_.check(block.turns);
  }

  Values next(const Instr& instr) {
    Block block = blocks_.pop_back_val();
    const Values carried = args_of(instr);
    for (size_t i = 0; i < carried.size(); ++i) block.phis[i]->addIncoming(carried[i], b_.GetInsertBlock());
    if (block.turns) guard_.turn(block.turns);
    llvm::Instruction* back_edge = b_.CreateBr(block.head);
    if (!block.folds) keep_rolled(back_edge);
    block.other->moveAfter(b_.GetInsertBlock());
    b_.SetInsertPoint(block.other);
    if (block.turns) guard_.note(block.turns);
    return block.handed;
  }

  KernelEmitter k_;
  Builder& b_;
  const KernelProgram& program_;
  std::vector<llvm::Value*> values_;  // per instruction
  std::vector<Values> handed_;        // per join, loop and next
  llvm::SmallVector<Block, 4> blocks_;
  LoopGuard guard_;
};

}  // namespace

llvm::Function* emit_scalar_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                   const std::string& name) {
  return ScalarKernel(program, options, module, name).emit();
}

}  // namespace etch::codegen
