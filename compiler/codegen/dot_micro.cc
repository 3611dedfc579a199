// The innermost loop of a matrix product.
#include "compiler/codegen/dot_micro.h"

#include <llvm/IR/Attributes.h>
#include <llvm/IR/Intrinsics.h>

namespace etch::codegen {
namespace {

/// Rows that share one pointer: x86 addresses base, base + row and base + 2 * row without further registers.
constexpr int kRowsPerPointer = 3;

class TileEmitter {
 public:
  TileEmitter(llvm::Function* f, DType dtype, int vector_bytes, TileShape shape)
      : f_(f),
        dtype_(dtype),
        bytes_(vector_bytes),
        shape_(shape),
        entry_(llvm::BasicBlock::Create(f->getContext(), "entry", f)),
        loop_(llvm::BasicBlock::Create(f->getContext(), "loop", f)),
        exit_(llvm::BasicBlock::Create(f->getContext(), "exit", f)),
        b_(entry_),
        vector_(lanes_type(f->getContext(), dtype, lanes())) {}

  void emit();

 private:
  int lanes() const { return static_cast<int>(bytes_ / size_of(dtype_)); }
  llvm::Align align() const { return llvm::Align(size_of(dtype_)); }

  llvm::Value* add_bytes(llvm::Value* pointer, llvm::Value* bytes) {
    return b_.CreateGEP(b_.getInt8Ty(), pointer, bytes);
  }
  llvm::Value* add_bytes(llvm::Value* pointer, int64_t bytes) { return add_bytes(pointer, b_.getInt64(bytes)); }

  llvm::PHINode* phi(llvm::Value* initial) {
    llvm::PHINode* result = b_.CreatePHI(initial->getType(), 2);
    result->addIncoming(initial, entry_);
    return result;
  }

  llvm::Value* next_row(llvm::Value* pointer, int row, llvm::Value* bytes);
  llvm::Value* vector_at(llvm::Value* row, int vector) { return vector == 0 ? row : add_bytes(row, second_); }
  llvm::Value* load(llvm::Value* from);
  void store(llvm::Value* value, llvm::Value* to);
  Values load_sums(llvm::Value* in, llvm::Value* in_row);
  Values row_pointers(llvm::Value* a, llvm::Value* a_row);
  llvm::Value* a_element(int row, llvm::ArrayRef<llvm::Value*> pointers, llvm::Value* a_row, llvm::Value* two_rows,
                         llvm::Value* walked);
  llvm::Value* multiply_add(llvm::Value* x, llvm::Value* y, llvm::Value* sum);
  void store_sums(llvm::ArrayRef<llvm::Value*> sums, llvm::Value* out, llvm::Value* out_row);

