// How a reduce instruction accumulates.
#include "compiler/codegen/reducer.h"

#include <bit>
#include <cmath>
#include <limits>

namespace etch::codegen {
namespace {

/// A scalar constant of the type, or as many lanes of it.
llvm::Constant* int_constant(llvm::Type* type, uint64_t bits) {
  unsigned width = type->getScalarSizeInBits();
  return llvm::ConstantInt::get(type, llvm::APInt(64, bits).trunc(width));
}

llvm::Type* with_element(llvm::Type* shape, llvm::Type* element) {
  return shape->isVectorTy() ? shape->getWithNewType(element) : element;
}

int width_of(llvm::Value* value) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType());
  return vector ? static_cast<int>(vector->getNumElements()) : 1;
}

}  // namespace

Reducer::Reducer(KernelEmitter& k, int instr, int position_bits)
    : k_(k),
      b_(k.b),
      instr_(instr),
      kind_(k.program.body[instr].reduce),
      dtype_(operand_dtype(k.program, k.program.body[instr])),
      position_bits_(position_bits) {}

bool Reducer::ordered() const {
  return is_floating(dtype_) && (kind_ == ReduceKind::sum || kind_ == ReduceKind::prod);
}

/// Float max and min, and all that keep a position.
bool Reducer::uses_keys() const {
  bool extreme = kind_ == ReduceKind::max || kind_ == ReduceKind::min;
  return has_position() || (extreme && is_floating(dtype_));
}

Values Reducer::initial(int width) const {
  llvm::Type* type = lanes_type(k_.context, dtype_, width);
  unsigned bits = 8 * size_of(dtype_);
  if (uses_keys()) {
    llvm::Type* key = with_element(type, b_.getIntNTy(bits));
    Values state{int_constant(key, is_max() ? 0 : ~uint64_t{0})};
    if (has_position()) state.push_back(int_constant(with_element(type, b_.getIntNTy(position_bits_)), 0));
    return state;
  }
  uint64_t highest = (uint64_t{1} << (bits - 1)) - 1;  // signed
  bool is_signed = is_signed_integer(dtype_);
  switch (kind_) {
    case ReduceKind::sum:
      if (is_floating(dtype_)) return {llvm::ConstantFP::get(type, -0.0)};
      return {int_constant(type, 0)};
    case ReduceKind::prod:
      if (is_floating(dtype_)) return {llvm::ConstantFP::get(type, 1.0)};
      return {int_constant(type, 1)};
    case ReduceKind::max: return {int_constant(type, is_signed ? ~highest : 0)};
    case ReduceKind::min: return {int_constant(type, is_signed ? highest : ~uint64_t{0})};
    case ReduceKind::all: return {int_constant(type, ~uint64_t{0})};
    default: return {int_constant(type, 0)};
  }
}

/// Keys are unsigned. Floats: reading the bits as a sign-magnitude integer orders them, -0 below +0; a rotation then
/// puts all NaNs, which stand at both ends, above +inf for max and below -inf for min.
int64_t Reducer::key_offset() const {
  int64_t inf = size_of(dtype_) == 4 ? std::bit_cast<int32_t>(std::numeric_limits<float>::infinity())
                                     : std::bit_cast<int64_t>(std::numeric_limits<double>::infinity());
  return is_max() ? ~inf : inf + 1;  // ~inf is the sign-magnitude value of -inf
}

llvm::Value* Reducer::to_key(llvm::Value* x) const {
  llvm::Type* shape = x->getType();
  if (dtype_ == DType::boolean) return b_.CreateZExt(x, with_element(shape, b_.getInt8Ty()));
  if (is_unsigned_integer(dtype_)) return x;
  unsigned bits = 8 * size_of(dtype_);
  uint64_t magnitude = (uint64_t{1} << (bits - 1)) - 1;
  if (!is_floating(dtype_)) return b_.CreateXor(x, int_constant(shape, ~magnitude));
  llvm::Type* type = with_element(shape, b_.getIntNTy(bits));
  llvm::Value* is_nan = nullptr;
  if (has_position()) {  // Equal values tie here: both zeros are one, and so are all NaNs.
    x = b_.CreateFAdd(x, llvm::ConstantFP::get(shape, 0.0));
    is_nan = b_.CreateFCmpUNO(x, x);
  }
  llvm::Value* raw = b_.CreateBitCast(x, type);
  llvm::Value* sign = b_.CreateAShr(raw, bits - 1);
  llvm::Value* ordered = b_.CreateXor(raw, b_.CreateAnd(sign, int_constant(type, magnitude)));
  llvm::Value* key = b_.CreateSub(ordered, int_constant(type, key_offset()));
  if (!is_nan) return key;
  return b_.CreateSelect(is_nan, int_constant(type, is_max() ? ~uint64_t{0} : 0), key);
}

llvm::Value* Reducer::from_key(llvm::Value* key) const {
  llvm::Type* type = key->getType();
  unsigned bits = type->getScalarSizeInBits();
  llvm::Value* ordered = b_.CreateAdd(key, int_constant(type, key_offset()));
  llvm::Value* sign = b_.CreateAShr(ordered, bits - 1);
  llvm::Value* raw = b_.CreateXor(ordered, b_.CreateAnd(sign, int_constant(type, (uint64_t{1} << (bits - 1)) - 1)));
  return b_.CreateBitCast(raw, with_element(type, memory_type(k_.context, dtype_)));
}

