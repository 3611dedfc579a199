// Elementwise ops as LLVM IR: expands the `emit` column of ops.def on lanes, and casts.
#include <bit>
#include <concepts>

#include "compiler/codegen/emit.h"
#include "compiler/codegen/llvm_lanes.h"
#include "compiler/math/vector_math.h"
#include "runtime/check.h"

namespace etch::codegen {
namespace {

/// Calls `emit` with the operands as lanes of T: the C++ type of the operands, or of the last two if the rule is
/// select.
template <TypeRule kRule, int kArity, class Emit>
llvm::Value* apply(Builder& b, llvm::ArrayRef<llvm::Value*> args, DType dtype, Emit emit) {
  return dispatch(dtype, [&]<class T>() -> llvm::Value* {
    if constexpr (!takes(kRule, dtype_of<T>)) {
      ETCH_UNREACHABLE("type inference lets no such instruction through");
    } else if constexpr (kRule == TypeRule::select) {
      return emit(Vec<bool>(&b, args[0]), Vec<T>(&b, args[1]), Vec<T>(&b, args[2])).v;
    } else if constexpr (kArity == 1) {
      return emit(Vec<T>(&b, args[0])).v;
    } else {
      return emit(Vec<T>(&b, args[0]), Vec<T>(&b, args[1])).v;
    }
  });
}

/// i64 to floats by an addition in the mantissa of a double, exact below 2^51, where there is no instruction for vectors.
template <class U>
Vec<U> convert_i64_by_mantissa(const Vec<int64_t>& x) {
  constexpr double kAnchor = 0x1.8p52;
  Vec<U> near = convert<U>(bitcast<double>(x + std::bit_cast<int64_t>(kAnchor)) - kAnchor);
  Vec<bool> far = shr_logical(x + (int64_t{1} << 51), int64_t{52}) != int64_t{0};
  return if_any(far, near, [&] { return convert<U>(x); });
}

/// Floats to i64 through i32, where there is no instruction for vectors.
template <class T>
Vec<int64_t> convert_to_i64_by_i32(const Vec<T>& x) {
  Vec<bool> near = abs(x) < T{0x1p31};
  Vec<int32_t> narrow = convert_in_range<int32_t>(select(near, x, T{0}));
  return if_any(~near, convert<int64_t>(narrow), [&] { return convert<int64_t>(x); });
}

llvm::Value* cast(Builder& b, llvm::Value* value, DType from, DType to, bool converts_i64) {
  if (value->getType()->isVectorTy() && !converts_i64) {
    if (from == DType::i64 && to == DType::f32) return convert_i64_by_mantissa<float>({&b, value}).v;
    if (from == DType::i64 && to == DType::f64) return convert_i64_by_mantissa<double>({&b, value}).v;
    if (from == DType::f32 && to == DType::i64) return convert_to_i64_by_i32(Vec<float>(&b, value)).v;
    if (from == DType::f64 && to == DType::i64) return convert_to_i64_by_i32(Vec<double>(&b, value)).v;
  }
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
  if (instr.op == Op::cast) return cast(b, operands[0], dtype, instr.dtype, target.masked_ops);
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
#define ETCH_STRUCTURAL_OP(name, Struct) case Op::name:
#include "compiler/ir/ops.def"
    break;
  }
  ETCH_UNREACHABLE("structural ops are no instructions");
}

}  // namespace etch::codegen
