// Loads and stores of lanes: dense, strided and masked ones.
#include <llvm/IR/MDBuilder.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "compiler/codegen/tile.h"

namespace etch::codegen {
namespace {

/// Loads under one branch: they stand in registers until they are used.
constexpr size_t kLoadsAtOnce = 8;

/// Elements of the vectors that shuffles serve best: a byte shuffle stays within 16 bytes, wider elements cross them.
int shuffle_lanes(int bytes, const Target& target) { return (bytes < 4 ? 16 : target.vector_bytes) / bytes; }

int shuffle_lanes(llvm::Type* element, const Target& target) {
  return shuffle_lanes(static_cast<int>(element->getScalarSizeInBits()) / 8, target);
}

/// Lanes 0 .. split - 1 of a, the others of b.
llvm::Value* join_lanes(Builder& b, llvm::Value* low, llvm::Value* high, int split) {
  llvm::SmallVector<int, 64> mask;
  const int width = lanes_of(low);
  for (int i = 0; i < width; ++i) mask.push_back(i < split ? i : width + i);
  return b.CreateShuffleVector(low, high, mask);
}

llvm::Value* half_of_mask(Builder& b, llvm::Value* mask, bool upper) {
  return mask ? half_of(b, mask, upper) : nullptr;
}

/// A mask of elements, each on if the lane that `lanes` names is on; -1 names none.
llvm::Value* mask_of_lanes(Builder& b, llvm::Value* mask, llvm::ArrayRef<int> lanes) {
  llvm::SmallVector<int, 64> chosen;
  for (int lane : lanes) chosen.push_back(lane < 0 ? lanes_of(mask) : lane);
  return b.CreateShuffleVector(mask, llvm::Constant::getNullValue(mask->getType()), chosen);
}

llvm::Value* load_vector(Builder& b, llvm::Type* type, llvm::Value* address, llvm::Value* mask) {
  const llvm::Align align(type->getScalarSizeInBits() / 8);
  if (!mask) return b.CreateAlignedLoad(type, address, align);
  return b.CreateMaskedLoad(type, address, align, mask, llvm::Constant::getNullValue(type));
}

void store_vector(KernelEmitter& k, llvm::Value* value, llvm::Value* address, llvm::Value* mask) {
  if (!mask) return k.store_whole(value, address);
  k.b.CreateMaskedStore(value, address, llvm::Align(value->getType()->getScalarSizeInBits() / 8), mask);
}

/// Every step-th element from `from` on, as whole vectors and shuffles. The last vector ends with the last lane: nothing
/// is read beyond it. With a mask (may be null) only what it says is read.
llvm::Value* load_spread(KernelEmitter& k, llvm::FixedVectorType* type, llvm::Value* from, int step,
                         llvm::Value* mask) {
  Builder& b = k.b;
  llvm::Type* element = type->getElementType();
  const int width = static_cast<int>(type->getNumElements());
  const int most = shuffle_lanes(element, k.target);
  if (width > most) {
    auto* half = llvm::FixedVectorType::getHalfElementsVectorType(type);
    llvm::Value* low = load_spread(k, half, from, step, half_of_mask(b, mask, false));
    llvm::Value* next = b.CreateConstInBoundsGEP1_64(element, from, static_cast<uint64_t>(width) / 2 * step);
    return concat_lanes(b, low, load_spread(k, half, next, step, half_of_mask(b, mask, true)));
  }
  const int span = (width - 1) * step + 1;
  const int chunk = span >= most ? most : width;
  llvm::Value* lanes = nullptr;
  for (int lane = 0; lane < width;) {
    const int start = std::min(lane * step, span - chunk);
    llvm::SmallVector<int, 64> taken(width, llvm::PoisonMaskElem), wanted(chunk, -1);
    const int first = lane;
    for (; lane < width && lane * step < start + chunk; ++lane) {
      taken[lane] = lane * step - start;
      wanted[lane * step - start] = lane;
    }
    llvm::Value* address = b.CreateConstInBoundsGEP1_64(element, from, start);
    llvm::Value* on = mask ? mask_of_lanes(b, mask, wanted) : nullptr;
    llvm::Value* loaded = load_vector(b, llvm::FixedVectorType::get(element, chunk), address, on);
    llvm::Value* part = b.CreateShuffleVector(loaded, taken);
    lanes = lanes ? join_lanes(b, lanes, part, first) : part;
  }
  return lanes;
}

/// The elements values[0][0], values[1][0], ..., values[0][1], ...: whole vectors from `to` on. A mask (may be null) says
/// which lanes of the values count: needs masked_ops.
void store_interleaved(KernelEmitter& k, llvm::ArrayRef<llvm::Value*> values, llvm::Value* to, llvm::Value* mask) {
  Builder& b = k.b;
  auto* type = llvm::cast<llvm::FixedVectorType>(values[0]->getType());
  llvm::Type* element = type->getElementType();
  const int step = static_cast<int>(values.size());
  const int width = static_cast<int>(type->getNumElements());
  if (width > shuffle_lanes(element, k.target)) {
    for (bool upper : {false, true}) {
      Values halves;
      for (llvm::Value* value : values) halves.push_back(half_of(b, value, upper));
      const uint64_t skipped = upper ? static_cast<uint64_t>(width) / 2 * step : 0;
      llvm::Value* next = b.CreateConstInBoundsGEP1_64(element, to, skipped);
      store_interleaved(k, halves, next, half_of_mask(b, mask, upper));
    }
    return;
  }
  for (int part = 0; part < step; ++part) {
    llvm::Value* lanes = nullptr;
    for (int v = 0; v < step; ++v) {
      llvm::SmallVector<int, 64> taken;
      for (int i = 0; i < width; ++i) {
        const int at = part * width + i;  // lanes that are set already stay
        const bool set = lanes && at % step < v;
        taken.push_back(at % step == v ? at / step + (lanes ? width : 0) : set ? i : llvm::PoisonMaskElem);
      }
      lanes = lanes ? b.CreateShuffleVector(lanes, values[v], taken) : b.CreateShuffleVector(values[v], taken);
    }
    llvm::SmallVector<int, 64> lane_of;
    for (int i = 0; i < width; ++i) lane_of.push_back((part * width + i) / step);
    llvm::Value* on = mask ? mask_of_lanes(b, mask, lane_of) : nullptr;
    store_vector(k, lanes, b.CreateConstInBoundsGEP1_64(element, to, part * width), on);
  }
}

/// Stores every step-th element from `to` on by masked stores of vectors, in the lanes where the mask (may be null) holds.
/// Needs masked_ops.
void store_spread(KernelEmitter& k, llvm::Value* value, llvm::Value* to, int step, llvm::Value* mask) {
  Builder& b = k.b;
  llvm::Type* element = value->getType()->getScalarType();
  const int width = lanes_of(value);
  if (width > shuffle_lanes(element, k.target)) {
    store_spread(k, half_of(b, value, false), to, step, half_of_mask(b, mask, false));
    llvm::Value* next = b.CreateConstInBoundsGEP1_64(element, to, static_cast<uint64_t>(width) / 2 * step);
    return store_spread(k, half_of(b, value, true), next, step, half_of_mask(b, mask, true));
  }
  llvm::Value* all = mask ? mask : llvm::ConstantVector::getSplat(llvm::ElementCount::getFixed(width), b.getTrue());
  for (int part = 0; part < step; ++part) {
    llvm::SmallVector<int, 64> lanes, lane_of;
    for (int i = 0; i < width; ++i) {
      const int at = part * width + i;
      lanes.push_back(at % step == 0 ? at / step : llvm::PoisonMaskElem);
      lane_of.push_back(at % step == 0 ? at / step : -1);
    }
    llvm::Value* address = b.CreateConstInBoundsGEP1_64(element, to, part * width);
    store_vector(k, b.CreateShuffleVector(value, lanes), address, mask_of_lanes(b, all, lane_of));
  }
}

/// Vector e of the result holds the elements e, e + step, e + 2 * step, ...: all that lie there, as whole vectors.
Values load_interleaved(KernelEmitter& k, llvm::Type* type, llvm::Value* from, int step, int width) {
  constexpr int kBytesAtOnce = 32;  // LLVM has sequences for so many bytes at strides of three and four
  Builder& b = k.b;
  if (width > std::max(shuffle_lanes(type, k.target), kBytesAtOnce * 8 / static_cast<int>(type->getScalarSizeInBits()))) {
    Values elements = load_interleaved(k, type, from, step, width / 2);
    llvm::Value* next = b.CreateConstInBoundsGEP1_64(type, from, static_cast<uint64_t>(width) / 2 * step);
    const Values upper = load_interleaved(k, type, next, step, width / 2);
    for (int e = 0; e < step; ++e) elements[e] = concat_lanes(b, elements[e], upper[e]);
    return elements;
  }
  llvm::Value* all = load_vector(b, llvm::FixedVectorType::get(type, step * width), from, nullptr);
  Values elements;
  for (int e = 0; e < step; ++e) {
    llvm::SmallVector<int, 64> taken;
    for (int lane = 0; lane < width; ++lane) taken.push_back(lane * step + e);
    elements.push_back(b.CreateShuffleVector(all, taken));
  }
  return elements;
}

/// One load for each lane: measured as fast as a gather with AVX-512, and twice as fast with AVX2.
llvm::Value* load_lanes(KernelEmitter& k, llvm::FixedVectorType* type, const Place& place) {
  llvm::Type* element = type->getElementType();
  llvm::Align align(element->getScalarSizeInBits() / 8);
  llvm::Value* lanes = llvm::PoisonValue::get(type);
  llvm::Value* address = place.lane0;
  for (unsigned i = 0; i < type->getNumElements(); ++i) {
    if (i > 0) address = k.b.CreateGEP(element, address, place.step);
    lanes = k.b.CreateInsertElement(lanes, k.b.CreateAlignedLoad(element, address, align), i);
  }
  return lanes;
}

/// One store for each lane.
void store_lanes(KernelEmitter& k, llvm::Value* value, const Place& place) {
  llvm::Type* element = value->getType()->getScalarType();
  llvm::Align align(element->getScalarSizeInBits() / 8);
  llvm::Value* address = place.lane0;
  for (int i = 0; i < lanes_of(value); ++i) {
    if (i > 0) address = k.b.CreateGEP(element, address, place.step);
    k.b.CreateAlignedStore(k.b.CreateExtractElement(value, i), address, align);
  }
}

/// Copies `count` elements one by one, through memory of the frame.
void copy_elements(KernelEmitter& k, llvm::Type* type, llvm::Value* from, llvm::Value* from_step, llvm::Value* to,
                   llvm::Value* to_step, llvm::Value* count) {
  Builder& b = k.b;
  const llvm::Align align(type->getScalarSizeInBits() / 8);
  k.loop(k.i64(0), count, k.i64(1), {from, to}, true, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> at) {
    b.CreateAlignedStore(b.CreateAlignedLoad(type, at[0], align), at[1], align);
    return Values{b.CreateInBoundsGEP(type, at[0], from_step), b.CreateInBoundsGEP(type, at[1], to_step)};
  });
}

/// Copies the first `count` of at most `width` - 1 elements that lie beside each other: halves of what is left.
void copy_dense(KernelEmitter& k, llvm::Type* type, llvm::Value* from, llvm::Value* to, llvm::Value* count, int width) {
  Builder& b = k.b;
  const llvm::Align align(type->getScalarSizeInBits() / 8);
  llvm::Value* done = k.i64(0);
  for (int part = width / 2; part > 0; part /= 2) {
    llvm::Value* bit = b.CreateAnd(count, k.i64(part));
    k.if_then(b.CreateIsNotNull(bit), [&] {
      llvm::Type* piece = part == 1 ? type : llvm::FixedVectorType::get(type, part);
      llvm::Value* elements = b.CreateAlignedLoad(piece, b.CreateInBoundsGEP(type, from, done), align);
      b.CreateAlignedStore(elements, b.CreateInBoundsGEP(type, to, done), align);
    });
    done = b.CreateAdd(done, bit);
  }
}

/// Runs `body` for pieces of the first `count` lanes: powers of two, the largest first.
void for_pieces(int count, llvm::function_ref<void(int start, llvm::ArrayRef<int> lanes)> body) {
  for (int start = 0; start < count;) {
    const int size = static_cast<int>(std::bit_floor(static_cast<unsigned>(count - start)));
    llvm::SmallVector<int, 16> lanes(size);
    std::iota(lanes.begin(), lanes.end(), start);
    body(start, lanes);
    start += size;
  }
}

/// So many lanes from the first one on are on, as the code knows; -1 if it does not.
int known_lanes(llvm::Value* mask) {
  auto* known = llvm::dyn_cast_or_null<llvm::ConstantVector>(mask);
  if (!known) return -1;
  int count = 0;
  for (const llvm::Use& lane : known->operands()) count += llvm::cast<llvm::ConstantInt>(lane)->isOne();
  return count;
}

/// The first `count` elements; the lanes behind them hold anything.
llvm::Value* load_first(Builder& b, llvm::FixedVectorType* type, llvm::Value* from, int count) {
  llvm::Type* element = type->getElementType();
  const llvm::Align align(element->getScalarSizeInBits() / 8);
  llvm::Value* result = nullptr;
  for_pieces(count, [&](int start, llvm::ArrayRef<int> lanes) {
    const int size = static_cast<int>(lanes.size());
    llvm::Value* address = b.CreateConstInBoundsGEP1_64(element, from, start);
    llvm::Value* piece = b.CreateAlignedLoad(llvm::FixedVectorType::get(element, size), address, align);
    llvm::SmallVector<int, 64> place(type->getNumElements(), llvm::PoisonMaskElem);
    for (int lane = 0; lane < size; ++lane) place[start + lane] = lane;
    piece = b.CreateShuffleVector(piece, place);
    result = result ? join_lanes(b, result, piece, start) : piece;
  });
  return result;
}

void store_first(Builder& b, llvm::Value* value, llvm::Value* to, int count) {
  llvm::Type* element = value->getType()->getScalarType();
  for_pieces(count, [&](int start, llvm::ArrayRef<int> lanes) {
    const llvm::Align align(element->getScalarSizeInBits() / 8);
    b.CreateAlignedStore(b.CreateShuffleVector(value, lanes), b.CreateConstInBoundsGEP1_64(element, to, start), align);
  });
}

/// How many lanes are on.
llvm::Value* active_lanes(KernelEmitter& k, llvm::Value* mask, int width) {
  if (!mask) return k.i64(width);
  llvm::Value* bits = k.b.CreateBitCast(mask, k.b.getIntNTy(width));
  return k.b.CreateZExtOrTrunc(k.b.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, bits), k.b.getInt64Ty());
}

