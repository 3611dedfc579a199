// The functions that dot kernels call: copies of operands and loops over tiles.
#include "compiler/codegen/dot_parts.h"

#include <llvm/IR/Intrinsics.h>

#include <utility>

namespace etch::codegen {
namespace {

constexpr int kRaggedRows = 4;
constexpr int kNarrowRows = 8;  // of tiles of one vector: as many sums as hide fma's latency
constexpr int kSquare = 4;      // b is transposed in squares of this size

}  // namespace

void DotParts::count(llvm::Value* from, llvm::Value* to, llvm::Value* step, bool guard,
                     llvm::function_ref<void(llvm::Value*)> body) {
  k_.loop(from, to, step, {}, guard, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
    body(i);
    return Values{};
  });
}

llvm::Value* DotParts::load_vector(llvm::Value* from, llvm::Value* mask) {
  if (!mask) return b_.CreateAlignedLoad(vector_, from, align());
  return b_.CreateMaskedLoad(vector_, from, align(), mask, zero_vector());
}

llvm::Function* DotParts::shared(const std::string& name, llvm::ArrayRef<llvm::Type*> arguments,
                                 llvm::function_ref<void(llvm::Function*)> body) {
  const std::string full_name = name + "." + std::string(etch::name(blocking_.dtype));
  if (llvm::Function* known = module_.getFunction(full_name)) return known;
  llvm::Function* f = internal_function(module_, *k_.function, full_name, arguments);
  llvm::IRBuilderBase::InsertPointGuard guard(b_);
  llvm::Function* const kernel = std::exchange(k_.function, f);
  b_.SetInsertPoint(llvm::BasicBlock::Create(k_.context, "entry", f));
  body(f);
  b_.CreateRetVoid();
  k_.function = kernel;
  return f;
}

llvm::Function* DotParts::copy_a_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_copy_a", {ptr, i64, i64, i64, i64, ptr}, [&](llvm::Function* f) {
    llvm::Value *line_stride = f->getArg(1), *stride = f->getArg(2), *length = f->getArg(4);
    llvm::Value* contiguous = b_.CreateICmpEQ(stride, k_.i64(1));
    llvm::Value* whole = b_.CreateAnd(length, k_.i64(-blocking_.lanes));
    llvm::Value* vectors = b_.CreateSelect(contiguous, whole, k_.i64(0));
    llvm::Value* whole_length = b_.CreateSelect(contiguous, length, k_.i64(0));
    llvm::Value* tail = k_.target.masked_ops ? length : whole;
    llvm::Value* mask = mask_of_count(b_, b_.CreateSub(length, whole), static_cast<int>(blocking_.lanes));
    k_.loop(k_.i64(0), f->getArg(3), k_.i64(1), {f->getArg(0), f->getArg(5)}, true,
            [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> line) {
      count(k_.i64(0), vectors, k_.i64(blocking_.lanes), true,
            [&](llvm::Value* j) { store(load_vector(at(line[0], j)), at(line[1], j)); });
      // What a last vector writes behind the line is written again, or never read.
      if (k_.target.masked_ops) {
        k_.if_then(b_.CreateICmpSLT(vectors, whole_length), [&] {
          store(load_vector(at(line[0], vectors), mask), at(line[1], vectors));
        });
      }
      count(b_.CreateSelect(contiguous, tail, k_.i64(0)), length, k_.i64(1), true, [&](llvm::Value* j) {
        b_.CreateStore(b_.CreateLoad(element_, at(line[0], b_.CreateMul(j, stride))), at(line[1], j));
      });
      return Values{at(line[0], line_stride), at(line[1], k_.i64(kLeading))};
    });
  });
}

