// The parts that all kernel emitters share.
#include "compiler/codegen/emit.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>
#include <utility>

#include "runtime/check.h"
#include "runtime/rounding.h"

namespace etch::codegen {
namespace {

constexpr const char* kScratchAttribute = "etch-scratch";

}  // namespace

llvm::Type* lanes_type(llvm::LLVMContext& context, DType dtype, int width) {
  llvm::Type* type = dtype == DType::boolean ? llvm::Type::getInt1Ty(context) : memory_type(context, dtype);
  return width == 1 ? type : llvm::FixedVectorType::get(type, width);
}

llvm::Type* memory_type(llvm::LLVMContext& context, DType dtype) {
  if (!is_floating(dtype) || !computes_itself(dtype)) return llvm::Type::getIntNTy(context, 8 * size_of(dtype));
  return size_of(dtype) == 4 ? llvm::Type::getFloatTy(context) : llvm::Type::getDoubleTy(context);
}

llvm::Value* splat(Builder& b, llvm::Value* value, int width) {
  if (width == 1 || value->getType()->isVectorTy()) return value;
  return b.CreateVectorSplat(width, value);
}

llvm::Value* lane_ramp(Builder& b, llvm::Value* start, llvm::Value* step, int width) {
  if (width == 1) return start;
  llvm::SmallVector<llvm::Constant*, 64> lanes;
  for (int i = 0; i < width; ++i) lanes.push_back(b.getInt64(i));
  llvm::Value* scaled = b.CreateMul(llvm::ConstantVector::get(lanes), b.CreateVectorSplat(width, step));
  return b.CreateAdd(b.CreateVectorSplat(width, start), scaled);
}

DType operand_dtype(const KernelProgram& program, const Instr& instr) { return program.body[instr.args.back()].dtype; }

int lanes_of(const KernelProgram& program, const Target& target) {
  // Values of wider types than the narrow ones take several registers each: a few that are cheap may.
  constexpr int64_t kMostRegisters = 4;
  constexpr int kMostWide = 4;
  constexpr int kMostCost = 2;
  int64_t widest = 1, narrowest = 8;
  const auto is_number = [](const Instr& instr) { return instr.kind == InstrKind::param || instr.kind == InstrKind::constant; };
  const auto counts = [](const Instr& instr) {
    // Indices are usually cast at once; an argmax keeps short indices.
    const bool is_index = instr.kind == InstrKind::index || instr.kind == InstrKind::check;
    return !is_index && instr.kind != InstrKind::reduce && !instr.per_row;
  };
  for (const Instr& instr : program.body) {
    if (!counts(instr)) continue;
    widest = std::max(widest, size_of(instr.dtype));
    if (!is_number(instr) && instr.dtype != DType::boolean) narrowest = std::min(narrowest, size_of(instr.dtype));
  }
  int wide = 0;
  bool cheap = true;
  for (const Instr& instr : program.body) {
    // Accumulators stay in registers.
    cheap = cheap && (instr.kind != InstrKind::reduce || size_of(program.body[instr.args[0]].dtype) <= narrowest);
    if (!counts(instr) || size_of(instr.dtype) <= narrowest || is_number(instr)) continue;
    ++wide;
    if (instr.kind == InstrKind::dot) continue;  // its sums lie beside each other
    cheap = cheap && (instr.kind == InstrKind::compute ? cost_of(instr) <= kMostCost
                                                        : program.accesses[instr.slot].stride == Stride::one);
  }
  if (cheap && wide <= kMostWide) widest = std::max(narrowest, widest / kMostRegisters);
  return static_cast<int>(target.vector_bytes / widest);
}

bool goes_by_lane(const KernelProgram& program, const Instr& instr, const Target& target) {
  if (instr.kind != InstrKind::load && instr.kind != InstrKind::store) return false;
  const Access& access = program.accesses[instr.slot];
  if (access.indexed == Indexed::lanes) return true;
  if (access.stride == Stride::other) return access.group < 0;
  const bool spreads = instr.kind == InstrKind::store && small_step(access.stride) > 0 && access.group < 0;
  return spreads && !target.masked_ops;
}

bool goes_by_lane(const KernelProgram& program, const Target& target) {
  return std::any_of(program.body.begin(), program.body.end(),
                     [&](const Instr& instr) { return goes_by_lane(program, instr, target); });
}

int work_of(const KernelProgram& program, const Target& target, llvm::function_ref<bool(int)> chosen) {
  int work = 0;
  for (size_t i = 0; i < program.body.size(); ++i) {
    if (!chosen(i)) continue;
    const Instr& instr = program.body[i];
    if (goes_by_lane(program, instr, target) || instr.kind == InstrKind::index) work += kCheapWork;
    if (instr.kind == InstrKind::compute) work += cost_of(instr.op);
  }
  return work;
}

KernelEmitter::KernelEmitter(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                             const std::string& name)
    : program(program),
      options(options),
      target(options.target),
      layout(program),
      context(module.getContext()),
      function(nullptr),
      b(context),
      entry_(context) {
  llvm::Type* pointer = b.getPtrTy();
  llvm::Type* i64 = b.getInt64Ty();
  auto* type = llvm::FunctionType::get(b.getVoidTy(), {pointer, pointer, i64, i64, pointer}, false);
  function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, name, module);
  function->setDoesNotThrow();
  function->addFnAttr("prefer-vector-width", std::to_string(8 * target.vector_bytes));
  function->addFnAttr("min-legal-vector-width", std::to_string(8 * target.vector_bytes));
  const char* names[] = {"buffers", "sizes", "begin", "end", "scratch"};
  for (int i = 0; i < 5; ++i) function->getArg(i)->setName(names[i]);
  for (int i = 0; i < 2; ++i) function->addParamAttr(i, llvm::Attribute::ReadOnly);
  function->addParamAttr(4, llvm::Attribute::NoAlias);
  entry_.SetInsertPoint(llvm::BasicBlock::Create(context, "entry", function));
  start_ = llvm::BasicBlock::Create(context, "start", function);
  b.SetInsertPoint(start_);
  repeat_operands();
}