/// Lanes that follow each other in memory, upwards or downwards.
bool is_dense(Stride stride) { return stride == Stride::one || stride == Stride::back; }

/// True if lanes go one by one through the frame: where some may be off and no masked instruction serves them, or where
/// straight code would be long.
bool goes_through_frame(const KernelEmitter& k, int bytes, bool by_vector, int width, bool masked) {
  if (!masked) return !by_vector && width > kUnrolledLanes;
  if (by_vector) return bytes < 4 && !k.target.masked_ops;
  return bytes < 4 || !k.target.masked_ops;
}

/// Dense lanes: those that go downwards are turned round.
llvm::Value* load_dense(Builder& b, llvm::FixedVectorType* type, const Place& place, llvm::Value* mask) {
  if (place.stride == Stride::one) return load_vector(b, type, place.lane0, mask);
  const int64_t last = static_cast<int64_t>(type->getNumElements()) - 1;
  llvm::Value* address = b.CreateGEP(type->getElementType(), place.lane0, b.getInt64(-last));
  return b.CreateVectorReverse(load_vector(b, type, address, mask ? b.CreateVectorReverse(mask) : nullptr));
}

void store_dense(KernelEmitter& k, llvm::Value* value, const Place& place, llvm::Value* mask) {
  Builder& b = k.b;
  if (place.stride == Stride::one) return store_vector(k, value, place.lane0, mask);
  llvm::Value* address = b.CreateGEP(value->getType()->getScalarType(), place.lane0, b.getInt64(1 - lanes_of(value)));
  store_vector(k, b.CreateVectorReverse(value), address, mask ? b.CreateVectorReverse(mask) : nullptr);
}

}  // namespace

