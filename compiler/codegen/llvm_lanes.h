// The lanes model that emits LLVM IR: see compiler/math/lanes.h for what each operation means.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/Module.h>
#include <llvm/Support/MathExtras.h>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "compiler/math/lanes.h"

namespace etch::codegen {

namespace internal {

/// The larger or smaller of two floats: NaN if either is, the first if they are equal. The comparison with its
/// selection is one instruction, which hands on a NaN in a; one in o takes two more, unless it is a number for sure.
inline llvm::Value* extreme(llvm::IRBuilder<>& b, llvm::Value* a, llvm::Value* o, bool largest) {
  llvm::Value* wins = largest ? b.CreateFCmpOGT(o, a) : b.CreateFCmpOLT(o, a);
  llvm::Value* best = b.CreateSelect(wins, o, a);
  auto* constant = llvm::dyn_cast<llvm::Constant>(o);
  if (constant && o->getType()->isVectorTy()) constant = constant->getSplatValue();
  if (constant && !constant->isNaN()) return best;
  // All bits set are a NaN, too: a plain `or` with the comparison's mask where there are no mask registers.
  llvm::Type* type = a->getType();
  llvm::Type* bits = b.getIntNTy(type->getScalarSizeInBits());
  if (type->isVectorTy()) bits = type->getWithNewType(bits);
  llvm::Value* nan = b.CreateSelect(b.CreateFCmpUNO(o, o), llvm::Constant::getAllOnesValue(bits),
                                    b.CreateBitCast(best, bits));
  return b.CreateBitCast(nan, type);
}

}  // namespace internal

/// A vector of any width, or a plain scalar at width 1, with elements T, as an SSA value. bool is i1. Operations are
/// appended at the builder's insertion point, without fast-math flags and without calls but intrinsics that lower to
/// instructions.
template <class T>
struct Vec : math::ConstantOperands<Vec<T>, T> {
  using value_type = T;
  template <class U>
  using rebind = Vec<U>;
  using Mask = Vec<bool>;

  llvm::IRBuilder<>* b;
  llvm::Value* v;

  Vec(llvm::IRBuilder<>* builder, llvm::Value* value) : b(builder), v(value) {}

  /// The LLVM type of elements T in the width of `shape`.
  template <class U>
  static llvm::Type* type_like(llvm::Type* shape) {
    llvm::LLVMContext& context = shape->getContext();
    llvm::Type* element;
    if constexpr (std::same_as<U, float>) {
      element = llvm::Type::getFloatTy(context);
    } else if constexpr (std::same_as<U, double>) {
      element = llvm::Type::getDoubleTy(context);
    } else if constexpr (std::same_as<U, bool>) {
      element = llvm::Type::getInt1Ty(context);
    } else {
      element = llvm::Type::getIntNTy(context, 8 * sizeof(U));
    }
    auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(shape);
    return vector ? llvm::FixedVectorType::get(element, vector->getNumElements()) : element;
  }

  /// The constant c as a value of type `type`, splat if that is a vector.
  static llvm::Constant* constant(llvm::Type* type, T c) {
    if constexpr (kFloat) {
      return llvm::ConstantFP::get(type, llvm::APFloat(c));
    } else {
      return llvm::ConstantInt::get(type, static_cast<uint64_t>(c), kSigned);
    }
  }

  friend Vec like(const Vec& a, T c) { return a.with(constant(a.v->getType(), c)); }

  friend Vec operator+(const Vec& a, const Vec& o) {
    return a.with(kFloat ? a.b->CreateFAdd(a.v, o.v) : a.b->CreateAdd(a.v, o.v));
  }
  friend Vec operator-(const Vec& a, const Vec& o) {
    return a.with(kFloat ? a.b->CreateFSub(a.v, o.v) : a.b->CreateSub(a.v, o.v));
  }
  friend Vec operator*(const Vec& a, const Vec& o) {
    return a.with(kFloat ? a.b->CreateFMul(a.v, o.v) : a.b->CreateMul(a.v, o.v));
  }
  friend Vec operator/(const Vec& a, const Vec& o) {
    return a.with(kFloat ? a.b->CreateFDiv(a.v, o.v) : kSigned ? a.b->CreateSDiv(a.v, o.v) : a.b->CreateUDiv(a.v, o.v));
  }
  friend Vec operator%(const Vec& a, const Vec& o) {
    return a.with(kSigned ? a.b->CreateSRem(a.v, o.v) : a.b->CreateURem(a.v, o.v));
  }
  friend Vec operator-(const Vec& a) { return a.with(kFloat ? a.b->CreateFNeg(a.v) : a.b->CreateNeg(a.v)); }