void KernelEmitter::repeat_operands() {
  for (int a = 0; a < static_cast<int>(program.accesses.size()); ++a) {
    const Access& access = program.accesses[a];
    if (!access.repeats) continue;
    llvm::Value* from = origin(a);
    llvm::Value* to = scratch(kMostRepeated * size_of(access.dtype));
    llvm::Type* type = memory_type(context, access.dtype);
    llvm::Value* period = access_stride(a, program.lanes_axis());
    loop(i64(0), extent(program.lanes_axis()), period, {}, false, [&](llvm::Value* first, llvm::ArrayRef<llvm::Value*>) {
      loop(i64(0), period, i64(1), {}, false, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
        b.CreateStore(b.CreateLoad(type, advance(a, from, i)), advance(a, to, b.CreateAdd(first, i)));
        return Values{};
      });
      return Values{};
    });
    loaded_.origins[a] = to;
  }
}

llvm::Value* KernelEmitter::mask_of_bits(llvm::Value* bits, int width) {
  return b.CreateBitCast(b.CreateTrunc(bits, b.getIntNTy(width)), llvm::FixedVectorType::get(b.getInt1Ty(), width));
}

llvm::Value* KernelEmitter::mask_of_rest(llvm::Value* count, int width) {
  if (target.masked_ops) return mask_of_bits(b.CreateNot(b.CreateShl(i64(-1), count)), width);
  // Numbers in lanes of one register: their comparison is a mask, where one bit for each lane would be taken apart.
  llvm::Type* number = b.getIntNTy(static_cast<unsigned>(std::clamp(8 * target.vector_bytes / width, 8, 64)));
  llvm::SmallVector<llvm::Constant*, 64> numbers;
  for (int lane = 0; lane < width; ++lane) numbers.push_back(llvm::ConstantInt::get(number, static_cast<uint64_t>(lane)));
  return b.CreateICmpSGT(b.CreateVectorSplat(width, b.CreateTrunc(count, number)), llvm::ConstantVector::get(numbers));
}

llvm::Value* KernelEmitter::mask_of_count(llvm::Value* count, int width) {
  if (width == 1) return b.CreateICmpSGT(count, i64(0));
  if (!target.masked_ops) return mask_of_rest(b.CreateBinaryIntrinsic(llvm::Intrinsic::umin, count, i64(width)), width);
  llvm::Value* ones = b.CreateNot(b.CreateShl(i64(-1), count));
  return mask_of_bits(b.CreateSelect(b.CreateICmpUGE(count, i64(width)), i64(-1), ones), width);
}

llvm::Value* KernelEmitter::streams() {
  // In memory that the kernel reads as well, the lines are in the cache already.
  if (!loaded_.streams) loaded_.streams = entry_.CreateAnd(entry_.CreateIsNotNull(size(layout.streams)), stores_apart());
  return loaded_.streams;
}