bool masks_all_accesses(const KernelProgram& program, const Target& target) {
  return std::all_of(program.body.begin(), program.body.end(), [&](const Instr& instr) {
    const bool stores = instr.kind == InstrKind::store;
    if (!stores && instr.kind != InstrKind::load) return true;
    const Access& access = program.accesses[instr.slot];
    if (access.indexed == Indexed::lanes) return false;
    if (access.stride == Stride::zero) return true;
    const bool by_vector = is_dense(access.stride) || (small_step(access.stride) > 0 && (!stores || target.masked_ops));
    return target.masked_ops ? by_vector || size_of(access.dtype) >= 4 : by_vector && size_of(access.dtype) >= 4;
  });
}

bool shuffles(const KernelProgram& program) {
  return std::any_of(program.accesses.begin(), program.accesses.end(),
                     [](const Access& access) { return small_step(access.stride) > 0; });
}

int lanes_to_shuffle(const KernelProgram& program, const Target& target, int lanes) {
  constexpr int kMostVectors = 2, kLeastLanes = 16;
  const auto vectors = [&] {
    int count = 0;
    for (const Access& access : program.accesses) {
      const int bytes = static_cast<int>(size_of(access.dtype));
      if (small_step(access.stride) > 0) count += std::max(1, lanes / shuffle_lanes(bytes, target));
    }
    return count;
  };
  while (lanes > kLeastLanes && vectors() > kMostVectors) lanes /= 2;
  return lanes;
}

