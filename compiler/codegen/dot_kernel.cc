// Dot kernels: tiled matrix products with an epilogue.
//
// The result is made in blocks of some rows (see BlockSizes) whose sums stand in the scratch memory, and a block in panels
// as wide as a tile. For some steps of k at a time a panel of b, and where it pays a block of a, is copied to where
// tiles read it best; tiles (dot_parts.h, dot_micro.h) then add its products to the sums. After the last steps the
// epilogue runs over the panel while it is in the cache. The products of one element are added in ascending order of k
// whatever the blocks, so no choice made here changes a bit. The plan of loops is that of Goto and van de Geijn,
// "Anatomy of High-Performance Matrix Multiplication" (2008).
#include <algorithm>
#include <optional>

#include "compiler/codegen/dot_parts.h"
#include "compiler/codegen/emit.h"

namespace etch::codegen {
namespace {

constexpr int64_t kMinRowsToCopyA = 5;          // fewer make one tile, which reads a once
constexpr int64_t kMinColumnsToCopyA = 96;      // narrower results read a too seldom to pay for a copy
constexpr int64_t kMinRowsToCopyB = 25;         // likewise
constexpr int64_t kMinBytesToCopyB = 32 << 10;  // a panel of b within fewer bytes stays in the first cache as it is

/// A matrix in memory: its first element and the bytes from element to element along both axes.
struct Matrix {
  llvm::Value* data;
  llvm::Value* row;   // of a; the columns of b are contiguous
  llvm::Value* step;  // along k
};

/// The part of the result that a block or panel makes: `row` and `column` are its first ones.
struct Part {
  llvm::Value *row, *rows, *column, *columns;
};

/// The steps of k that are being added.
struct Steps {
  llvm::Value* start;
  llvm::Value* depth;
  llvm::Value* first;  // i1: the sums are not there yet
  llvm::Value* last;   // i1: the sums are complete after these
};

class DotEmitter : private DotParts {
 public:
  DotEmitter(const KernelProgram& program, int dot, const CodegenOptions& options, llvm::Module& module,
             const std::string& name)
      : DotParts(program, program.body[dot].dtype, options, module, name),
        dot_(dot),
        dtype_(program.body[dot].dtype),
        m_axis_(program.axis(Role::row)),
        n_axis_(m_axis_ + 1),
        k_axis_(program.rank() - 1),
        a_access_(plain_access(0)),
        b_access_(plain_access(1)),
        single_column_(std::none_of(program.body.begin(), program.body.end(), [&](const Instr& instr) {
          return instr.kind == InstrKind::store && program.accesses[instr.slot].stride != Stride::zero;
        })) {}

  llvm::Function* emit();

 private:
  /// The access of operand 0 (a) or 1 (b) if tiles can read it as it stands in memory.
  std::optional<int> plain_access(int i) const;
  Stride b_stride() const { return k_.program.accesses[*b_access_].stride; }

  llvm::Value* bytes(llvm::Value* elements) { return b_.CreateMul(elements, k_.i64(size_of(blocking_.dtype))); }
  llvm::Value* scratch(int64_t elements) { return k_.scratch(blocking_.bytes(elements)); }

  /// Lanes along `axis` from the origin on; `stride` is that of all accesses, or each access has its own.
  Cursor lanes_along(const Origin& origin, int axis, std::optional<Stride> stride, int64_t width, llvm::Value* mask);
  /// Emits what operand i needs, for the lanes of `at`, and returns it as the sums' dtype.
  llvm::Value* operand_lanes(int i, const Cursor& at);
  void emit_operands(int instr, const Cursor& at, std::vector<llvm::Value*>& values);
  void collect_loads(int instr, std::vector<int>& accesses) const;
  void compute_a(const Origin& origin, const Part& part, const Steps& steps);
  void compute_b(const Origin& origin, const Part& part, const Steps& steps);

  void segment(const Origin& origin, llvm::Value* from, llvm::Value* to);
  void block(const Origin& origin, const Part& part);
  /// Adds the steps of one piece of k; `is_first` and `is_last` say whether it is the first one and the last one.
  void block_of_steps(const Origin& origin, const Part& part, llvm::Value* is_first, llvm::Value* is_last);
  Matrix block_of_a(const Origin& origin, const Part& part, const Steps& steps);
  Matrix panel_of_b(const Origin& origin, const Part& part, const Steps& steps);
  llvm::Value* plain_b(const Origin& origin, const Part& part, const Steps& steps);
  void tiles(const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part, const Steps& steps);
  void single_row(const Matrix& a, const Origin& origin, llvm::Value* sums, const Part& part, const Steps& steps);
  void epilogue(const Origin& origin, llvm::Value* sums, const Part& part);
  void epilogue_rows(const Origin& origin, llvm::Value* sums, llvm::Value* rows, int64_t width, llvm::Value* mask);