  friend Mask operator<(const Vec& a, const Vec& o) { return a.compare(P::FCMP_OLT, P::ICMP_SLT, P::ICMP_ULT, o); }
  friend Mask operator<=(const Vec& a, const Vec& o) { return a.compare(P::FCMP_OLE, P::ICMP_SLE, P::ICMP_ULE, o); }
  friend Mask operator>(const Vec& a, const Vec& o) { return a.compare(P::FCMP_OGT, P::ICMP_SGT, P::ICMP_UGT, o); }
  friend Mask operator>=(const Vec& a, const Vec& o) { return a.compare(P::FCMP_OGE, P::ICMP_SGE, P::ICMP_UGE, o); }
  friend Mask operator==(const Vec& a, const Vec& o) { return a.compare(P::FCMP_OEQ, P::ICMP_EQ, P::ICMP_EQ, o); }
  friend Mask operator!=(const Vec& a, const Vec& o) { return a.compare(P::FCMP_UNE, P::ICMP_NE, P::ICMP_NE, o); }

  friend Vec operator&(const Vec& a, const Vec& o) { return a.with(a.b->CreateAnd(a.v, o.v)); }
  friend Vec operator|(const Vec& a, const Vec& o) { return a.with(a.b->CreateOr(a.v, o.v)); }
  friend Vec operator^(const Vec& a, const Vec& o) { return a.with(a.b->CreateXor(a.v, o.v)); }
  friend Vec operator~(const Vec& a) { return a.with(a.b->CreateNot(a.v)); }
  friend Vec operator<<(const Vec& a, const Vec& n) { return a.with(a.b->CreateShl(a.v, n.v)); }
  friend Vec operator>>(const Vec& a, const Vec& n) {
    return a.with(kSigned ? a.b->CreateAShr(a.v, n.v) : a.b->CreateLShr(a.v, n.v));
  }
  friend Vec shr_logical(const Vec& a, const Vec& n) { return a.with(a.b->CreateLShr(a.v, n.v)); }

  friend Vec select(const Mask& m, const Vec& a, const Vec& o) { return a.with(a.b->CreateSelect(m.v, a.v, o.v)); }
  friend Vec fma(const Vec& a, const Vec& x, const Vec& y) {
    return a.with(a.b->CreateIntrinsic(llvm::Intrinsic::fma, {a.v->getType()}, {a.v, x.v, y.v}));
  }
  friend Vec minimum(const Vec& a, const Vec& o) { return a.with(internal::extreme(*a.b, a.v, o.v, false)); }
  friend Vec maximum(const Vec& a, const Vec& o) { return a.with(internal::extreme(*a.b, a.v, o.v, true)); }
  friend Vec sqrt(const Vec& a) { return a.unary(llvm::Intrinsic::sqrt); }
  friend Vec floor(const Vec& a) { return a.unary(llvm::Intrinsic::floor); }
  friend Vec ceil(const Vec& a) { return a.unary(llvm::Intrinsic::ceil); }
  friend Vec trunc(const Vec& a) { return a.unary(llvm::Intrinsic::trunc); }
  friend Vec round_even(const Vec& a) { return a.unary(llvm::Intrinsic::roundeven); }
  friend Vec copysign(const Vec& a, const Vec& o) {
    return a.with(a.b->CreateBinaryIntrinsic(llvm::Intrinsic::copysign, a.v, o.v));
  }
  friend Vec abs(const Vec& a) {
    if constexpr (kFloat) {
      return a.unary(llvm::Intrinsic::fabs);
    } else if constexpr (kSigned) {
      return a.with(a.b->CreateBinaryIntrinsic(llvm::Intrinsic::abs, a.v, a.b->getFalse()));
    } else {
      return a;
    }
  }
  friend Vec popcount(const Vec& a) { return a.unary(llvm::Intrinsic::ctpop); }
  friend Vec clz(const Vec& a) {
    return a.with(a.b->CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, a.v, a.b->getFalse()));
  }