llvm::Value* KernelEmitter::stream_mask(int64_t bytes) {
  llvm::Value*& mask = loaded_.stream_masks[bytes];
  if (!mask) mask = entry_.CreateSelect(streams(), i64(bytes - 1), i64(-1));  // no address is 0
  return mask;
}

void KernelEmitter::outline(const std::string& part, llvm::ArrayRef<llvm::Value*> values,
                            llvm::function_ref<void(llvm::ArrayRef<llvm::Value*>)> body) {
  ETCH_CHECK(program.num_checks == 0 && std::ranges::none_of(program.accesses, &Access::repeats),
             "a part with checks or repeated operands as a function of its own");
  llvm::SmallVector<llvm::Value*, 16> passed;
  for (llvm::Argument& argument : function->args()) passed.push_back(&argument);
  const size_t own = passed.size();
  passed.append(values.begin(), values.end());
  llvm::SmallVector<llvm::Type*, 16> types;
  for (llvm::Value* value : passed) types.push_back(value->getType());
  auto* type = llvm::FunctionType::get(b.getVoidTy(), types, false);
  auto* made = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, function->getName() + "." + part,
                                      function->getParent());
  llvm::AttributeList attributes = function->getAttributes();
  for (auto of_kernel : {llvm::Attribute::OptimizeNone, llvm::Attribute::NoInline}) {
    attributes = attributes.removeFnAttribute(context, of_kernel);
  }
  made->setAttributes(attributes);
  made->removeParamAttr(4, llvm::Attribute::NoAlias);  // values may lead into the scratch memory
  b.CreateCall(made, passed);

  llvm::IRBuilderBase::InsertPointGuard guard(b), entry_guard(entry_);
  llvm::Function* const kernel = std::exchange(function, made);
  const Loaded of_kernel = std::exchange(loaded_, {});
  auto* entry = llvm::BasicBlock::Create(context, "entry", made);
  auto* start = llvm::BasicBlock::Create(context, "start", made);
  entry_.SetInsertPoint(entry);
  b.SetInsertPoint(start);
  llvm::SmallVector<llvm::Value*, 16> arguments;
  for (size_t i = own; i < passed.size(); ++i) arguments.push_back(made->getArg(i));
  body(arguments);
  b.CreateRetVoid();
  entry_.CreateBr(start);
  function = kernel;
  loaded_ = of_kernel;
}

llvm::Function* KernelEmitter::finish() {
  // What went past the caches is in order with nothing else until this.
  if (loaded_.streams) if_then(loaded_.streams, [&] { b.CreateIntrinsic(llvm::Intrinsic::x86_sse_sfence, {}, {}); });
  auto* exit = llvm::BasicBlock::Create(context, "exit", function);
  b.CreateBr(exit);
  entry_.CreateCondBr(entry_.CreateICmpSLT(begin(), end()), start_, exit);
  b.SetInsertPoint(exit);
  b.CreateRetVoid();
  if (scratch_bytes_ > 0) function->addFnAttr(kScratchAttribute, std::to_string(scratch_bytes_));
  return function;
}

std::string product_loop_symbol(std::string_view name, DType dtype, int vector_bytes) {
  return "etch_product_" + std::string(name) + (is_floating(dtype) ? ".f" : ".i") + std::to_string(8 * size_of(dtype)) + "." +
         std::to_string(vector_bytes);
}

int64_t scratch_bytes_of(const llvm::Function& kernel) {
  return static_cast<int64_t>(kernel.getFnAttributeAsParsedInteger(kScratchAttribute));
}

llvm::Value* KernelEmitter::size(int64_t i) {
  llvm::Value*& value = loaded_.sizes[i];
  if (!value) {
    llvm::Value* address = entry_.CreateConstInBoundsGEP1_64(entry_.getInt64Ty(), function->getArg(1), i);
    value = entry_.CreateLoad(entry_.getInt64Ty(), address, "size" + llvm::Twine(i));
  }
  return value;
}

llvm::Value* KernelEmitter::origin(int access) {
  const Access& of = program.accesses[access];
  if (stands_in_group(of, access)) {
    return entry_.CreateConstInBoundsGEP1_64(memory_type(context, of.dtype), origin(of.group), of.element);
  }
  llvm::Value*& value = loaded_.origins[access];
  if (!value) {
    llvm::Value* address = entry_.CreateConstInBoundsGEP1_64(entry_.getPtrTy(), function->getArg(0), access);
    llvm::Value* base = entry_.CreateLoad(entry_.getPtrTy(), address, "buffer" + llvm::Twine(access));
    llvm::Type* type = memory_type(context, of.dtype);
    value = entry_.CreateGEP(type, base, size(layout.access(access)));
  }
  return value;
}