  const int dot_;
  const DType dtype_;
  const int m_axis_, n_axis_, k_axis_;
  const std::optional<int> a_access_, b_access_;
  const bool single_column_;             // n is 1 whatever the sizes: no store moves along it
  std::vector<llvm::Value*> constants_;  // values that are the same in the whole kernel
  llvm::Value* zeros_ = nullptr;
  llvm::Value* sums_ = nullptr;
  llvm::Value* a_copy_ = nullptr;
  llvm::Value* b_copy_ = nullptr;
};

std::optional<int> DotEmitter::plain_access(int i) const {
  const Instr& instr = k_.program.body[k_.program.body[dot_].args[i]];
  if (instr.kind != InstrKind::load || blocking_.dtype != instr.dtype) return std::nullopt;
  if (k_.program.accesses[instr.slot].dtype != instr.dtype) return std::nullopt;
  return instr.slot;
}

// The kernel: batch, blocks of columns, blocks of rows, blocks of steps, panels.

llvm::Function* DotEmitter::emit() {
  zeros_ = scratch(blocking_.wide());
  sums_ = scratch(blocking_.rows * blocking_.columns);
  a_copy_ = scratch(kMaxDepth * kLeading);
  b_copy_ = scratch(blocking_.depth * blocking_.panel());
  for (int i = 0; i < kWideVectors; ++i) {
    store(zero_vector(), at(zeros_, k_.i64(i * blocking_.lanes)));
  }

  const Origin base = k_.origin();
  constants_.resize(k_.program.body.size());
  const std::vector<Level> levels = levels_of(k_.program);
  const Cursor nowhere = lanes_along(base, n_axis_, Stride::zero, 1, nullptr);
  for (size_t i = 0; i < constants_.size(); ++i) {
    if (levels[i] == Level::kernel) k_.emit(i, nowhere, constants_);
  }

  if (m_axis_ == 0) {
    segment(base, k_.begin(), k_.end());
    return k_.finish();
  }
  llvm::Value* m = k_.extent(m_axis_);
  llvm::Value* last = b_.CreateUDiv(b_.CreateAdd(k_.end(), b_.CreateSub(m, k_.i64(1))), m);
  k_.walk(b_.CreateUDiv(k_.begin(), m), last, m_axis_, [&](const Origin& origin) {
    llvm::Value* start = b_.CreateMul(origin.row, m);
    llvm::Value* from = max(b_.CreateSub(k_.begin(), start), k_.i64(0));
    segment(origin, from, min(b_.CreateSub(k_.end(), start), m));
  });
  return k_.finish();
}

/// Rows from .. to of one matrix of the batch.
void DotEmitter::segment(const Origin& origin, llvm::Value* from, llvm::Value* to) {
  llvm::Value* n = k_.extent(n_axis_);
  count(k_.i64(0), n, k_.i64(blocking_.columns), true, [&](llvm::Value* column) {
    llvm::Value* columns = min(b_.CreateSub(n, column), k_.i64(blocking_.columns));
    count(from, to, k_.i64(blocking_.rows), false, [&](llvm::Value* row) {
      block(origin, {row, min(b_.CreateSub(to, row), k_.i64(blocking_.rows)), column, columns});
    });
  });
}

/// A block of the result, from a first to a last block of steps. Steps along the last axis are those of a block; where k is
/// several axes, the others are walked around it.
void DotEmitter::block(const Origin& origin, const Part& part) {
  if (k_axis_ == n_axis_ + 1) return block_of_steps(origin, part, b_.getTrue(), b_.getTrue());
  llvm::Value* pieces = k_.i64(1);
  for (int axis = n_axis_ + 1; axis < k_axis_; ++axis) pieces = b_.CreateMul(pieces, k_.extent(axis));
  count(k_.i64(0), pieces, k_.i64(1), false, [&](llvm::Value* piece) {
    Origin at = origin;
    llvm::Value* rest = piece;
    for (int axis = k_axis_ - 1; axis > n_axis_ + 1; --axis) {
      at = k_.move(at, axis, b_.CreateURem(rest, k_.extent(axis)));
      rest = b_.CreateUDiv(rest, k_.extent(axis));
    }
    at = k_.move(at, n_axis_ + 1, rest);
    llvm::Value* is_last = b_.CreateICmpEQ(b_.CreateAdd(piece, k_.i64(1)), pieces);
    block_of_steps(at, part, b_.CreateIsNull(piece), is_last);
  });
}

void DotEmitter::block_of_steps(const Origin& origin, const Part& part, llvm::Value* is_first, llvm::Value* is_last) {
  llvm::Value* k = k_.extent(k_axis_);
  llvm::Value* single = nullptr;
  const bool wide_tiles = b_access_ && b_stride() == Stride::one;
  if (a_access_ && b_access_ && b_stride() != Stride::zero && !single_column_) {
    single = b_.CreateAnd(b_.CreateICmpEQ(part.rows, k_.i64(1)), b_.CreateICmpSGT(k, k_.i64(0)));
  }
  // Sums of one panel suffice if its steps are all added at once.
  llvm::Value* at_once = b_.CreateAnd(b_.CreateAnd(is_first, is_last), b_.CreateICmpSLE(k, k_.i64(blocking_.depth)));
  llvm::Value* sums_per_column = b_.CreateSelect(at_once, k_.i64(0), k_.i64(blocking_.rows));

  // At least once: without products the sums are 0.
  count(k_.i64(0), k, k_.i64(blocking_.depth), false, [&](llvm::Value* start) {
    llvm::Value* left = b_.CreateSub(k, start);
    llvm::Value* depth = min(left, k_.i64(blocking_.depth));
    const Steps steps{start, depth, b_.CreateAnd(is_first, b_.CreateIsNull(start)),
                      b_.CreateAnd(is_last, b_.CreateICmpEQ(depth, left))};
    const Matrix a = block_of_a(origin, part, steps);

    auto* head = llvm::BasicBlock::Create(k_.context, "panel", k_.function);
    auto* done = llvm::BasicBlock::Create(k_.context, "panels_done", k_.function);
    llvm::BasicBlock* before = b_.GetInsertBlock();
    b_.CreateBr(head);
    b_.SetInsertPoint(head);
    llvm::PHINode* j = b_.CreatePHI(b_.getInt64Ty(), 2);
    j->addIncoming(k_.i64(0), before);
    llvm::Value* rest = b_.CreateSub(part.columns, j);
    llvm::Value* sums = at(sums_, b_.CreateMul(j, sums_per_column));
    llvm::Value* width = k_.i64(blocking_.panel());
    llvm::Value* as_single = single;
    if (single && wide_tiles) {
      as_single = b_.CreateAnd(single, b_.CreateICmpSGE(rest, k_.i64(blocking_.wide())));
      width = b_.CreateSelect(as_single, k_.i64(blocking_.wide()), width);
    }
    const Part panel{part.row, part.rows, b_.CreateAdd(part.column, j), min(rest, width)};
    auto many = [&] { tiles(a, panel_of_b(origin, panel, steps), sums, panel, steps); };
    if (single) {
      k_.if_then(as_single, [&] { single_row(a, origin, sums, panel, steps); });
      k_.if_then(b_.CreateNot(as_single), many);
    } else {
      many();
    }
    k_.if_then(steps.last, [&] { epilogue(origin, sums, panel); });
    llvm::Value* next = b_.CreateAdd(j, width);
    j->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, part.columns), head, done);
    done->moveAfter(b_.GetInsertBlock());
    b_.SetInsertPoint(done);
  });
}

