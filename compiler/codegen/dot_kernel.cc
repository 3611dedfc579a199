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
constexpr int64_t kMinRowsToCopyB = 2;          // likewise
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
  DotEmitter(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module, const std::string& name)
      : DotParts(program, options, module, name),
        a_access_(plain_access(0)),
        b_access_(plain_access(1)) {}

  llvm::Function* emit();

 private:
  Stride b_stride() const { return k_.program.accesses[*b_access_].stride; }

  llvm::Value* div_up(llvm::Value* x, llvm::Value* y) {
    return b_.CreateUDiv(b_.CreateAdd(x, b_.CreateSub(y, k_.i64(1))), y);
  }
  llvm::Value* bytes(llvm::Value* elements) { return b_.CreateMul(elements, k_.i64(size_of(blocking_.dtype))); }
  llvm::Value* scratch(int64_t elements) { return k_.scratch(blocking_.bytes(elements)); }

  void collect_loads(int instr, std::vector<int>& accesses) const;
  void compute_a(const Origin& origin, const Part& part, const Steps& steps);
  void compute_b(const Origin& origin, const Part& part, const Steps& steps);

  void segment(const Origin& origin, const Part& part);
  void block(const Origin& origin, const Part& part);
  /// Adds the steps of one piece of k; `is_first` and `is_last` say whether it is the first one and the last one.
  void block_of_steps(const Origin& origin, const Part& part, llvm::Value* is_first, llvm::Value* is_last);
  Matrix block_of_a(const Origin& origin, const Part& part, const Steps& steps);
  /// Elements from one panel of a copied block of b to the next: a little more than a panel has, so that they fall into
  /// different sets.
  int64_t panel_elements() const { return (blocking_.depth + 2) * blocking_.panel(); }
  llvm::Value* copy_block_of_b(const Origin& origin, const Part& part, const Steps& steps);
  Matrix panel_of_b(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* is_copied,
                    llvm::Value* panel_copy);
  llvm::Value* plain_b(const Origin& origin, const Part& part, const Steps& steps);
  void tiles(const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part, const Steps& steps);
  void epilogue(const Origin& origin, llvm::Value* sums, const Part& part);
  void epilogue_rows(const Origin& origin, llvm::Value* sums, llvm::Value* rows, int64_t width, llvm::Value* mask);

  const std::optional<int> a_access_, b_access_;
  llvm::Value* zeros_ = nullptr;
  llvm::Value* sums_ = nullptr;
  llvm::Value* a_copy_ = nullptr;
  llvm::Value* b_copy_ = nullptr;
};

// The kernel: batch, blocks of columns, blocks of rows, blocks of steps, panels.

llvm::Function* DotEmitter::emit() {
  zeros_ = scratch(blocking_.panel());
  sums_ = scratch(blocking_.rows * blocking_.columns);
  a_copy_ = scratch(kMaxDepth * kLeading);
  b_copy_ = scratch(blocking_.columns / blocking_.panel() * panel_elements());
  for (int i = 0; i < 2; ++i) store(zero_vector(), at(zeros_, k_.i64(i * blocking_.lanes)));

  emit_constants();

  // The rows are walked once for each piece of the columns.
  llvm::Value *m = k_.extent(m_axis_), *n = k_.extent(n_axis_), *width = k_.size(k_.layout.columns());
  llvm::Value* pieces = div_up(n, width);
  llvm::Value *first = b_.CreateUDiv(k_.begin(), m), *last = div_up(k_.end(), m);
  k_.walk(b_.CreateUDiv(first, pieces), div_up(last, pieces), m_axis_, [&](const Origin& origin) {
    llvm::Value* start = b_.CreateMul(origin.row, pieces);
    llvm::Value* from = max(b_.CreateSub(first, start), k_.i64(0));
    count(from, min(b_.CreateSub(last, start), pieces), k_.i64(1), false, [&](llvm::Value* piece) {
      llvm::Value* before = b_.CreateMul(b_.CreateAdd(start, piece), m);
      llvm::Value* row = max(b_.CreateSub(k_.begin(), before), k_.i64(0));
      llvm::Value* end = min(b_.CreateSub(k_.end(), before), m);
      llvm::Value* column = b_.CreateMul(piece, width);
      segment(origin, {row, b_.CreateSub(end, row), column, min(b_.CreateSub(n, column), width)});
    });
  });
  return k_.finish();
}