void KernelEmitter::store_whole(llvm::Value* vector, llvm::Value* address) {
  constexpr int64_t kLeastBytes = 16;  // narrower ones have no such instruction
  const int64_t element = vector->getType()->getScalarSizeInBits() / 8;
  const int64_t bytes = std::min<int64_t>(target.vector_bytes, element * lanes_of(vector));
  const auto store = [&](int64_t alignment) { return b.CreateAlignedStore(vector, address, llvm::Align(alignment)); };
  if (!may_stream_ || bytes < kLeastBytes) {
    store(element);
    return;
  }
  llvm::Value* off = b.CreateAnd(b.CreatePtrToInt(address, b.getInt64Ty()), stream_mask(bytes));
  auto* past = llvm::BasicBlock::Create(context, "past", function);
  auto* into = llvm::BasicBlock::Create(context, "into", function);
  auto* both = llvm::BasicBlock::Create(context, "", function);
  b.CreateCondBr(b.CreateIsNull(off), past, into, llvm::MDBuilder(context).createUnlikelyBranchWeights());
  b.SetInsertPoint(past);
  llvm::Metadata* one = llvm::ConstantAsMetadata::get(b.getInt32(1));
  store(bytes)->setMetadata(llvm::LLVMContext::MD_nontemporal, llvm::MDNode::get(context, one));
  b.CreateBr(both);
  b.SetInsertPoint(into);
  store(element);
  b.CreateBr(both);
  b.SetInsertPoint(both);
}