/// The rows of a for some steps, in memory that tiles can read.
Matrix DotEmitter::block_of_a(const Origin& origin, const Part& part, const Steps& steps) {
  llvm::Value* unit = k_.i64(blocking_.bytes(1));
  llvm::Value* leading = k_.i64(blocking_.bytes(kLeading));
  if (!a_access_) {
    compute_a(origin, part, steps);
    return {a_copy_, leading, unit};
  }
  llvm::Value* m_stride = k_.access_stride(*a_access_, m_axis_);
  llvm::Value* k_stride = k_.access_stride(*a_access_, k_axis_);
  llvm::Value* data = at(origin.accesses[*a_access_],
                         b_.CreateAdd(b_.CreateMul(part.row, m_stride), b_.CreateMul(steps.start, k_stride)));
  llvm::Value* copy = b_.CreateAnd(b_.CreateICmpSGE(part.columns, k_.i64(kMinColumnsToCopyA)),
                                   b_.CreateICmpSGE(part.rows, k_.i64(kMinRowsToCopyA)));
  llvm::Value* by_k = b_.CreateICmpEQ(k_stride, k_.i64(1));
  k_.if_then(copy, [&] {
    // Row by row, or step by step unless steps are contiguous.
    b_.CreateCall(copy_a_function(),
                  {data, b_.CreateSelect(by_k, m_stride, k_stride), b_.CreateSelect(by_k, k_stride, m_stride),
                   b_.CreateSelect(by_k, part.rows, steps.depth), b_.CreateSelect(by_k, steps.depth, part.rows),
                   a_copy_});
  });
  return {b_.CreateSelect(copy, a_copy_, data),
          b_.CreateSelect(copy, b_.CreateSelect(by_k, leading, unit), bytes(m_stride)),
          b_.CreateSelect(copy, b_.CreateSelect(by_k, unit, leading), bytes(k_stride))};
}