llvm::Function* DotParts::copy_b_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_copy_b", {ptr, i64, i64, i64, ptr, i64}, [&](llvm::Function* f) {
    llvm::Value *k_stride = f->getArg(1), *columns = f->getArg(2), *depth = f->getArg(3), *next_panel = f->getArg(5);
    const Values start{f->getArg(0), f->getArg(4)};
    const int lanes = static_cast<int>(blocking_.lanes);
    llvm::Value *high = k_.i64(lanes), *panel = k_.i64(blocking_.panel());
    const auto copy = [&](llvm::Value* from, llvm::Value* to, llvm::Value* low_mask, llvm::Value* high_mask) {
      store(load_vector(from, low_mask), to);
      store(load_vector(at(from, high), high_mask), at(to, high));
    };
    llvm::Value* whole = b_.CreateAnd(columns, k_.i64(-blocking_.panel()));
    k_.loop(k_.i64(0), depth, k_.i64(1), start, true, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> now) {
      k_.loop(k_.i64(0), whole, panel, {now[1]}, true, [&](llvm::Value* j, llvm::ArrayRef<llvm::Value*> to) {
        copy(at(now[0], j), to[0], nullptr, nullptr);
        return Values{at(to[0], next_panel)};
      });
      return Values{at(now[0], k_stride), at(now[1], panel)};
    });
    k_.if_then(b_.CreateICmpSLT(whole, columns), [&] {
      llvm::Value* rest = b_.CreateSub(columns, whole);
      llvm::Value* low_mask = mask_of_count(b_, rest, lanes);
      llvm::Value* high_mask = mask_of_count(b_, max(b_.CreateSub(rest, high), k_.i64(0)), lanes);
      llvm::Value* before = b_.CreateUDiv(whole, panel);
      const Values last{at(start[0], whole), at(start[1], b_.CreateMul(before, next_panel))};
      k_.loop(k_.i64(0), depth, k_.i64(1), last, true, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> now) {
        copy(now[0], now[1], low_mask, high_mask);
        return Values{at(now[0], k_stride), at(now[1], panel)};
      });
    });
  });
}

llvm::Function* DotParts::transpose_b_function() {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared("dot_transpose_b", {ptr, i64, i64, i64, i64, ptr}, [&](llvm::Function* f) {
    llvm::Value *from = f->getArg(0), *n_stride = f->getArg(1), *k_stride = f->getArg(2);
    llvm::Value *columns = f->getArg(3), *depth = f->getArg(4), *to = f->getArg(5);
    const int64_t width = blocking_.panel();
    k_.if_then(b_.CreateICmpSLT(columns, k_.i64(width)), [&] {
      count(k_.i64(0), b_.CreateMul(depth, k_.i64(width)), k_.i64(blocking_.lanes), true,
            [&](llvm::Value* i) { store(zero_vector(), at(to, i)); });
    });

    // Squares where steps are contiguous, the rest one by one.
    llvm::Value* contiguous = b_.CreateICmpEQ(k_stride, k_.i64(1));
    llvm::Value* square_columns = b_.CreateSelect(contiguous, b_.CreateAnd(columns, k_.i64(-kSquare)), k_.i64(0));
    llvm::Value* square_steps = b_.CreateAnd(depth, k_.i64(-kSquare));
    count(k_.i64(0), square_columns, k_.i64(kSquare), true, [&](llvm::Value* j) {
      k_.loop(k_.i64(0), square_steps, k_.i64(kSquare), {at(from, b_.CreateMul(j, n_stride)), at(to, j)}, true,
              [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> now) {
        transpose_square(now[0], n_stride, now[1]);
        return Values{at(now[0], k_.i64(kSquare)), at(now[1], k_.i64(kSquare * width))};
      });
    });
    count(k_.i64(0), columns, k_.i64(1), false, [&](llvm::Value* j) {
      llvm::Value* start = b_.CreateSelect(b_.CreateICmpSLT(j, square_columns), square_steps, k_.i64(0));
      llvm::Value* column = at(from, b_.CreateMul(j, n_stride));
      k_.loop(start, depth, k_.i64(1), {}, true, [&](llvm::Value* p, llvm::ArrayRef<llvm::Value*>) {
        llvm::Value* value = b_.CreateLoad(element_, at(column, b_.CreateMul(p, k_stride)));
        b_.CreateStore(value, at(to, b_.CreateAdd(b_.CreateMul(p, k_.i64(width)), j)));
        return Values{};
      });
    });
  });
}