 private:
  using P = llvm::CmpInst;
  static constexpr bool kFloat = std::is_floating_point_v<T>;
  static constexpr bool kSigned = std::is_signed_v<T>;

  Vec with(llvm::Value* value) const { return Vec(b, value); }
  Vec unary(llvm::Intrinsic::ID id) const { return with(b->CreateUnaryIntrinsic(id, v)); }
  Mask compare(P::Predicate of_float, P::Predicate of_signed, P::Predicate of_unsigned, const Vec& o) const {
    if constexpr (kFloat) return Mask(b, b->CreateFCmp(of_float, v, o.v));
    return Mask(b, b->CreateICmp(kSigned ? of_signed : of_unsigned, v, o.v));
  }
};

template <class U, class T>
Vec<U> bitcast(const Vec<T>& a) {
  static_assert(sizeof(U) == sizeof(T));
  return Vec<U>(a.b, a.b->CreateBitCast(a.v, Vec<U>::template type_like<U>(a.v->getType())));
}

template <class U, class T>
Vec<U> convert_in_range(const Vec<T>& a) {
  static_assert(std::is_floating_point_v<T> && std::is_integral_v<U>);
  llvm::Type* type = Vec<U>::template type_like<U>(a.v->getType());
  return Vec<U>(a.b, std::is_signed_v<U> ? a.b->CreateFPToSI(a.v, type) : a.b->CreateFPToUI(a.v, type));
}

/// Float to integer, truncated and saturated, NaN as 0. LLVM's own intrinsics for it take vectors apart. A comparison
/// with a NaN is false; what overflows is poison, which a select may leave aside.
template <class U, class T>
Vec<U> convert_saturated(const Vec<T>& a) {
  using Limits = std::numeric_limits<U>;
  constexpr T kLow = static_cast<T>(Limits::min());
  if constexpr (Limits::digits <= std::numeric_limits<T>::digits) {
    using Wide = std::conditional_t<sizeof(U) < sizeof(int32_t), int32_t, U>;
    constexpr T kHigh = static_cast<T>(Limits::max());
    Vec<T> number = std::is_signed_v<U> ? select(a != a, T{0}, a) : a;
    Vec<T> low = select(number > kLow, number, kLow);
    Vec<T> x = select(low < kHigh, low, kHigh);
    return Vec<U>(a.b, a.b->CreateTrunc(convert_in_range<Wide>(x).v, Vec<U>::template type_like<U>(a.v->getType())));
  } else {
    constexpr T kEnd = static_cast<T>(Limits::max() / 2 + 1) * 2;  // a power of two, so T holds it exactly
    Vec<U> x = convert_in_range<U>(select(a > kLow, a, kLow));
    return select(a != a, U{0}, select(a >= kEnd, Limits::max(), x));
  }
}

template <class U, class T>
Vec<U> convert(const Vec<T>& a) {
  llvm::IRBuilder<>& b = *a.b;
  llvm::Type* type = Vec<U>::template type_like<U>(a.v->getType());
  constexpr bool kSigned = std::is_signed_v<T>;  // false for bool, which is zero-extended
  if constexpr (std::same_as<U, T>) {
    return a;
  } else if constexpr (std::same_as<U, bool>) {
    return a != T{0};
  } else if constexpr (std::is_floating_point_v<U> && std::is_floating_point_v<T>) {
    return Vec<U>(&b, b.CreateFPCast(a.v, type));
  } else if constexpr (std::is_floating_point_v<U>) {
    return Vec<U>(&b, kSigned ? b.CreateSIToFP(a.v, type) : b.CreateUIToFP(a.v, type));
  } else if constexpr (std::is_floating_point_v<T>) {
    return convert_saturated<U>(a);
  } else {
    return Vec<U>(&b, b.CreateIntCast(a.v, type, kSigned));
  }
}

