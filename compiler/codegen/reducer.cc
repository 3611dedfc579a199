// How a reduce instruction accumulates.
#include "compiler/codegen/reducer.h"

#include <limits>

#include "compiler/codegen/llvm_lanes.h"
#include "compiler/codegen/tile.h"

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

/// Equal parts of a vector, the lowest lanes first.
Values parts_of(Builder& b, llvm::Value* lanes, size_t count) {
  if (count == 1) return {lanes};
  Values parts = parts_of(b, half_of(b, lanes, false), count / 2);
  parts.append(parts_of(b, half_of(b, lanes, true), count / 2));
  return parts;
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

Values Reducer::initial(int width) const {
  llvm::Type* type = lanes_type(k_.context, dtype_, width);
  unsigned bits = type->getScalarSizeInBits();
  uint64_t highest = ~uint64_t{0} >> (64 - bits);
  uint64_t lowest = 0;
  if (is_signed()) {
    highest >>= 1;
    lowest = ~highest;
  }
  auto floating = [&](double value) -> llvm::Constant* { return llvm::ConstantFP::get(type, value); };
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const bool is_float = is_floating(dtype_);
  llvm::Constant* value = nullptr;
  switch (kind_) {
    case ReduceKind::sum: value = is_float ? floating(-0.0) : int_constant(type, 0); break;
    case ReduceKind::prod: value = is_float ? floating(1.0) : int_constant(type, 1); break;
    case ReduceKind::max:
    case ReduceKind::argmax: value = is_float ? floating(-kInf) : int_constant(type, lowest); break;
    case ReduceKind::min:
    case ReduceKind::argmin: value = is_float ? floating(kInf) : int_constant(type, highest); break;
    case ReduceKind::any: value = int_constant(type, 0); break;
    case ReduceKind::all: value = int_constant(type, ~uint64_t{0}); break;
  }
  if (!has_position()) return {value};
  return {value, int_constant(with_element(type, b_.getIntNTy(position_bits_)), 0)};
}

/// True where x takes the place of another value. The first NaN stays, and so does the first of equal values.
llvm::Value* Reducer::better(llvm::Value* x, llvm::Value* than) const {
  if (!is_floating(dtype_)) {
    if (is_signed()) return is_max() ? b_.CreateICmpSGT(x, than) : b_.CreateICmpSLT(x, than);
    return is_max() ? b_.CreateICmpUGT(x, than) : b_.CreateICmpULT(x, than);
  }
  llvm::Value* wins = is_max() ? b_.CreateFCmpUGT(x, than) : b_.CreateFCmpULT(x, than);
  return b_.CreateAnd(wins, b_.CreateFCmpORD(than, than));
}

llvm::Value* Reducer::merge(llvm::Value* a, llvm::Value* b) const {
  switch (kind_) {
    case ReduceKind::sum:
    case ReduceKind::prod:
      if (is_floating(dtype_)) return combine(a, b);
      return kind_ == ReduceKind::sum ? b_.CreateAdd(a, b) : b_.CreateMul(a, b);
    case ReduceKind::max:
    case ReduceKind::min:
    case ReduceKind::argmax:
    case ReduceKind::argmin: {
      if (is_floating(dtype_)) return internal::extreme(b_, a, b, is_max());
      auto id = is_max() ? (is_signed() ? llvm::Intrinsic::smax : llvm::Intrinsic::umax)
                         : (is_signed() ? llvm::Intrinsic::smin : llvm::Intrinsic::umin);
      return b_.CreateBinaryIntrinsic(id, a, b);
    }
    case ReduceKind::any: return b_.CreateOr(a, b);
    case ReduceKind::all: break;
  }
  return b_.CreateAnd(a, b);
}

Values Reducer::step(llvm::ArrayRef<llvm::Value*> state, llvm::Value* x, llvm::Value* position,
                     llvm::Value* mask) const {
  if (has_position()) {
    llvm::Value* wins = better(x, state[0]);
    if (mask) wins = b_.CreateAnd(wins, mask);
    return {b_.CreateSelect(wins, x, state[0]), b_.CreateSelect(wins, splat(b_, position, lanes_of(x)), state[1])};
  }
  llvm::Value* next = merge(state[0], x);
  return {mask ? b_.CreateSelect(mask, next, state[0]) : next};
}

Values Reducer::watch(llvm::Value* lanes, int width) const {
  Values watched = {lanes};
  const Values parts = parts_of(b_, lanes, lanes_of(lanes) / width);
  for (size_t i = 0; i < parts.size() / 2; ++i) watched.push_back(note_nans(parts[2 * i], parts[2 * i + 1], nullptr));
  return watched;
}

Values Reducer::step_watched(llvm::ArrayRef<llvm::Value*> watched, llvm::Value* x, llvm::Value* mask) const {
  llvm::Value* stays = is_max() ? b_.CreateFCmpOGT(watched[0], x) : b_.CreateFCmpOLT(watched[0], x);
  llvm::Value* lanes = b_.CreateSelect(stays, watched[0], x);
  if (mask) lanes = b_.CreateSelect(mask, lanes, watched[0]);
  Values next = {lanes};
  const Values parts = parts_of(b_, lanes, 2 * (watched.size() - 1));
  for (size_t i = 1; i < watched.size(); ++i) next.push_back(note_nans(parts[2 * i - 2], parts[2 * i - 1], watched[i]));
  return next;
}

/// What was noted (null is nothing) and whether there is a NaN now in a lane of one vector or the other: where there are mask
/// registers, flags of those that saw numbers only; else all bits of those that saw a NaN.
llvm::Value* Reducer::note_nans(llvm::Value* low, llvm::Value* high, llvm::Value* noted) const {
  if (k_.target.masked_ops) {
    llvm::Value* numbers = b_.CreateFCmpORD(low, high);
    return noted ? b_.CreateAnd(noted, numbers) : numbers;
  }
  llvm::Type* bits = low->getType()->getWithNewType(b_.getIntNTy(8 * size_of(dtype_)));
  llvm::Value* nans = b_.CreateSExt(b_.CreateFCmpUNO(low, high), bits);
  return noted ? b_.CreateOr(noted, nans) : nans;
}

llvm::Value* Reducer::unwatch(llvm::ArrayRef<llvm::Value*> watched) const {
  Values parts = parts_of(b_, watched[0], 2 * (watched.size() - 1));
  llvm::Value* nan = llvm::ConstantFP::getNaN(parts[0]->getType());
  for (size_t i = 1; i < watched.size(); ++i) {
    llvm::Value* numbers = k_.target.masked_ops ? watched[i] : b_.CreateIsNull(watched[i]);
    parts[2 * i - 2] = b_.CreateSelect(numbers, parts[2 * i - 2], nan);
  }
  for (; parts.size() > 1; parts.resize(parts.size() / 2)) {
    for (size_t i = 0; i < parts.size() / 2; ++i) parts[i] = concat_lanes(b_, parts[2 * i], parts[2 * i + 1]);
  }
  return parts[0];
}

llvm::Value* Reducer::combine(llvm::Value* a, llvm::Value* b) const {
  return kind_ == ReduceKind::sum ? b_.CreateFAdd(a, b) : b_.CreateFMul(a, b);
}

llvm::Value* Reducer::fold_ordered(llvm::Value* lanes) const { return fold_halves(lanes); }

/// Values merged in halves.
llvm::Value* Reducer::fold_halves(llvm::Value* lanes) const {
  int width = lanes_of(lanes);
  for (; width > 2; width /= 2) {
    llvm::SmallVector<int, 64> low, high;
    for (int i = 0; i < width / 2; ++i) {
      low.push_back(i);
      high.push_back(i + width / 2);
    }
    lanes = merge(b_.CreateShuffleVector(lanes, low), b_.CreateShuffleVector(lanes, high));
  }
  if (width == 1) return lanes;
  return merge(b_.CreateExtractElement(lanes, uint64_t{0}), b_.CreateExtractElement(lanes, uint64_t{1}));
}

/// The largest or smallest of floats: a NaN wins. That there is one is asked once, not at each step of the fold.
llvm::Value* Reducer::fold_extreme(llvm::Value* lanes) const {
  llvm::Value* numbers = is_max() ? b_.CreateFPMaxReduce(lanes) : b_.CreateFPMinReduce(lanes);
  llvm::cast<llvm::Instruction>(numbers)->setHasNoNaNs(true);
  llvm::Value* has_nan = b_.CreateOrReduce(b_.CreateFCmpUNO(lanes, lanes));
  return b_.CreateSelect(has_nan, llvm::ConstantFP::getNaN(numbers->getType()), numbers);
}

/// The winner of all lanes.
llvm::Value* Reducer::fold_value(llvm::Value* lanes) const {
  switch (kind_) {
    case ReduceKind::sum: return b_.CreateAddReduce(lanes);
    case ReduceKind::prod: return b_.CreateMulReduce(lanes);
    case ReduceKind::any: return b_.CreateOrReduce(lanes);
    case ReduceKind::all: return b_.CreateAndReduce(lanes);
    default: break;
  }
  if (is_floating(dtype_)) return fold_extreme(lanes);
  return is_max() ? b_.CreateIntMaxReduce(lanes, is_signed()) : b_.CreateIntMinReduce(lanes, is_signed());
}

llvm::Value* Reducer::ties(llvm::Value* lanes, llvm::Value* winner) const {
  if (!is_floating(dtype_)) return b_.CreateICmpEQ(lanes, winner);
  llvm::Value* both = b_.CreateAnd(b_.CreateFCmpUNO(lanes, lanes), b_.CreateFCmpUNO(winner, winner));
  return b_.CreateOr(b_.CreateFCmpOEQ(lanes, winner), both);
}

Values Reducer::fold(llvm::ArrayRef<llvm::Value*> state, int width) const {
  llvm::Value* lanes = state[0];
  if (!has_position()) return {width == 1 ? lanes : fold_value(lanes)};
  llvm::Value* turns = state[1];
  auto index_of = [&](llvm::Value* turn, llvm::Value* lane) {
    return b_.CreateAdd(b_.CreateMul(b_.CreateZExt(turn, b_.getInt64Ty()), b_.getInt64(width)), lane);
  };
  if (width == 1) return {lanes, index_of(turns, b_.getInt64(0))};
  // The first index in the lanes that hold the winner.
  llvm::Value* best = fold_value(lanes);
  llvm::Value* winners = ties(lanes, splat(b_, best, width));
  // The earliest turn among them, and in it the lowest lane.
  llvm::Value* none = llvm::Constant::getAllOnesValue(turns->getType());
  llvm::Value* turn = b_.CreateIntMinReduce(b_.CreateSelect(winners, turns, none), false);
  llvm::Value* first = b_.CreateAnd(winners, b_.CreateICmpEQ(turns, splat(b_, turn, width)));
  llvm::Value* bits = b_.CreateBitCast(first, b_.getIntNTy(width));
  llvm::Value* lane = b_.CreateIntrinsic(llvm::Intrinsic::cttz, {bits->getType()}, {bits, b_.getTrue()});
  return {best, index_of(turn, b_.CreateZExtOrTrunc(lane, b_.getInt64Ty()))};
}

llvm::Value* Reducer::finish(llvm::ArrayRef<llvm::Value*> state, llvm::Value* count) const {
  if (has_position()) return b_.CreateZExtOrTrunc(state[1], with_element(state[1]->getType(), b_.getInt64Ty()));
  llvm::Type* type = state[0]->getType();
  if (is_floating(dtype_) && !ordered()) return b_.CreateFAdd(state[0], llvm::ConstantFP::get(type, 0.0));
  if (!ordered() || kind_ == ReduceKind::prod) return state[0];
  // The sum of nothing is +0.
  llvm::Value* empty = b_.CreateICmpEQ(count, b_.getInt64(0));
  return b_.CreateSelect(empty, llvm::Constant::getNullValue(type), state[0]);
}

}  // namespace etch::codegen