/// Columns that are `n_stride` apart become parts of rows that are a panel apart.
void DotParts::transpose_square(llvm::Value* from, llvm::Value* n_stride, llvm::Value* to) {
  llvm::Type* quad = lanes_type(k_.context, blocking_.dtype, kSquare);
  const llvm::Align align(size_of(blocking_.dtype));
  llvm::Value* columns[kSquare];
  for (llvm::Value*& column : columns) {
    column = b_.CreateAlignedLoad(quad, from, align);
    from = at(from, n_stride);
  }
  llvm::Value* low = b_.CreateShuffleVector(columns[0], columns[1], {0, 4, 1, 5, 2, 6, 3, 7});
  llvm::Value* high = b_.CreateShuffleVector(columns[2], columns[3], {0, 4, 1, 5, 2, 6, 3, 7});
  for (int s = 0; s < kSquare; ++s) {
    llvm::Value* row = b_.CreateShuffleVector(low, high, {2 * s, 2 * s + 1, 8 + 2 * s, 8 + 2 * s + 1});
    b_.CreateAlignedStore(row, at(to, k_.i64(s * blocking_.panel())), align);
  }
}

llvm::Function* DotParts::tiles_function(bool narrow) {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  return shared(narrow ? "dot_narrow_tiles" : "dot_tiles", {ptr, i64, i64, ptr, i64, i64, ptr, i64, ptr, i64, i64, i64},
                [&](llvm::Function* f) {
    llvm::Value *a_row = f->getArg(1), *depth = f->getArg(5), *in_row = f->getArg(7), *out_row = f->getArg(9);
    llvm::Value* columns = f->getArg(11);
    const bool masked = narrow && k_.target.masked_ops;
    auto add_bytes = [&](llvm::Value* pointer, llvm::Value* bytes) {
      return b_.CreateGEP(b_.getInt8Ty(), pointer, bytes);
    };
    // Without products there are only zeros.
    llvm::Value* empty = b_.CreateIsNull(depth);
    llvm::Value* mask = masked ? mask_of_count(b_, columns, static_cast<int>(blocking_.lanes)) : nullptr;
    k_.loop(k_.i64(0), b_.CreateSelect(empty, f->getArg(10), k_.i64(0)), k_.i64(1), {f->getArg(8)}, true,
            [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> out) {
      if (mask) {
        b_.CreateMaskedStore(zero_vector(), out[0], align(), mask);
      } else {
        store(zero_vector(), out[0]);
      }
      if (!narrow) store(zero_vector(), at(out[0], b_.CreateSub(columns, k_.i64(blocking_.lanes))));
      return Values{add_bytes(out[0], out_row)};
    });
    llvm::Value* rows = b_.CreateSelect(empty, k_.i64(0), f->getArg(10));

    auto step_by = [&](llvm::Value* from, llvm::Value* to, TileShape shape, const Values& start) {
      llvm::Function* tile = tile_function(module_, *f, blocking_.dtype, blocking_.vector_bytes, shape);
      return k_.loop(from, to, k_.i64(shape.rows), start, true,
                     [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*> now) {
        b_.CreateCall(tile, {now[0], a_row, f->getArg(2), f->getArg(3), f->getArg(4), depth, now[1], in_row, now[2],
                             out_row, b_.CreateSub(rows, i), columns});
        auto next = [&](llvm::Value* pointer, llvm::Value* row) {
          return add_bytes(pointer, b_.CreateMul(row, k_.i64(shape.rows)));
        };
        return Values{next(now[0], a_row), next(now[1], in_row), next(now[2], out_row)};
      });
    };
    const Values start{f->getArg(0), f->getArg(6), f->getArg(8)};
    if (narrow) {
      step_by(k_.i64(0), rows, {kNarrowRows, 1, true, masked}, start);
      return;
    }
    llvm::Value* full_rows = b_.CreateSub(rows, b_.CreateURem(rows, k_.i64(blocking_.tile_rows)));
    const Values rest = step_by(k_.i64(0), full_rows, {blocking_.tile_rows, 2}, start);
    step_by(full_rows, rows, {kRaggedRows, 2, true}, rest);
  });
}

}  // namespace etch::codegen