namespace internal {

/// i1: does any lane of the mask hold?
inline llvm::Value* any_lane(const Vec<bool>& mask) {
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(mask.v->getType());
  if (!vector) return mask.v;
  llvm::Value* bits = mask.b->CreateBitCast(mask.v, mask.b->getIntNTy(vector->getNumElements()));
  return mask.b->CreateIsNotNull(bits);
}

/// Ends the current block without a terminator and returns the block where the code after it goes on.
inline llvm::BasicBlock* split_here(llvm::IRBuilder<>& b) {
  llvm::BasicBlock* head = b.GetInsertBlock();
  if (b.GetInsertPoint() == head->end()) {
    return llvm::BasicBlock::Create(b.getContext(), "", head->getParent(), head->getNextNode());
  }
  llvm::BasicBlock* tail = head->splitBasicBlock(b.GetInsertPoint());
  head->getTerminator()->eraseFromParent();
  b.SetInsertPoint(head);
  return tail;
}

/// The phi nodes of one loop's state.
template <class T, size_t K>
struct LoopState {
  std::vector<llvm::PHINode*> phis;

  LoopState(llvm::IRBuilder<>& b, const std::array<Vec<T>, K>& initial, llvm::BasicBlock* before) {
    for (const Vec<T>& lanes : initial) {
      phis.push_back(b.CreatePHI(lanes.v->getType(), 2));
      phis.back()->addIncoming(lanes.v, before);
    }
  }
  std::array<Vec<T>, K> lanes(llvm::IRBuilder<>& b) const {
    return [&]<size_t... I>(std::index_sequence<I...>) { return std::array<Vec<T>, K>{Vec<T>(&b, phis[I])...}; }
    (std::make_index_sequence<K>());
  }
  void close(const std::array<Vec<T>, K>& next, llvm::BasicBlock* latch) {
    for (size_t i = 0; i < K; ++i) phis[i]->addIncoming(next[i].v, latch);
  }
};

/// A constant array in the module of the insertion point; equal ones are shared.
inline llvm::GlobalVariable* constant_table(llvm::IRBuilder<>& b, llvm::Constant* data) {
  llvm::Module& module = *b.GetInsertBlock()->getModule();
  for (llvm::GlobalVariable& global : module.globals()) {
    if (global.hasInitializer() && global.getInitializer() == data && global.isConstant()) return &global;
  }
  auto* table =
      new llvm::GlobalVariable(module, data->getType(), true, llvm::GlobalValue::PrivateLinkage, data, "table");
  table->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
  return table;
}

/// Bits of the widest vectors that the function is made for.
inline int widest_vector(llvm::IRBuilder<>& b) {
  int bits = 0;
  b.GetInsertBlock()->getParent()->getFnAttribute("prefer-vector-width").getValueAsString().getAsInteger(10, bits);
  return bits;
}

/// The lanes from `first` on, `count` of them; lanes past the last one are undefined.
inline llvm::Value* lanes_from(llvm::IRBuilder<>& b, llvm::Value* vector, int first, int count) {
  const int width = static_cast<int>(llvm::cast<llvm::FixedVectorType>(vector->getType())->getNumElements());
  llvm::SmallVector<int, 16> lanes;
  for (int i = first; i < first + count; ++i) lanes.push_back(i < width ? i : -1);
  return b.CreateShuffleVector(vector, lanes);
}

/// table[index modulo 8] of one index.
inline llvm::Value* load_of_eight(llvm::IRBuilder<>& b, const std::array<float, 8>& table, llvm::Value* index) {
  llvm::GlobalVariable* data = constant_table(b, llvm::ConstantDataArray::get(b.getContext(), table));
  llvm::Value* element = b.CreateZExt(b.CreateAnd(index, b.getInt32(7)), b.getInt64Ty());
  return b.CreateLoad(b.getFloatTy(), b.CreateInBoundsGEP(data->getValueType(), data, {b.getInt64(0), element}));
}

/// The floats of a table at vectors of indices modulo 8: a permutation of the table where the registers of the function
/// are so wide, else one load for each lane.
inline llvm::Value* permute_eight(llvm::IRBuilder<>& b, const std::array<float, 8>& table, llvm::Value* index) {
  const int width = static_cast<int>(llvm::cast<llvm::FixedVectorType>(index->getType())->getNumElements());
  const int bits = widest_vector(b);
  if (bits < 256) {
    llvm::Value* result = llvm::PoisonValue::get(llvm::FixedVectorType::get(b.getFloatTy(), width));
    for (int i = 0; i < width; ++i) {
      result = b.CreateInsertElement(result, load_of_eight(b, table, b.CreateExtractElement(index, i)), i);
    }
    return result;
  }
  if (width < 8) return lanes_from(b, permute_eight(b, table, lanes_from(b, index, 0, 8)), 0, width);
  if (width == 8) {
    llvm::Constant* data = llvm::ConstantDataVector::get(b.getContext(), table);
    return b.CreateIntrinsic(llvm::Intrinsic::x86_avx2_permps, {}, {data, index});
  }
  if (width == 16 && bits >= 512) {
    std::array<float, 16> twice;
    for (size_t i = 0; i < twice.size(); ++i) twice[i] = table[i % table.size()];
    llvm::Constant* data = llvm::ConstantDataVector::get(b.getContext(), twice);
    return b.CreateIntrinsic(llvm::Intrinsic::x86_avx512_permvar_sf_512, {}, {data, index});
  }
  const int half = static_cast<int>(llvm::PowerOf2Ceil(width)) / 2;
  llvm::Value* low = permute_eight(b, table, lanes_from(b, index, 0, half));
  llvm::Value* high = permute_eight(b, table, lanes_from(b, index, half, half));
  llvm::SmallVector<int, 64> all;
  for (int i = 0; i < width; ++i) all.push_back(i);
  return b.CreateShuffleVector(low, high, all);
}

}  // namespace internal