llvm::Value* KernelEmitter::load(int access, const Place& place, int width, llvm::Value* mask) {
  DType dtype = program.accesses[access].dtype;
  llvm::Type* element = memory_type(context, dtype);
  llvm::Align align(size_of(dtype));
  const bool dense = is_dense(place.stride);
  const int step = small_step(place.stride);
  llvm::Value* value;
  if (width == 1 || place.stride == Stride::zero) {
    value = b.CreateAlignedLoad(element, place.lane0, align);
  } else {
    auto* type = llvm::FixedVectorType::get(element, width);
    const int known = target.masked_ops || place.stride != Stride::one ? -1 : known_lanes(mask);
    if (known >= 0) {
      value = load_first(b, type, place.lane0, known);
    } else if (goes_through_frame(*this, static_cast<int>(size_of(dtype)), dense || step > 0, width, mask)) {
      llvm::Value* lanes = frame(type, llvm::Align(64));
      b.CreateStore(llvm::Constant::getNullValue(type), lanes);
      llvm::Value* count = active_lanes(*this, mask, width);
      if (place.stride == Stride::one && mask) {
        copy_dense(*this, element, place.lane0, lanes, count, width);
      } else {
        copy_elements(*this, element, place.lane0, place.stride == Stride::one ? i64(1) : place.step, lanes, i64(1), count);
      }
      value = b.CreateLoad(type, lanes);
    } else if (dense) {
      value = load_dense(b, type, place, mask);
    } else if (step > 0) {
      value = load_spread(*this, type, place.lane0, step, mask);
    } else if (mask) {
      llvm::Value* addresses = b.CreateGEP(element, place.lane0, lane_ramp(b, i64(0), place.step, width));
      value = b.CreateMaskedGather(type, addresses, align, mask, llvm::Constant::getNullValue(type));
    } else {
      value = load_lanes(*this, type, place);
    }
  }
  if (dtype == DType::boolean) value = b.CreateIsNotNull(value);
  return value;
}

