// Elementwise ops as LLVM IR: expands the `emit` column of ops.def on lanes, and casts.
#include <concepts>
#include <cstdlib>

#include "compiler/codegen/emit.h"
#include "compiler/codegen/llvm_lanes.h"
#include "compiler/math/vector_math.h"

namespace etch::codegen {
namespace {

/// Calls `emit` with the operands as lanes of T: the C++ type of the operands, or of the last two if the rule is
/// select.
template <TypeRule kRule, int kArity, class Emit>
llvm::Value* apply(Builder& b, llvm::ArrayRef<llvm::Value*> args, DType dtype, Emit emit) {
  return dispatch(dtype, [&]<class T>() -> llvm::Value* {
    if constexpr (!takes(kRule, dtype_of<T>)) {
      std::abort();  // Type inference lets no such instruction through.
    } else if constexpr (kRule == TypeRule::select) {
      return emit(Vec<bool>(&b, args[0]), Vec<T>(&b, args[1]), Vec<T>(&b, args[2])).v;
    } else if constexpr (kArity == 1) {
      return emit(Vec<T>(&b, args[0])).v;
    } else {
      return emit(Vec<T>(&b, args[0]), Vec<T>(&b, args[1])).v;
    }
  });
}

llvm::Value* cast(Builder& b, llvm::Value* value, DType from, DType to) {
  return dispatch(from, [&]<class T>() {
    return dispatch(to, [&]<class U>() -> llvm::Value* { return convert<U>(Vec<T>(&b, value)).v; });
  });
}

llvm::Value* cast_bits(Builder& b, llvm::Value* value, DType from, DType to) {
  if (from == to) return value;
  llvm::Type* element = memory_type(b.getContext(), to);
  if (from == DType::boolean) return b.CreateZExt(value, value->getType()->getWithNewType(element));
  if (to == DType::boolean) return b.CreateIsNotNull(value);
  return b.CreateBitCast(value, value->getType()->getWithNewType(element));
}

}  // namespace

#define ETCH_EMIT_1(emit) [](const auto& a) { return emit; }
#define ETCH_EMIT_2(emit) [](const auto& a, const auto& b) { return emit; }
#define ETCH_EMIT_3(emit) [](const auto& a, const auto& b, const auto& c) { return emit; }

llvm::Value* KernelEmitter::compute(const Instr& instr, llvm::ArrayRef<llvm::Value*> operands, DType dtype) {
  if (instr.op == Op::cast) return cast(b, operands[0], dtype, instr.dtype);
  if (instr.op == Op::bitcast) return cast_bits(b, operands[0], dtype, instr.dtype);
  llvm::IRBuilderBase::FastMathFlagGuard guard(b);
  if (options.fast_math && info(instr.op).accuracy == Accuracy::exact) {
    llvm::FastMathFlags flags;
    flags.setAllowReassoc();
    flags.setAllowContract();
    b.setFastMathFlags(flags);
  }
  switch (instr.op) {
#define ETCH_OP(name, arity, rule, accuracy, cost, evaluate, emit) \
  case Op::name: return apply<TypeRule::rule, arity>(b, operands, dtype, ETCH_EMIT_##arity((emit)));
#include "compiler/ir/ops.def"
    default: std::abort();  // Structural ops are no instructions.
  }
}

}  // namespace etch::codegen