inline Vec<float> lookup(const std::array<float, 8>& table, const Vec<int32_t>& i) {
  llvm::IRBuilder<>& b = *i.b;
  const bool one = !i.v->getType()->isVectorTy();
  return Vec<float>(&b, one ? internal::load_of_eight(b, table, i.v) : internal::permute_eight(b, table, i.v));
}

/// Vectors of AVX-512 that fill a register.
template <class T>
bool scales_at_once(const Vec<T>& a) {
  constexpr uint64_t kBits = 512;
  return a.v->getType()->isVectorTy() && a.v->getType()->getPrimitiveSizeInBits() == kBits &&
         internal::widest_vector(*a.b) >= static_cast<int>(kBits);
}

template <class T>
Vec<T> scale_or_zero(const Vec<T>& a, const Vec<T>& k, const Vec<bool>& m) {
  constexpr bool kF32 = std::same_as<T, float>;
  constexpr uint32_t kCurrentRounding = 4;
  llvm::IRBuilder<>& b = *a.b;
  llvm::Value* mask = b.CreateBitCast(m.v, b.getIntNTy(kF32 ? 16 : 8));
  return Vec<T>(&b, b.CreateIntrinsic(kF32 ? llvm::Intrinsic::x86_avx512_mask_scalef_ps_512
                                           : llvm::Intrinsic::x86_avx512_mask_scalef_pd_512,
                                      {}, {a.v, k.v, like(a, T{0}).v, mask, b.getInt32(kCurrentRounding)}));
}

