// Elementwise ops as LLVM IR: expands the `emit` column of ops.def on lanes, and casts.
#include <llvm/IR/IntrinsicsX86.h>

#include <bit>
#include <concepts>

#include "compiler/codegen/emit.h"
#include "compiler/codegen/llvm_lanes.h"
#include "compiler/codegen/tile.h"
#include "compiler/math/conversion.h"
#include "compiler/math/vector_math.h"
#include "runtime/check.h"

namespace etch::codegen {
namespace {

/// Calls `emit` with the operands as lanes of T: the C++ type of the operands, or of the last two if the rule is
/// select. T computes in itself.
template <TypeRule kRule, int kArity, class Emit>
llvm::Value* apply(Builder& b, llvm::ArrayRef<llvm::Value*> args, DType dtype, Emit emit) {
  return dispatch_computed(dtype, [&]<class T>() -> llvm::Value* {
    if constexpr (!takes(kRule, dtype_of<T>)) {
      ETCH_UNREACHABLE("type inference lets no such instruction through");
    } else if constexpr (kRule == TypeRule::select) {
      return emit(Vec<bool>(&b, args[0]), Vec<T>(&b, args[1]), Vec<T>(&b, args[2])).v;
    } else if constexpr (kArity == 1) {
      return emit(Vec<T>(&b, args[0])).v;
    } else if constexpr (kArity == 2) {
      return emit(Vec<T>(&b, args[0]), Vec<T>(&b, args[1])).v;
    } else {
      return emit(Vec<T>(&b, args[0]), Vec<T>(&b, args[1]), Vec<T>(&b, args[2])).v;
    }
  });
}

llvm::Value* cast(Builder& b, llvm::Value* value, DType from, DType to, const Target& target);

/// 64-bit integers to floats by an addition in the mantissa of a double, exact below 2^51, where there is no instruction
/// for vectors.
template <class T>
llvm::Value* convert_long_by_mantissa(const Vec<T>& x, DType to, const Target& target) {
  constexpr double kAnchor = std::is_signed_v<T> ? 0x1.8p52 : 0x1p52;
  Vec<double> exact = bitcast<double>(x + std::bit_cast<T>(kAnchor)) - kAnchor;
  Vec<bool> far = shr_logical(x + (std::is_signed_v<T> ? T{1} << 51 : T{0}), T{52}) != T{0};
  return dispatch(to, [&]<class U>() {
    Vec<math::LaneOf<U>> near(x.b, cast(*x.b, exact.v, DType::f64, to, target));
    return if_any(far, near, [&] { return math::cast<U, T>(x); }).v;
  });
}

/// Floats to 64-bit integers through 32 bits, where there is no instruction for vectors.
template <class U, class T>
Vec<U> convert_to_long_by_32_bits(const Vec<T>& x) {
  using Narrow = std::conditional_t<std::is_signed_v<U>, int32_t, uint32_t>;
  Vec<T> positive = std::is_signed_v<U> ? abs(x) : select(x > T{0}, x, T{0});
  Vec<bool> near = positive < (std::is_signed_v<U> ? T{0x1p31} : T{0x1p32});
  Vec<Narrow> narrow = convert_in_range<Narrow>(select(near, std::is_signed_v<U> ? x : positive, T{0}));
  return if_any(~near, convert<U>(narrow), [&] { return convert<U>(x); });
}

/// Truncated to 32 bits; what does not fit, and a NaN, is the lowest integer.
llvm::Value* truncate_to_32_bits(Builder& b, llvm::Value* x, const Target& target) {
  const int width = lanes_of(x);
  if (width == 4) return b.CreateIntrinsic(llvm::Intrinsic::x86_sse2_cvttps2dq, {}, {x});
  if (width == 8 && target.vector_bytes >= 32) return b.CreateIntrinsic(llvm::Intrinsic::x86_avx_cvtt_ps2dq_256, {}, {x});
  llvm::Value* low = truncate_to_32_bits(b, half_of(b, x, false), target);
  return concat_lanes(b, low, truncate_to_32_bits(b, half_of(b, x, true), target));
}

/// Floats to narrow unsigned integers, saturated, in the form that LLVM knows as packing: it saturates, too, and takes NaNs,
/// which are the lowest integer here, to 0.
template <std::unsigned_integral U>
llvm::Value* pack_saturated(Builder& b, llvm::Value* value, const Target& target) {
  constexpr int32_t kHigh = std::numeric_limits<U>::max();
  const Vec<float> x(&b, value);
  llvm::Value* whole = truncate_to_32_bits(b, select(x > float{kHigh}, float{kHigh}, x).v, target);
  llvm::Type* wide = whole->getType();
  llvm::Value* low = b.CreateBinaryIntrinsic(llvm::Intrinsic::smax, whole, llvm::Constant::getNullValue(wide));
  llvm::Value* high = b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, low, llvm::ConstantInt::get(wide, kHigh));
  return b.CreateTrunc(high, wide->getWithNewType(b.getIntNTy(8 * sizeof(U))));
}

/// An f16 by the processor's own instructions; `math::cast` gives the same bits.
llvm::Value* cast_to_half(Builder& b, llvm::Value* value, DType from) {
  llvm::Value* wide = dispatch_computed(
      from, [&]<class T>() -> llvm::Value* { return math::on_the_way_to<float16>(Vec<T>(&b, value)).v; });
  llvm::Value* half = b.CreateFPTrunc(wide, wide->getType()->getWithNewType(b.getHalfTy()));
  return b.CreateBitCast(half, half->getType()->getWithNewType(b.getInt16Ty()));
}

llvm::Value* cast_from_half(Builder& b, llvm::Value* value) {
  llvm::Value* half = b.CreateBitCast(value, value->getType()->getWithNewType(b.getHalfTy()));
  return b.CreateFPExt(half, half->getType()->getWithNewType(b.getFloatTy()));
}

/// The cast op.
llvm::Value* cast(Builder& b, llvm::Value* value, DType from, DType to, const Target& target) {
  if (from == to) return value;
  const bool has_half = llvm::StringRef(target.features).contains("+f16c");
  if (from == DType::f16 && has_half) return cast(b, cast_from_half(b, value), DType::f32, to, target);
  if (!computes_itself(from) && to != info(from).compute) {
    return cast(b, cast(b, value, from, info(from).compute, target), info(from).compute, to, target);
  }
  if (value->getType()->isVectorTy() && !target.masked_ops) {
    const bool packs = lanes_of(value) >= 4 && llvm::StringRef(target.features).contains("+sse4.1");
    if (from == DType::i64 && is_floating(to)) return convert_long_by_mantissa(Vec<int64_t>(&b, value), to, target);
    if (from == DType::u64 && is_floating(to)) return convert_long_by_mantissa(Vec<uint64_t>(&b, value), to, target);
    if (from == DType::f32 && to == DType::i64) return convert_to_long_by_32_bits<int64_t>(Vec<float>(&b, value)).v;
    if (from == DType::f64 && to == DType::i64) return convert_to_long_by_32_bits<int64_t>(Vec<double>(&b, value)).v;
    if (from == DType::f32 && to == DType::u8 && packs) return pack_saturated<uint8_t>(b, value, target);
    if (from == DType::f32 && to == DType::u16 && packs) return pack_saturated<uint16_t>(b, value, target);
    if (from == DType::f32 && to == DType::u64) return convert_to_long_by_32_bits<uint64_t>(Vec<float>(&b, value)).v;
    if (from == DType::f64 && to == DType::u64) return convert_to_long_by_32_bits<uint64_t>(Vec<double>(&b, value)).v;
  }
  if (to == DType::f16 && has_half) return cast_to_half(b, value, from);
  return dispatch(from, [&]<class T>() {
    return dispatch(to, [&]<class U>() -> llvm::Value* {
      return math::cast<U, T>(Vec<math::LaneOf<T>>(&b, value)).v;
    });
  });
}

llvm::Value* cast_bits(Builder& b, llvm::Value* value, DType from, DType to) {
  if (from == to) return value;
  llvm::Type* element = memory_type(b.getContext(), to);
  if (from == DType::boolean) return b.CreateZExt(value, value->getType()->getWithNewType(element));
  if (to == DType::boolean) return b.CreateIsNotNull(value);
  return b.CreateBitCast(value, value->getType()->getWithNewType(element));
}

/// Lane i holds start + i * step in 32 bits, modulo 2^32.
llvm::Value* narrow_ramp(Builder& b, llvm::Value* start, llvm::Value* step, int width) {
  llvm::SmallVector<llvm::Constant*, 64> lanes;
  for (int i = 0; i < width; ++i) lanes.push_back(b.getInt32(i));
  auto narrow = [&](llvm::Value* x) { return b.CreateVectorSplat(width, b.CreateTrunc(x, b.getInt32Ty())); };
  return b.CreateAdd(narrow(start), b.CreateMul(llvm::ConstantVector::get(lanes), narrow(step)));
}

}  // namespace