void KernelEmitter::store(int access, const Place& place, llvm::Value* value, int width, llvm::Value* mask) {
  DType dtype = program.accesses[access].dtype;
  llvm::Type* element = memory_type(context, dtype);
  llvm::Align align(size_of(dtype));
  const bool dense = is_dense(place.stride);
  const int step = target.masked_ops ? small_step(place.stride) : 0;
  if (dtype == DType::boolean) value = b.CreateZExt(value, value->getType()->getWithNewType(element));
  if (width == 1 || place.stride == Stride::zero) {
    if (value->getType()->isVectorTy()) value = b.CreateExtractElement(value, uint64_t{0});
    b.CreateAlignedStore(value, place.lane0, align);
    return;
  }
  value = splat(b, value, width);
  // Masked stores of neighbouring rows take three times as long as the pieces.
  const int known = place.stride == Stride::one ? known_lanes(mask) : -1;
  if (known >= 0) {
    store_first(b, value, place.lane0, known);
  } else if (goes_through_frame(*this, static_cast<int>(size_of(dtype)), dense || step > 0, width, mask)) {
    llvm::Value* lanes = frame(value->getType(), llvm::Align(64));
    b.CreateStore(value, lanes);
    llvm::Value* count = active_lanes(*this, mask, width);
    if (place.stride == Stride::one && mask) {
      copy_dense(*this, element, lanes, place.lane0, count, width);
    } else {
      copy_elements(*this, element, lanes, i64(1), place.lane0, place.stride == Stride::one ? i64(1) : place.step, count);
    }
  } else if (dense) {
    store_dense(*this, value, place, mask);
  } else if (step > 0) {
    store_spread(*this, value, place.lane0, step, mask);
  } else if (mask) {
    llvm::Value* addresses = b.CreateGEP(element, place.lane0, lane_ramp(b, i64(0), place.step, width));
    b.CreateMaskedScatter(value, addresses, align, mask);
  } else {
    store_lanes(*this, value, place);
  }
}

bool KernelEmitter::goes_together(const Access& access, const Cursor& at) const {
  return access.group >= 0 && at.width > 1 && !at.mask.lanes;
}

void KernelEmitter::load_group(int i, const Cursor& at, std::vector<llvm::Value*>& values) {
  const int16_t group = program.accesses[program.body[i].slot].group;
  std::map<int, llvm::SmallVector<int, 1>> loads;  // by element
  for (size_t n = 0; n < program.body.size(); ++n) {
    const Instr& instr = program.body[n];
    if (instr.kind != InstrKind::load || instr.stage != program.body[i].stage || values[n]) continue;
    const Access& access = program.accesses[instr.slot];
    if (access.group == group) loads[access.element].push_back(static_cast<int>(n));
  }
  const int first = loads.begin()->first;  // another stage may read what comes before
  llvm::SmallVector<int, 16> wanted;
  for (const auto& [element, instrs] : loads) wanted.push_back(element - first);
  const DType dtype = program.body[i].dtype;
  const Place& place = at.accesses[program.body[loads.begin()->second[0]].slot];
  llvm::Type* type = memory_type(context, dtype);
  const int step = small_step(place.stride);
  Values tile;
  if (step > 0) {
    llvm::Value* begin = b.CreateGEP(type, place.lane0, i64(-first));
    tile = load_interleaved(*this, type, begin, step, at.width);
    tile.erase(tile.begin(), tile.begin() + first);
  } else {
    tile = load_tile(b, type, place.lane0, place.step, at.width, wanted);
  }
  for (const auto& [element, instrs] : loads) {
    llvm::Value* lanes = tile[element - first];
    if (dtype == DType::boolean) lanes = b.CreateIsNotNull(lanes);
    for (int n : instrs) values[n] = lanes;
  }
}

llvm::Value* KernelEmitter::stored_lanes(int i, int width, const std::vector<llvm::Value*>& values) {
  llvm::Value* lanes = splat(b, operand(program.body[i].args[0], values), width);
  llvm::Type* element = memory_type(context, program.body[i].dtype);
  return program.body[i].dtype == DType::boolean ? b.CreateZExt(lanes, lanes->getType()->getWithNewType(element)) : lanes;
}