/// Branches on 'any lane'; afterwards the builder stands in a new block.
template <class T, size_t K, class F>
std::array<Vec<T>, K> if_any(const Vec<bool>& mask, const std::array<Vec<T>, K>& fast, F&& slow) {
  llvm::IRBuilder<>& b = *mask.b;
  llvm::Value* any = internal::any_lane(mask);
  llvm::BasicBlock* tail = internal::split_here(b);
  llvm::BasicBlock* head = b.GetInsertBlock();
  llvm::BasicBlock* rare = llvm::BasicBlock::Create(b.getContext(), "", head->getParent(), tail);
  b.CreateCondBr(any, rare, tail);
  b.SetInsertPoint(rare);
  std::array<Vec<T>, K> result = slow();
  for (size_t i = 0; i < K; ++i) result[i] = select(mask, result[i], fast[i]);
  llvm::BasicBlock* rare_end = b.GetInsertBlock();
  b.CreateBr(tail);
  b.SetInsertPoint(tail, tail->begin());
  for (size_t i = 0; i < K; ++i) {
    llvm::PHINode* phi = b.CreatePHI(fast[i].v->getType(), 2);
    phi->addIncoming(fast[i].v, head);
    phi->addIncoming(result[i].v, rare_end);
    result[i] = Vec<T>(&b, phi);
  }
  return result;
}

template <class T, class F>
Vec<T> if_any(const Vec<bool>& mask, const Vec<T>& fast, F&& slow) {
  return if_any(mask, std::array<Vec<T>, 1>{fast}, [&] { return std::array<Vec<T>, 1>{slow()}; })[0];
}

/// A loop while any lane wants more; lanes that are done keep their state.
template <class T, size_t K, class More, class Body>
std::array<Vec<T>, K> while_any(std::array<Vec<T>, K> state, More&& more, Body&& body) {
  llvm::IRBuilder<>& b = *state[0].b;
  llvm::BasicBlock* tail = internal::split_here(b);
  llvm::BasicBlock* before = b.GetInsertBlock();
  llvm::BasicBlock* head = llvm::BasicBlock::Create(b.getContext(), "", before->getParent(), tail);
  llvm::BasicBlock* work = llvm::BasicBlock::Create(b.getContext(), "", before->getParent(), tail);
  b.CreateBr(head);
  b.SetInsertPoint(head);
  internal::LoopState<T, K> loop(b, state, before);
  std::array<Vec<T>, K> now = loop.lanes(b);
  Vec<bool> active = more(now);
  b.CreateCondBr(internal::any_lane(active), work, tail);
  b.SetInsertPoint(work);
  std::array<Vec<T>, K> next = body(now);
  for (size_t i = 0; i < K; ++i) next[i] = select(active, next[i], now[i]);
  loop.close(next, b.GetInsertBlock());
  b.CreateBr(head);
  b.SetInsertPoint(tail, tail->begin());
  return now;
}

/// A loop over a constant table in the module, one element (the same for all lanes) a turn.
template <class T, size_t K, size_t N, class Body>
std::array<Vec<T>, K> fold_table(std::array<Vec<T>, K> state, const std::array<T, N>& table, Body&& body) {
  llvm::IRBuilder<>& b = *state[0].b;
  llvm::Type* type = state[0].v->getType();
  llvm::GlobalVariable* global = internal::constant_table(b, llvm::ConstantDataArray::get(b.getContext(), table));
  llvm::BasicBlock* tail = internal::split_here(b);
  llvm::BasicBlock* before = b.GetInsertBlock();
  llvm::BasicBlock* loop_block = llvm::BasicBlock::Create(b.getContext(), "", before->getParent(), tail);
  b.CreateBr(loop_block);
  b.SetInsertPoint(loop_block);
  llvm::PHINode* index = b.CreatePHI(b.getInt64Ty(), 2);
  index->addIncoming(b.getInt64(0), before);
  internal::LoopState<T, K> loop(b, state, before);
  llvm::Value* element =
      b.CreateLoad(type->getScalarType(), b.CreateInBoundsGEP(global->getValueType(), global, {b.getInt64(0), index}));
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
  if (vector) element = b.CreateVectorSplat(vector->getNumElements(), element);
  std::array<Vec<T>, K> next = body(loop.lanes(b), Vec<T>(&b, element));
  llvm::Value* next_index = b.CreateAdd(index, b.getInt64(1));
  llvm::BasicBlock* latch = b.GetInsertBlock();
  index->addIncoming(next_index, latch);
  loop.close(next, latch);
  b.CreateCondBr(b.CreateICmpULT(next_index, b.getInt64(N)), loop_block, tail);
  b.SetInsertPoint(tail, tail->begin());
  return next;
}

}  // namespace etch::codegen