int latency_of(const KernelProgram& program, const Instr& instr) {
  constexpr int kSaturatingCast = 5;
  const bool saturates =
      instr.op == Op::cast && is_floating(operand_dtype(program, instr)) && !is_floating(instr.dtype);
  return saturates ? kSaturatingCast : cost_of(instr);
}

bool KernelEmitter::casts_index(const Instr& instr, const Cursor& at) const {
  if (instr.op != Op::cast || at.width == 1 || !is_floating(instr.dtype) || !computes_itself(instr.dtype)) return false;
  const Instr& operand = program.body[instr.args[0]];
  return operand.kind == InstrKind::index && at.indices[operand.slot].stride != Stride::zero;
}

llvm::Value* KernelEmitter::cast_index(const Place& place, int width, DType to) {
  constexpr int64_t kLimit = int64_t{1} << 31;
  llvm::Value* last = b.CreateAdd(place.lane0, b.CreateMul(place.step, i64(width - 1)));
  llvm::Value* fits = b.CreateAnd(b.CreateICmpULT(place.lane0, i64(kLimit)), b.CreateICmpULT(last, i64(kLimit)));
  // With long steps the last lane may have wrapped round.
  fits = b.CreateAnd(fits, b.CreateICmpULT(b.CreateAdd(place.step, i64(kLimit)), i64(2 * kLimit)));
  llvm::Value* narrow = narrow_ramp(b, place.lane0, place.step, width);
  return dispatch_computed(to, [&]<class U>() -> llvm::Value* {
    if constexpr (!std::floating_point<U>) {
      ETCH_UNREACHABLE("only floats are cast so");
    } else {
      const Vec<U> fast = convert<U>(Vec<int32_t>(&b, narrow));
      return if_any(Vec<bool>(&b, b.CreateNot(fits)), fast, [&] {
               return convert<U>(Vec<int64_t>(&b, lane_ramp(b, place.lane0, place.step, width)));
             }).v;
    }
  });
}