/// The first element of b that a panel reads.
llvm::Value* DotEmitter::plain_b(const Origin& origin, const Part& part, const Steps& steps) {
  llvm::Value* step = b_.CreateMul(steps.start, k_.access_stride(*b_access_, k_axis_));
  llvm::Value* first = at(origin.accesses[*b_access_], step);
  if (b_stride() == Stride::zero) return first;
  const bool one = b_stride() == Stride::one;
  return at(first, one ? part.column : b_.CreateMul(part.column, k_.access_stride(*b_access_, n_axis_)));
}

/// The columns of b for some steps. In a copy, columns past the last one hold what the tile may add up.
Matrix DotEmitter::panel_of_b(const Origin& origin, const Part& part, const Steps& steps) {
  const Matrix copied{b_copy_, nullptr, k_.i64(blocking_.bytes(blocking_.panel()))};
  if (b_access_ && single_column_) {
    return {plain_b(origin, part, steps), nullptr, bytes(k_.access_stride(*b_access_, k_axis_))};
  }
  if (!b_access_ || b_stride() == Stride::zero) {
    compute_b(origin, part, steps);
    return copied;
  }
  llvm::Value* data = plain_b(origin, part, steps);
  llvm::Value* k_stride = k_.access_stride(*b_access_, k_axis_);
  if (b_stride() == Stride::other) {
    b_.CreateCall(transpose_b_function(),
                  {data, k_.access_stride(*b_access_, n_axis_), k_stride, part.columns, steps.depth, b_copy_});
    return copied;
  }
  llvm::Value* step = bytes(k_stride);
  llvm::Value* far = b_.CreateICmpSGE(b_.CreateMul(step, steps.depth), k_.i64(kMinBytesToCopyB));
  llvm::Value* pays = b_.CreateAnd(far, b_.CreateICmpSGE(part.rows, k_.i64(kMinRowsToCopyB)));
  llvm::Value* copy = b_.CreateOr(pays, b_.CreateICmpSLT(part.columns, k_.i64(blocking_.panel())));
  k_.if_then(copy, [&] { b_.CreateCall(copy_b_function(), {data, k_stride, part.columns, steps.depth, b_copy_}); });
  return {b_.CreateSelect(copy, b_copy_, data), nullptr, b_.CreateSelect(copy, copied.step, step)};
}

/// Adds the products of some steps to the sums of a panel.
void DotEmitter::tiles(const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part, const Steps& steps) {
  llvm::Value* row = k_.i64(blocking_.bytes(blocking_.panel()));
  b_.CreateCall(tiles_function(single_column_),
                {a.data, a.row, a.step, b.data, b.step, steps.depth, b_.CreateSelect(steps.first, zeros_, sums),
                 b_.CreateSelect(steps.first, k_.i64(0), row), sums, row, part.rows});
}

/// The same for a single row, which reads b as it stands: in wide tiles if its columns are contiguous, else its columns
/// take the part of the rows of a, and single elements that of vectors.
void DotEmitter::single_row(const Matrix& a, const Origin& origin, llvm::Value* sums, const Part& part,
                            const Steps& steps) {
  llvm::Value* data = plain_b(origin, part, steps);
  llvm::Value* step = bytes(k_.access_stride(*b_access_, k_axis_));
  llvm::Value* in = b_.CreateSelect(steps.first, zeros_, sums);
  if (b_stride() == Stride::one) {
    const TileShape shape{1, kWideVectors};
    llvm::Function* tile = tile_function(module_, *k_.function, blocking_.dtype, blocking_.vector_bytes, shape);
    llvm::Value* none = k_.i64(0);
    b_.CreateCall(tile, {a.data, none, a.step, data, step, steps.depth, in, none, sums, none, k_.i64(1)});
    return;
  }
  llvm::Value* element = k_.i64(blocking_.bytes(1));
  b_.CreateCall(tiles_function(true), {data, bytes(k_.access_stride(*b_access_, n_axis_)), step, a.data, a.step,
                                       steps.depth, in, b_.CreateSelect(steps.first, k_.i64(0), element), sums,
                                       element, part.columns});
}