llvm::Value* KernelEmitter::param(int param, DType dtype) {
  llvm::Value*& value = loaded_.params[param];
  if (!value) value = load_param(entry_, param, dtype);
  return value;
}

/// The first bytes of a size are the param: the processor stores the low ones first.
llvm::Value* KernelEmitter::load_param(Builder& at, int param, DType dtype) {
  llvm::Value* address = at.CreateConstInBoundsGEP1_64(at.getInt64Ty(), function->getArg(1), layout.param(param));
  llvm::Value* value = at.CreateAlignedLoad(memory_type(context, dtype), address, llvm::Align(8));
  return dtype == DType::boolean ? at.CreateIsNotNull(value) : value;
}

llvm::Value* KernelEmitter::operand(int i, const std::vector<llvm::Value*>& values) {
  if (values[i] || program.body[i].kind != InstrKind::param) return values[i];
  return load_param(b, program.body[i].slot, program.body[i].dtype);
}

llvm::Value* KernelEmitter::stores_apart(int stage) {
  llvm::Value*& all_apart = loaded_.stores_apart[stage];
  if (all_apart) return all_apart;
  // Memory that a kernel both reads and writes, it walks in one way: the accesses begin at one address.
  std::vector<bool> loads(program.accesses.size()), stores(program.accesses.size());
  for (const Instr& instr : program.body) {
    if (instr.stage != stage) continue;
    if (instr.kind == InstrKind::load) loads[instr.slot] = true;
    if (instr.kind == InstrKind::store) stores[instr.slot] = true;
  }
  all_apart = entry_.getTrue();
  for (size_t s = 0; s < stores.size(); ++s) {
    for (size_t l = 0; l < loads.size(); ++l) {
      const bool one_size = size_of(program.accesses[s].dtype) == size_of(program.accesses[l].dtype);
      if (!stores[s] || !loads[l] || !one_size) continue;
      llvm::Value* apart = entry_.CreateICmpNE(origin(s), origin(l));
      all_apart = entry_.CreateAnd(all_apart, apart);
    }
  }
  return all_apart;
}

llvm::Value* KernelEmitter::advance(int access, llvm::Value* pointer, llvm::Value* elements) {
  return b.CreateGEP(memory_type(context, program.accesses[access].dtype), pointer, elements);
}

void KernelEmitter::fetch(llvm::Value* address, Cache cache) {
  constexpr int kRead = 0, kFirstCache = 3, kSecondCache = 2, kData = 1;
  b.CreateIntrinsic(llvm::Intrinsic::prefetch, {b.getPtrTy()},
                    {address, b.getInt32(kRead), b.getInt32(cache == Cache::first ? kFirstCache : kSecondCache), b.getInt32(kData)});
}

void KernelEmitter::fetch_to_write(llvm::Value* address) {
  constexpr int kWrite = 1, kFirstCache = 3, kData = 1;
  b.CreateIntrinsic(llvm::Intrinsic::prefetch, {b.getPtrTy()},
                    {address, b.getInt32(kWrite), b.getInt32(kFirstCache), b.getInt32(kData)});
}

void KernelEmitter::fetch_lines(llvm::Value* address, int64_t bytes) {
  constexpr int64_t kLineBytes = 64;
  for (int64_t line = 0; line < bytes; line += kLineBytes) {
    fetch(b.CreateConstGEP1_64(b.getInt8Ty(), address, static_cast<uint64_t>(line)), Cache::first);
  }
}

llvm::Value* KernelEmitter::scratch(int64_t bytes) {
  const int64_t offset = std::exchange(scratch_bytes_, scratch_bytes_ + round_up(bytes, 64));
  Builder front(&function->getEntryBlock(), function->getEntryBlock().begin());
  return front.CreateConstInBoundsGEP1_64(front.getInt8Ty(), function->getArg(4), offset);
}

llvm::AllocaInst* KernelEmitter::frame(llvm::Type* type, llvm::Align alignment) {
  // At the block's front: the frame is fixed, whatever stands in the entry already.
  Builder front(&function->getEntryBlock(), function->getEntryBlock().begin());
  llvm::AllocaInst* memory = front.CreateAlloca(type);
  memory->setAlignment(alignment);
  return memory;
}

