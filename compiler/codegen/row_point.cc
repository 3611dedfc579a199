// Stages of a row kernel that take one element of the row.
#include "compiler/codegen/row_point.h"

#include <algorithm>

namespace etch::codegen {
namespace {

/// An equality of a number per row with the index along the row.
struct Equality {
  int number, index;  // instructions
};

/// An equality with an index that counts by one holds at one element of a row.
std::optional<Equality> equality_of(const KernelProgram& program, const std::vector<Level>& levels, int flag) {
  const Instr& equal = program.body[flag];
  if (equal.kind != InstrKind::compute || equal.op != Op::equal) return std::nullopt;
  for (int side : {0, 1}) {
    const int index = equal.args[side], number = equal.args[1 - side];
    const Instr& counts = program.body[index];
    if (counts.kind != InstrKind::index || program.indices[counts.slot] != Stride::one) continue;
    if (levels[number] != Level::element && program.body[number].dtype == DType::i64) return Equality{number, index};
  }
  return std::nullopt;
}

/// The where that a sum takes its elements from, if all but those at its flag are a number.
const Instr* summed_where(const KernelProgram& program, const std::vector<Level>& levels, const Instr& reduce) {
  if (reduce.reduce != ReduceKind::sum) return nullptr;
  const Instr& where = program.body[reduce.args[0]];
  if (where.kind != InstrKind::compute || where.op != Op::where || levels[reduce.args[0]] != Level::element) return nullptr;
  return levels[where.args[2]] == Level::element || !computes_itself(where.dtype) ? nullptr : &where;
}

llvm::Value* is_positive_zero(Builder& b, llvm::Value* number) {
  llvm::Type* bits = b.getIntNTy(number->getType()->getScalarSizeInBits());
  return b.CreateIsNull(b.CreateBitCast(number, bits));
}

}  // namespace

llvm::Value* RowPoint::begin_sum(Builder& b, llvm::Value* initial) const {
  if (!initial->getType()->isFPOrFPVectorTy()) return initial;
  return b.CreateSelect(holds, llvm::ConstantFP::get(initial->getType(), 0.0), initial);
}

RowPoint RowPoint::within(Builder& b, llvm::Value* start, llvm::Value* stop) const {
  const auto clamp = [&](llvm::Value* place) {
    llvm::Value* low = b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, place, start);
    return b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, low, stop);
  };
  return {holds, clamp(from), clamp(to)};
}

std::optional<RowPoint> find_row_point(KernelEmitter& k, const std::vector<Level>& levels, llvm::ArrayRef<int> elements,
                                       const Origin& origin, llvm::Value* n, const std::vector<llvm::Value*>& values) {
  const KernelProgram& program = k.program;
  int flag = -1;
  llvm::SmallVector<int, 4> others;
  for (int i : elements) {
    const Instr& instr = program.body[i];
    if (instr.kind == InstrKind::store || instr.kind == InstrKind::check) return std::nullopt;
    if (instr.kind != InstrKind::reduce) continue;
    const Instr* where = summed_where(program, levels, instr);
    if (where == nullptr || (flag >= 0 && where->args[0] != flag)) return std::nullopt;
    flag = where->args[0];
    others.push_back(where->args[2]);
  }
  if (flag < 0) return std::nullopt;
  const std::optional<Equality> equality = equality_of(program, levels, flag);
  if (!equality) return std::nullopt;
  Builder& b = k.b;
  llvm::Value* holds = b.CreateICmpSGT(n, k.i64(1));
  for (int other : others) holds = b.CreateAnd(holds, is_positive_zero(b, k.operand(other, values)));
  llvm::Value* first = origin.indices[program.body[equality->index].slot];
  llvm::Value* place = b.CreateSub(k.operand(equality->number, values), first);
  llvm::Value* is_in = b.CreateICmpULT(place, n);
  llvm::Value* behind = b.CreateSelect(is_in, b.CreateAdd(place, k.i64(1)), k.i64(0));
  return RowPoint{holds, b.CreateSelect(b.CreateAnd(holds, is_in), place, k.i64(0)), b.CreateSelect(holds, behind, n)};
}

}  // namespace etch::codegen