// The epilogue.

/// The instructions on the finished sums of a panel.
void DotEmitter::epilogue(const Origin& origin, llvm::Value* sums, const Part& part) {
  const Origin rows = k_.move(origin, m_axis_, part.row);
  if (single_column_) return epilogue_rows(rows, sums, part.rows, 1, nullptr);
  const int64_t width = std::min<int64_t>(lanes_of(k_.program, k_.target), blocking_.panel());
  count(k_.i64(0), part.columns, k_.i64(width), false, [&](llvm::Value* j) {
    const Origin first_row = k_.move(rows, n_axis_, b_.CreateAdd(part.column, j));
    llvm::Value* column_sums = at(sums, j);
    llvm::Value* left = b_.CreateSub(part.columns, j);
    llvm::Value* mask = mask_of_count(b_, left, static_cast<int>(width));
    if (k_.target.masked_ops) return epilogue_rows(first_row, column_sums, part.rows, width, mask);
    llvm::Value* full = b_.CreateICmpSGE(left, k_.i64(width));
    k_.if_then(full, [&] { epilogue_rows(first_row, column_sums, part.rows, width, nullptr); });
    k_.if_then(b_.CreateNot(full), [&] { epilogue_rows(first_row, column_sums, part.rows, width, mask); });
  });
}

/// One vector of each row.
void DotEmitter::epilogue_rows(const Origin& first, llvm::Value* sums, llvm::Value* rows, int64_t width,
                               llvm::Value* mask) {
  Values initial{sums};
  initial.append(first.accesses.begin(), first.accesses.end());
  initial.append(first.indices.begin(), first.indices.end());
  std::vector<llvm::Value*> constants = constants_;
  for (const Instr& instr : k_.program.body) {
    if (instr.stage == 0) continue;
    for (int arg : instr.args) {
      if (constants[arg]) constants[arg] = splat(b_, constants[arg], static_cast<int>(width));
    }
  }
  k_.loop(k_.i64(0), rows, k_.i64(1), initial, false, [&](llvm::Value*, llvm::ArrayRef<llvm::Value*> now) {
    Origin row = first;
    auto next_of = now.begin();
    llvm::Value* row_sums = *next_of++;
    Values next{at(row_sums, k_.i64(blocking_.panel()))};
    for (size_t a = 0; a < row.accesses.size(); ++a) {
      row.accesses[a] = *next_of++;
      next.push_back(k_.advance(a, row.accesses[a], k_.access_stride(a, m_axis_)));
    }
    for (size_t i = 0; i < row.indices.size(); ++i) {
      row.indices[i] = *next_of++;
      next.push_back(b_.CreateAdd(row.indices[i], k_.index_stride(i, m_axis_)));
    }
    const Cursor lanes = lanes_along(row, n_axis_, std::nullopt, width, mask);
    std::vector<llvm::Value*> values = constants;
    llvm::Type* type = lanes_type(k_.context, blocking_.dtype, static_cast<int>(width));
    llvm::Value* sum = b_.CreateAlignedLoad(type, row_sums, llvm::Align(size_of(blocking_.dtype)));
    values[dot_] = b_.CreateTrunc(sum, lanes_type(k_.context, dtype_, static_cast<int>(width)));
    for (size_t n = 0; n < values.size(); ++n) {
      if (k_.program.body[n].stage > 0) k_.emit(n, lanes, values);
    }
    return next;
  });
}

// Operands that are computed where they are needed.

Cursor DotEmitter::lanes_along(const Origin& origin, int axis, std::optional<Stride> stride, int64_t width,
                               llvm::Value* mask) {
  Cursor at;
  at.width = static_cast<int>(width);
  at.mask = {mask, nullptr};
  for (size_t a = 0; a < k_.program.accesses.size(); ++a) {
    const Access& access = k_.program.accesses[a];
    Place place{origin.accesses[a], access.uniform ? Stride::zero : stride.value_or(access.stride), nullptr};
    if (place.stride == Stride::other) place.step = k_.access_stride(a, axis);
    at.accesses.push_back(place);
  }
  for (size_t i = 0; i < k_.program.indices.size(); ++i) {
    at.indices.push_back({origin.indices[i], Stride::other, k_.index_stride(i, axis)});
  }
  return at;
}

