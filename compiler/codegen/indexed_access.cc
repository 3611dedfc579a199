// Loads at indices that the kernel computes, and the checks of these.
#include <llvm/IR/MDBuilder.h>

#include "compiler/codegen/emit.h"
#include "compiler/codegen/tile.h"
#include "runtime/kernel_abi.h"

namespace etch::codegen {
namespace {

llvm::Value* lane(Builder& b, llvm::Value* value, llvm::Value* number) {
  return lanes_of(value) == 1 ? value : b.CreateExtractElement(value, number);
}

}  // namespace

llvm::Value* KernelEmitter::check(const Instr& instr, const Cursor& at, llvm::Value* index, llvm::Value* position) {
  const int width = lanes_of(index);
  llvm::Value* extent = splat(b, size(layout.check(instr.slot)), width);
  llvm::Value* good = b.CreateICmpULT(index, extent);
  llvm::Value* failed = b.CreateNot(good);
  if (width > 1 && at.mask.lanes) failed = b.CreateAnd(failed, at.mask.lanes);
  report(instr, failed, index, position);
  return b.CreateSelect(good, index, llvm::Constant::getNullValue(index->getType()));
}

void KernelEmitter::report(const Instr& check, llvm::Value* failed, llvm::Value* index, llvm::Value* position) {
  const int width = lanes_of(failed);
  llvm::Value* bits = width == 1 ? failed : b.CreateBitCast(failed, b.getIntNTy(width));
  auto* cold = llvm::BasicBlock::Create(context, "failed", function);
  auto* done = llvm::BasicBlock::Create(context, "done", function);
  llvm::MDNode* seldom = llvm::MDBuilder(context).createBranchWeights(1, 1 << 20);
  b.CreateCondBr(b.CreateIsNotNull(bits), cold, done, seldom);
  b.SetInsertPoint(cold);
  llvm::Value* first = width == 1 ? nullptr : b.CreateBinaryIntrinsic(llvm::Intrinsic::cttz, bits, b.getTrue());
  const auto behind_accesses = static_cast<int64_t>(program.accesses.size());
  llvm::Value* slot = b.CreateConstInBoundsGEP1_64(b.getPtrTy(), function->getArg(0), behind_accesses);
  llvm::Value* errors = b.CreateLoad(b.getPtrTy(), slot, "errors");
  const int64_t entry = check.slot * static_cast<int64_t>(sizeof(IndexError));
  llvm::FunctionCallee callee = function->getParent()->getOrInsertFunction(kReportIndex, b.getVoidTy(), b.getPtrTy(),
                                                                         b.getInt64Ty(), b.getInt64Ty());
  llvm::cast<llvm::Function>(callee.getCallee())->setDoesNotThrow();
  b.CreateCall(callee, {b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), errors, entry),
                        first ? lane(b, position, first) : lane(b, position, i64(0)), first ? lane(b, index, first) : index});
  b.CreateBr(done);
  done->moveAfter(cold);
  b.SetInsertPoint(done);
}

llvm::Value* KernelEmitter::load_at(const Instr& instr, const Cursor& at, llvm::Value* index) {
  llvm::Value* step = size(layout.check(program.body[instr.args[0]].slot) + 1);
  const int width = lanes_of(index);
  Place place = at.accesses[instr.slot];
  if (width == 1) {
    place.lane0 = advance(instr.slot, place.lane0, b.CreateMul(index, step));
    if (place.stride == Stride::zero) return load(instr.slot, place, at.width, nullptr);
    return branch_on_full(at.mask, [&](const Mask& mask) {
      return Values{load(instr.slot, place, at.width, mask.lanes)};
    })[0];
  }
  llvm::Value* offsets = b.CreateMul(index, splat(b, step, width));
  if (place.stride != Stride::zero) {
    llvm::Value* ramp = lane_ramp(b, i64(0), place.step ? place.step : i64(1), width);
    offsets = b.CreateAdd(offsets, ramp);
  }
  if (at.mask.lanes) offsets = b.CreateSelect(at.mask.lanes, offsets, llvm::Constant::getNullValue(offsets->getType()));
  llvm::Type* element = memory_type(context, instr.dtype);
  const llvm::Align align(size_of(instr.dtype));
  auto* type = llvm::FixedVectorType::get(element, width);
  llvm::Value* lanes = llvm::PoisonValue::get(type);
  if (width <= kUnrolledLanes) {
    for (int i = 0; i < width; ++i) {
      llvm::Value* address = b.CreateGEP(element, place.lane0, b.CreateExtractElement(offsets, i));
      lanes = b.CreateInsertElement(lanes, b.CreateAlignedLoad(element, address, align), i);
    }
  } else {
    llvm::Value* from = frame(offsets->getType(), llvm::Align(64));
    llvm::Value* to = frame(type, llvm::Align(64));
    b.CreateStore(offsets, from);
    loop(i64(0), i64(width), i64(1), {}, false, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
      llvm::Value* offset = b.CreateLoad(b.getInt64Ty(), b.CreateInBoundsGEP(b.getInt64Ty(), from, i));
      llvm::Value* loaded = b.CreateAlignedLoad(element, b.CreateGEP(element, place.lane0, offset), align);
      b.CreateAlignedStore(loaded, b.CreateInBoundsGEP(element, to, i), align);
      return Values{};
    });
    lanes = b.CreateLoad(type, to);
  }
  return instr.dtype == DType::boolean ? b.CreateIsNotNull(lanes) : lanes;
}

}  // namespace etch::codegen