llvm::Value* Reducer::better(llvm::Value* key, llvm::Value* than) const {
  return is_max() ? b_.CreateICmpUGT(key, than) : b_.CreateICmpULT(key, than);
}

/// The state of two lanes without a position, taken together.
llvm::Value* Reducer::merge(llvm::Value* a, llvm::Value* b) const {
  bool is_signed = is_signed_integer(dtype_);
  switch (kind_) {
    case ReduceKind::sum:
    case ReduceKind::prod:
      if (is_floating(dtype_)) return combine(a, b);
      return kind_ == ReduceKind::sum ? b_.CreateAdd(a, b) : b_.CreateMul(a, b);
    case ReduceKind::max:
    case ReduceKind::min: {
      bool by_sign = is_signed && !uses_keys();
      auto id = is_max() ? (by_sign ? llvm::Intrinsic::smax : llvm::Intrinsic::umax)
                         : (by_sign ? llvm::Intrinsic::smin : llvm::Intrinsic::umin);
      return b_.CreateBinaryIntrinsic(id, a, b);
    }
    case ReduceKind::any: return b_.CreateOr(a, b);
    default: return b_.CreateAnd(a, b);
  }
}

Values Reducer::step(llvm::ArrayRef<llvm::Value*> state, llvm::Value* x, llvm::Value* position,
                     llvm::Value* mask) const {
  if (uses_keys()) x = to_key(x);
  if (has_position()) {
    llvm::Value* wins = better(x, state[0]);
    if (mask) wins = b_.CreateAnd(wins, mask);
    return {b_.CreateSelect(wins, x, state[0]), b_.CreateSelect(wins, splat(b_, position, width_of(x)), state[1])};
  }
  llvm::Value* next = merge(state[0], x);
  return {mask ? b_.CreateSelect(mask, next, state[0]) : next};
}

llvm::Value* Reducer::combine(llvm::Value* a, llvm::Value* b) const {
  return kind_ == ReduceKind::sum ? b_.CreateFAdd(a, b) : b_.CreateFMul(a, b);
}

llvm::Value* Reducer::fold_ordered(llvm::Value* lanes) const {
  for (int width = width_of(lanes); width > 1; width /= 2) {
    llvm::SmallVector<int, 64> low, high;
    for (int i = 0; i < width / 2; ++i) {
      low.push_back(i);
      high.push_back(i + width / 2);
    }
    lanes = combine(b_.CreateShuffleVector(lanes, low), b_.CreateShuffleVector(lanes, high));
  }
  return lanes->getType()->isVectorTy() ? b_.CreateExtractElement(lanes, uint64_t{0}) : lanes;
}

Values Reducer::fold(llvm::ArrayRef<llvm::Value*> state, int width) const {
  llvm::Value* lanes = state[0];
  if (!has_position()) {
    if (width == 1) return {lanes};
    bool is_signed = is_signed_integer(dtype_) && !uses_keys();
    switch (kind_) {
      case ReduceKind::sum: return {b_.CreateAddReduce(lanes)};
      case ReduceKind::prod: return {b_.CreateMulReduce(lanes)};
      case ReduceKind::max: return {b_.CreateIntMaxReduce(lanes, is_signed)};
      case ReduceKind::min: return {b_.CreateIntMinReduce(lanes, is_signed)};
      case ReduceKind::any: return {b_.CreateOrReduce(lanes)};
      default: return {b_.CreateAndReduce(lanes)};
    }
  }
  llvm::Type* i64s = with_element(lanes->getType(), b_.getInt64Ty());
  llvm::Value* index = b_.CreateMul(b_.CreateZExt(state[1], i64s), llvm::ConstantInt::get(i64s, width));
  if (width == 1) return {lanes, index};
  llvm::Value* best = is_max() ? b_.CreateIntMaxReduce(lanes) : b_.CreateIntMinReduce(lanes);
  llvm::Value* ties = b_.CreateICmpEQ(lanes, splat(b_, best, width));
  index = b_.CreateAdd(index, lane_ramp(b_, b_.getInt64(0), b_.getInt64(1), width));
  llvm::Value* none = llvm::ConstantInt::get(i64s, std::numeric_limits<int64_t>::max());
  return {best, b_.CreateIntMinReduce(b_.CreateSelect(ties, index, none), true)};
}

llvm::Value* Reducer::finish(llvm::ArrayRef<llvm::Value*> state, llvm::Value* count) const {
  if (has_position()) return b_.CreateZExtOrTrunc(state[1], with_element(state[1]->getType(), b_.getInt64Ty()));
  if (uses_keys()) return from_key(state[0]);
  if (!ordered() || kind_ == ReduceKind::prod) return state[0];
  // The sum of nothing is +0.
  llvm::Value* empty = b_.CreateICmpEQ(count, b_.getInt64(0));
  return b_.CreateSelect(empty, llvm::Constant::getNullValue(state[0]->getType()), state[0]);
}

}  // namespace etch::codegen