/// Some rows and columns of one matrix of the batch.
void DotEmitter::segment(const Origin& origin, const Part& part) {
  llvm::Value *right = b_.CreateAdd(part.column, part.columns), *end = b_.CreateAdd(part.row, part.rows);
  // Blocks of about the same size, of whole tiles.
  llvm::Value* blocks = div_up(part.rows, k_.i64(blocking_.rows));
  llvm::Value* tile_rows = k_.i64(blocking_.tile_rows);
  llvm::Value* rows = b_.CreateMul(div_up(div_up(part.rows, blocks), tile_rows), tile_rows);
  count(part.column, right, k_.i64(blocking_.columns), false, [&](llvm::Value* column) {
    llvm::Value* columns = min(b_.CreateSub(right, column), k_.i64(blocking_.columns));
    count(part.row, end, rows, false, [&](llvm::Value* row) {
      block(origin, {row, min(b_.CreateSub(end, row), rows), column, columns});
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
    llvm::Value* copied = copy_block_of_b(origin, part, steps);
    count(k_.i64(0), part.columns, k_.i64(blocking_.panel()), false, [&](llvm::Value* j) {
      llvm::Value* sums = at(sums_, b_.CreateMul(j, sums_per_column));
      llvm::Value* columns = min(b_.CreateSub(part.columns, j), k_.i64(blocking_.panel()));
      const Part panel{part.row, part.rows, b_.CreateAdd(part.column, j), columns};
      llvm::Value* before = b_.CreateUDiv(j, k_.i64(blocking_.panel()));
      llvm::Value* place = b_.CreateSelect(copied, b_.CreateMul(before, k_.i64(panel_elements())), k_.i64(0));
      tiles(a, panel_of_b(origin, panel, steps, copied, at(b_copy_, place)), sums, panel, steps);
      k_.if_then(steps.last, [&] { epilogue(origin, sums, panel); });
    });
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
  const bool one = b_stride() == Stride::one;
  return at(first, one ? part.column : b_.CreateMul(part.column, k_.access_stride(*b_access_, n_axis_)));
}

/// Copies all panels of b for some steps, row after row, if that pays; i1, whether it does.
llvm::Value* DotEmitter::copy_block_of_b(const Origin& origin, const Part& part, const Steps& steps) {
  if (!b_access_ || b_stride() != Stride::one) return b_.getFalse();
  llvm::Value* k_stride = k_.access_stride(*b_access_, k_axis_);
  llvm::Value* far = b_.CreateICmpSGE(b_.CreateMul(bytes(k_stride), steps.depth), k_.i64(kMinBytesToCopyB));
  llvm::Value* pays = b_.CreateAnd(far, b_.CreateICmpSGE(part.rows, k_.i64(kMinRowsToCopyB)));
  k_.if_then(pays, [&] {
    b_.CreateCall(copy_b_function(), {plain_b(origin, part, steps), k_stride, part.columns, steps.depth, b_copy_,
                                      k_.i64(panel_elements())});
  });
  return pays;
}

/// The columns of b for some steps. In a copy, columns past the last one hold what the tile may add up.
Matrix DotEmitter::panel_of_b(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* is_copied,
                              llvm::Value* panel_copy) {
  const Matrix copied{panel_copy, nullptr, k_.i64(blocking_.bytes(blocking_.panel()))};
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
  llvm::Value* ends = b_.CreateICmpSLT(part.columns, k_.i64(blocking_.panel()));
  k_.if_then(b_.CreateAnd(ends, b_.CreateNot(is_copied)), [&] {
    b_.CreateCall(copy_b_function(), {data, k_stride, part.columns, steps.depth, panel_copy, k_.i64(0)});
  });
  llvm::Value* copy = b_.CreateOr(ends, is_copied);
  return {b_.CreateSelect(copy, panel_copy, data), nullptr, b_.CreateSelect(copy, copied.step, bytes(k_stride))};
}

/// Adds the products of some steps to the sums of a panel.
void DotEmitter::tiles(const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part, const Steps& steps) {
  llvm::Value* row = k_.i64(blocking_.bytes(blocking_.panel()));
  const auto call = [&](bool narrow) {
    b_.CreateCall(tiles_function(narrow),
                  {a.data, a.row, a.step, b.data, b.step, steps.depth, b_.CreateSelect(steps.first, zeros_, sums),
                   b_.CreateSelect(steps.first, k_.i64(0), row), sums, row, part.rows});
  };
  llvm::Value* narrow = b_.CreateICmpSLE(part.columns, k_.i64(blocking_.lanes));
  k_.if_then(narrow, [&] { call(true); });
  k_.if_then(b_.CreateNot(narrow), [&] { call(false); });
}

// The epilogue.

/// The instructions on the finished sums of a panel.
void DotEmitter::epilogue(const Origin& origin, llvm::Value* sums, const Part& part) {
  const Origin rows = k_.move(origin, m_axis_, part.row);
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
  return DotEmitter(program, options, module, name).emit();
}

}  // namespace etch::codegen