void DotEmitter::emit_operands(int instr, const Cursor& at, std::vector<llvm::Value*>& values) {
  for (int arg : k_.program.body[instr].args) {
    if (!values[arg]) emit_operands(arg, at, values);
  }
  k_.emit(instr, at, values);
}

llvm::Value* DotEmitter::operand_lanes(int i, const Cursor& at) {
  std::vector<llvm::Value*> values = constants_;
  const int instr = k_.program.body[dot_].args[i];
  emit_operands(instr, at, values);
  llvm::Value* value = splat(b_, values[instr], at.width);
  if (is_floating(dtype_)) return value;
  return b_.CreateIntCast(value, value->getType()->getWithNewType(element_), is_signed_integer(dtype_));
}

void DotEmitter::collect_loads(int instr, std::vector<int>& accesses) const {
  const Instr& it = k_.program.body[instr];
  if (it.kind == InstrKind::load && !k_.program.accesses[it.slot].uniform) accesses.push_back(it.slot);
  for (int arg : it.args) collect_loads(arg, accesses);
}

/// Computes the rows of a, vectors along k: contiguous ones if all loads are, else gathered.
void DotEmitter::compute_a(const Origin& origin, const Part& part, const Steps& steps) {
  std::vector<int> accesses;
  collect_loads(k_.program.body[dot_].args[0], accesses);
  llvm::Value* contiguous = b_.getTrue();
  for (int a : accesses) {
    contiguous = b_.CreateAnd(contiguous, b_.CreateICmpEQ(k_.access_stride(a, k_axis_), k_.i64(1)));
  }
  const Origin corner = k_.move(k_.move(origin, m_axis_, part.row), k_axis_, steps.start);
  auto rows = [&](Stride stride) {
    count(k_.i64(0), part.rows, k_.i64(1), false, [&](llvm::Value* i) {
      const Origin row = k_.move(corner, m_axis_, i);
      llvm::Value* to = at(a_copy_, b_.CreateMul(i, k_.i64(kLeading)));
      k_.vector_loop(k_.i64(0), steps.depth, static_cast<int>(blocking_.lanes), {}, true, k_.target.masked_ops,
                     [&](llvm::Value* p, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
        const Cursor lanes = lanes_along(k_.move(row, k_axis_, p), k_axis_, stride, blocking_.lanes, mask.lanes);
        store(operand_lanes(0, lanes), at(to, p));
        return Values{};
      });
    });
  };
  k_.if_then(contiguous, [&] { rows(Stride::one); });
  k_.if_then(b_.CreateNot(contiguous), [&] { rows(Stride::other); });
}

/// Computes a panel of b; columns past the last are computed from zeros and not used.
void DotEmitter::compute_b(const Origin& origin, const Part& part, const Steps& steps) {
  const Origin corner = k_.move(k_.move(origin, n_axis_, part.column), k_axis_, steps.start);
  const int64_t width = blocking_.panel();
  auto rows = [&](llvm::Value* mask) {
    count(k_.i64(0), steps.depth, k_.i64(1), true, [&](llvm::Value* p) {
      const Cursor lanes = lanes_along(k_.move(corner, k_axis_, p), n_axis_, std::nullopt, width, mask);
      store(operand_lanes(1, lanes), at(b_copy_, b_.CreateMul(p, k_.i64(width))));
    });
  };
  llvm::Value* mask = mask_of_count(b_, part.columns, static_cast<int>(width));
  if (k_.target.masked_ops) return rows(mask);
  llvm::Value* full = b_.CreateICmpEQ(part.columns, k_.i64(width));
  k_.if_then(full, [&] { rows(nullptr); });
  k_.if_then(b_.CreateNot(full), [&] { rows(mask); });
}

}  // namespace

llvm::Function* emit_dot_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                const std::string& name) {
  auto is_dot = [](const Instr& instr) { return instr.kind == InstrKind::dot; };
  auto dot = std::find_if(program.body.begin(), program.body.end(), is_dot);
  return DotEmitter(program, static_cast<int>(dot - program.body.begin()), options, module, name).emit();
}

}  // namespace etch::codegen