  llvm::Function* f_;
  const DType dtype_;
  const int64_t bytes_;  // of a vector
  const TileShape shape_;
  llvm::BasicBlock *entry_, *loop_, *exit_;
  Builder b_;
  llvm::Type* vector_;
  llvm::Value* mask_ = nullptr;
  llvm::Value* second_ = nullptr;  // bytes from the first vector of a row to the second one
};

/// From the row before `row` to it, if it is valid.
llvm::Value* TileEmitter::next_row(llvm::Value* pointer, int row, llvm::Value* bytes) {
  if (!shape_.ragged) return add_bytes(pointer, bytes);
  llvm::Value* is_valid = b_.CreateICmpSGT(f_->getArg(10), b_.getInt64(row));
  return add_bytes(pointer, b_.CreateSelect(is_valid, bytes, b_.getInt64(0)));
}

llvm::Value* TileEmitter::load(llvm::Value* from) {
  if (!mask_) return b_.CreateAlignedLoad(vector_, from, align());
  return b_.CreateMaskedLoad(vector_, from, align(), mask_, llvm::Constant::getNullValue(vector_));
}

void TileEmitter::store(llvm::Value* value, llvm::Value* to) {
  if (!mask_) {
    b_.CreateAlignedStore(value, to, align());
  } else {
    b_.CreateMaskedStore(value, to, align(), mask_);
  }
}

Values TileEmitter::load_sums(llvm::Value* in, llvm::Value* in_row) {
  Values sums;
  for (int row = 0; row < shape_.rows; ++row) {
    if (row > 0) in = next_row(in, row, in_row);
    for (int v = 0; v < shape_.vectors; ++v) sums.push_back(load(vector_at(in, v)));
  }
  return sums;
}

/// One pointer per row if ragged, which the loop leaves in place, else one per kRowsPerPointer rows, which it advances.
Values TileEmitter::row_pointers(llvm::Value* a, llvm::Value* a_row) {
  Values pointers{a};
  for (int row = 1; shape_.ragged && row < shape_.rows; ++row) pointers.push_back(next_row(pointers.back(), row, a_row));
  for (int row = kRowsPerPointer; !shape_.ragged && row < shape_.rows; row += kRowsPerPointer) {
    pointers.push_back(add_bytes(a, b_.CreateMul(b_.getInt64(row), a_row)));
  }
  return pointers;
}

llvm::Value* TileEmitter::a_element(int row, llvm::ArrayRef<llvm::Value*> pointers, llvm::Value* a_row,
                                    llvm::Value* two_rows, llvm::Value* walked) {
  llvm::Value* pointer;
  if (shape_.ragged) {
    pointer = add_bytes(pointers[row], walked);
  } else {
    pointer = pointers[row / kRowsPerPointer];
    const int rest = row % kRowsPerPointer;
    if (rest > 0) pointer = add_bytes(pointer, rest == 1 ? a_row : two_rows);
  }
  return splat(b_, b_.CreateAlignedLoad(vector_->getScalarType(), pointer, align()), lanes());
}

llvm::Value* TileEmitter::multiply_add(llvm::Value* x, llvm::Value* y, llvm::Value* sum) {
  if (is_floating(dtype_)) return b_.CreateIntrinsic(llvm::Intrinsic::fma, {vector_}, {x, y, sum});
  return b_.CreateAdd(b_.CreateMul(x, y), sum);
}

void TileEmitter::store_sums(llvm::ArrayRef<llvm::Value*> sums, llvm::Value* out, llvm::Value* out_row) {
  for (int row = 0; row < shape_.rows; ++row) {
    if (row > 0) out = next_row(out, row, out_row);
    for (int v = 0; v < shape_.vectors; ++v) store(sums[row * shape_.vectors + v], vector_at(out, v));
  }
}

void TileEmitter::emit() {
  llvm::Value *a_row = f_->getArg(1), *a_step = f_->getArg(2), *b_step = f_->getArg(4), *depth = f_->getArg(5);
  llvm::Value* columns = f_->getArg(11);
  if (shape_.masked) mask_ = mask_of_count(b_, columns, lanes());
  if (shape_.vectors == 2) second_ = b_.CreateMul(b_.CreateSub(columns, b_.getInt64(lanes())), b_.getInt64(size_of(dtype_)));
  const Values rows = row_pointers(f_->getArg(0), a_row);
  llvm::Value* two_rows = b_.CreateShl(a_row, 1);
  const Values initial = load_sums(f_->getArg(6), f_->getArg(7));
  b_.CreateBr(loop_);

  b_.SetInsertPoint(loop_);
  llvm::PHINode* left = phi(depth);
  llvm::PHINode* b_now = phi(f_->getArg(3));
  llvm::PHINode* walked = shape_.ragged ? phi(b_.getInt64(0)) : nullptr;
  Values a_now, sums, summed;
  for (llvm::Value* pointer : rows) a_now.push_back(walked ? pointer : phi(pointer));
  for (llvm::Value* value : initial) sums.push_back(phi(value));
  auto advance = [&](llvm::Value* phi, llvm::Value* next) { llvm::cast<llvm::PHINode>(phi)->addIncoming(next, loop_); };

  Values b_vectors;
  for (int v = 0; v < shape_.vectors; ++v) b_vectors.push_back(load(vector_at(b_now, v)));
  for (int row = 0; row < shape_.rows; ++row) {
    llvm::Value* element = a_element(row, a_now, a_row, two_rows, walked);
    for (llvm::Value* b_vector : b_vectors) summed.push_back(multiply_add(element, b_vector, sums[summed.size()]));
  }
  if (walked) {
    advance(walked, b_.CreateAdd(walked, a_step));
  } else {
    for (llvm::Value* pointer : a_now) advance(pointer, add_bytes(pointer, a_step));
  }
  for (size_t i = 0; i < sums.size(); ++i) advance(sums[i], summed[i]);
  advance(b_now, add_bytes(b_now, b_step));
  llvm::Value* still = b_.CreateSub(left, b_.getInt64(1));
  advance(left, still);
  b_.CreateCondBr(b_.CreateIsNull(still), exit_, loop_);

  b_.SetInsertPoint(exit_);
  store_sums(summed, f_->getArg(8), f_->getArg(9));
  b_.CreateRetVoid();
}

}  // namespace

llvm::Function* internal_function(llvm::Module& module, const llvm::Function& caller, const std::string& name,
                                  llvm::ArrayRef<llvm::Type*> arguments) {
  llvm::LLVMContext& context = module.getContext();
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(context), arguments, false);
  auto* f = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, name, module);
  f->addFnAttrs(llvm::AttrBuilder(context, caller.getAttributes().getFnAttrs()));
  return f;
}

llvm::Function* tile_function(llvm::Module& module, const llvm::Function& caller, DType dtype, int vector_bytes,
                              TileShape shape) {
  const std::string name = "dot_tile_" + std::to_string(shape.rows) + "x" + std::to_string(shape.vectors) +
                           (shape.masked ? "m" : "") + "." + std::to_string(vector_bytes) + "." + std::string(etch::name(dtype));
  if (llvm::Function* known = module.getFunction(name)) return known;
  llvm::Type* ptr = llvm::PointerType::getUnqual(module.getContext());
  llvm::Type* i64 = llvm::Type::getInt64Ty(module.getContext());
  llvm::Function* f =
      internal_function(module, caller, name, {ptr, i64, i64, ptr, i64, i64, ptr, i64, ptr, i64, i64, i64});
  TileEmitter(f, dtype, vector_bytes, shape).emit();
  return f;
}

}  // namespace etch::codegen