void KernelEmitter::emit(int i, const Cursor& at, std::vector<llvm::Value*>& values) {
  if (values[i]) return;
  const Instr& instr = program.body[i];
  switch (instr.kind) {
    case InstrKind::load:
      if (!instr.args.empty()) {
        values[i] = load_at(instr, at, operand(instr.args[0], values));
        return;
      }
      if (goes_together(program.accesses[instr.slot], at)) return load_group(i, at, values);
      values[i] = load(instr.slot, at.accesses[instr.slot], at.width, at.mask.lanes);
      return;
    case InstrKind::index: {
      const Place& place = at.indices[instr.slot];
      values[i] = place.stride == Stride::zero ? place.lane0 : lane_ramp(b, place.lane0, place.step, at.width);
      return;
    }
    case InstrKind::param:
      if (!loads_params_) values[i] = param(instr.slot, instr.dtype);
      return;
    case InstrKind::check:
      values[i] = check(instr, at, operand(instr.args[0], values), operand(instr.args[1], values));
      return;
    case InstrKind::compute: {
      if (casts_index(instr, at)) {
        values[i] = cast_index(at.indices[program.body[instr.args[0]].slot], at.width, instr.dtype);
        return;
      }
      Values operands;
      int width = 1;
      for (int arg : instr.args) {
        operands.push_back(operand(arg, values));
        if (operands.back()->getType()->isVectorTy()) width = at.width;
      }
      for (llvm::Value*& operand : operands) operand = splat(b, operand, width);
      values[i] = compute(instr, operands, operand_dtype(program, instr));
      return;
    }
    case InstrKind::store:
      store(instr.slot, at.accesses[instr.slot], operand(instr.args[0], values), at.width, at.mask.lanes);
      return;
    case InstrKind::constant:
      values[i] = llvm::ConstantInt::get(lanes_type(context, instr.dtype, 1), program.constants[instr.slot]);
      return;
    default:
      return;  // The emitter of the kernel's kind places these.
  }
}

Values KernelEmitter::loop(llvm::Value* from, llvm::Value* to, llvm::Value* step, llvm::ArrayRef<llvm::Value*> initial,
                           bool guard,
                           llvm::function_ref<Values(llvm::Value*, llvm::ArrayRef<llvm::Value*>)> body) {
  auto* head = llvm::BasicBlock::Create(context, "loop", function);
  auto* done = llvm::BasicBlock::Create(context, "done", function);
  llvm::BasicBlock* before = b.GetInsertBlock();
  if (guard) {
    b.CreateCondBr(b.CreateICmpSLT(from, to), head, done);
  } else {
    b.CreateBr(head);
  }
  b.SetInsertPoint(head);
  llvm::PHINode* i = b.CreatePHI(b.getInt64Ty(), 2);
  i->addIncoming(from, before);
  llvm::SmallVector<llvm::PHINode*, 8> phis;
  Values carried;
  for (llvm::Value* value : initial) {
    phis.push_back(b.CreatePHI(value->getType(), 2));
    phis.back()->addIncoming(value, before);
    carried.push_back(phis.back());
  }
  Values next = body(i, carried);
  llvm::BasicBlock* latch = b.GetInsertBlock();
  llvm::Value* next_i = b.CreateAdd(i, step);
  i->addIncoming(next_i, latch);
  for (size_t n = 0; n < phis.size(); ++n) phis[n]->addIncoming(next[n], latch);
  b.CreateCondBr(b.CreateICmpSLT(next_i, to), head, done);
  done->moveAfter(latch);
  b.SetInsertPoint(done);
  if (!guard) return next;
  for (size_t n = 0; n < phis.size(); ++n) {
    llvm::PHINode* result = b.CreatePHI(next[n]->getType(), 2);
    result->addIncoming(initial[n], before);
    result->addIncoming(next[n], latch);
    next[n] = result;
  }
  return next;
}

void KernelEmitter::if_then(llvm::Value* condition, llvm::function_ref<void()> then) {
  auto* yes = llvm::BasicBlock::Create(context, "then", function);
  auto* done = llvm::BasicBlock::Create(context, "done", function);
  b.CreateCondBr(condition, yes, done);
  b.SetInsertPoint(yes);
  then();
  b.CreateBr(done);
  done->moveAfter(b.GetInsertBlock());
  b.SetInsertPoint(done);
}

}  // namespace etch::codegen