void KernelEmitter::store_all(llvm::ArrayRef<int> stores, const Cursor& at, std::vector<llvm::Value*>& values) {
  // A row kernel may store the elements of a group in several stages: then each goes out by itself.
  std::map<int, int> members, sizes;
  for (const Access& access : program.accesses) ++sizes[access.group];
  for (int i : stores) ++members[program.accesses[program.body[i].slot].group];
  std::map<int, Values> groups;  // by their first access: values by element
  for (int i : stores) {
    const Access& access = program.accesses[program.body[i].slot];
    const bool whole = access.group >= 0 && members[access.group] == sizes[access.group];
    const bool masked = access.stride != Stride::other && target.masked_ops && at.width > 1;
    const bool together = goes_together(access, at) || masked;
    if (!whole || !together) {
      emit(i, at, values);
      continue;
    }
    Values& group = groups[access.group];
    group.resize(sizes[access.group]);
    group[access.element] = stored_lanes(i, at.width, values);
  }
  for (const auto& [first, group] : groups) {
    const Place& place = at.accesses[first];
    if (place.stride == Stride::other) {
      store_tile(b, group, place.lane0, place.step);
    } else {
      store_interleaved(*this, group, place.lane0, at.mask.lanes);
    }
  }
}

Values KernelEmitter::branch_on_full(const Mask& mask, llvm::function_ref<Values(const Mask&)> body) {
  if (!mask.full) return body(mask);
  auto* plain = llvm::BasicBlock::Create(context, "full", function);
  auto* masked = llvm::BasicBlock::Create(context, "rest", function);
  auto* both = llvm::BasicBlock::Create(context, "", function);
  b.CreateCondBr(mask.full, plain, masked, llvm::MDBuilder(context).createLikelyBranchWeights());
  b.SetInsertPoint(plain);
  Values result = body({});
  llvm::BasicBlock* plain_end = b.GetInsertBlock();
  b.CreateBr(both);
  masked->moveAfter(plain_end);
  b.SetInsertPoint(masked);
  Values other = body({mask.rest});
  llvm::BasicBlock* masked_end = b.GetInsertBlock();
  b.CreateBr(both);
  both->moveAfter(masked_end);
  b.SetInsertPoint(both);
  for (size_t i = 0; i < result.size(); ++i) {
    llvm::PHINode* phi = b.CreatePHI(result[i]->getType(), 2);
    phi->addIncoming(result[i], plain_end);
    phi->addIncoming(other[i], masked_end);
    result[i] = phi;
  }
  return result;
}

void KernelEmitter::emit_all(llvm::ArrayRef<int> instrs, const Cursor& at, std::vector<llvm::Value*>& values,
                             llvm::function_ref<void(int)> reduce) {
  auto is_masked_load = [&](int i) {
    const Instr& instr = program.body[i];
    return at.mask.full && instr.kind == InstrKind::load && instr.args.empty() && !values[i] &&
           at.accesses[instr.slot].stride != Stride::zero;
  };
  llvm::SmallVector<int, 8> stores;
  for (size_t n = 0; n < instrs.size(); ++n) {
    int i = instrs[n];
    if (program.body[i].kind == InstrKind::reduce) {
      reduce(i);
    } else if (is_masked_load(i)) {
      llvm::SmallVector<int, 8> loads;
      for (int later : instrs.drop_front(n)) {
        if (is_masked_load(later) && loads.size() < kLoadsAtOnce) loads.push_back(later);
      }
      Values made = branch_on_full(at.mask, [&](const Mask& mask) {
        Values results;
        for (int load : loads) {
          const Instr& instr = program.body[load];
          results.push_back(this->load(instr.slot, at.accesses[instr.slot], at.width, mask.lanes));
        }
        return results;
      });
      for (size_t l = 0; l < loads.size(); ++l) values[loads[l]] = made[l];
    } else if (program.body[i].kind == InstrKind::store) {
      stores.push_back(i);
    } else {
      emit(i, at, values);
    }
  }
  if (stores.empty()) return;
  branch_on_full(at.mask, [&](const Mask& mask) {
    Cursor here = at;
    here.mask = mask;
    store_all(stores, here, values);
    return Values{};
  });
}

}  // namespace etch::codegen