#define ETCH_EMIT_1(emit) [](const auto& a) { return emit; }
#define ETCH_EMIT_2(emit) [](const auto& a, const auto& b) { return emit; }
#define ETCH_EMIT_3(emit) [](const auto& a, const auto& b, const auto& c) { return emit; }

llvm::Value* KernelEmitter::compute(const Instr& instr, llvm::ArrayRef<llvm::Value*> operands, DType dtype) {
  if (instr.op == Op::cast) return cast(b, operands[0], dtype, instr.dtype, target);
  if (instr.op == Op::bitcast) return cast_bits(b, operands[0], dtype, instr.dtype);
  llvm::IRBuilderBase::FastMathFlagGuard guard(b);
  if (options.fast_math && info(instr.op).accuracy == Accuracy::exact) {
    llvm::FastMathFlags flags;
    flags.setAllowReassoc();
    flags.setAllowContract();
    b.setFastMathFlags(flags);
  }
  switch (instr.op) {
#define ETCH_OP(name, arity, rule, accuracy, cost, evaluate, emit, ...) \
  case Op::name: return apply<TypeRule::rule, arity>(b, operands, dtype, ETCH_EMIT_##arity((emit)));
#define ETCH_STRUCTURAL_OP(name, Struct) case Op::name:
#include "compiler/ir/ops.def"
    break;
  }
  ETCH_UNREACHABLE("structural ops are no instructions");
}

}  // namespace etch::codegen
