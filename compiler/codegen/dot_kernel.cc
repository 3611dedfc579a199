// Dot kernels: tiled matrix products with an epilogue.
//
// The result is made in blocks of some rows (see BlockSizes) whose sums stand in the scratch memory, and a block in panels
// as wide as a tile. For some steps of k at a time a block of b and one of a are copied, where it pays, to where tiles read
// them best: b row after row, for memory is read fastest in long stretches, and once for all rows. Tiles
// (runtime/product_loops.h) then add the products to the sums. After the last steps the epilogue runs over the panel while it
// is in the cache. Rows, and steps, may be several axes: such operands lie in pieces, which copies put together, or tiles walk
// where they lie. The products of one element are added in ascending order of k whatever the blocks, so no choice made here
// changes a bit. The plan of loops is that of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
#include <algorithm>

#include "compiler/codegen/dot_emitter.h"
#include "compiler/schedule/kernel_work.h"

namespace etch::codegen {
namespace {

constexpr int64_t kNarrowDepth = 4096;  // steps of a narrow b, which stay in the second cache

}  // namespace

llvm::Function* DotEmitter::emit() {
  if (only_calls()) {
    // To optimise the way to what takes the time would take LLVM three times as long as to write it down.
    k_.function->addFnAttr(llvm::Attribute::OptimizeNone);
    k_.function->addFnAttr(llvm::Attribute::NoInline);
  }
  sums_ = scratch(blocking_.rows * blocking_.columns);
  a_copy_ = scratch(kProductDepth * kProductLeading);
  if (is_turned_) turned_lines_ = scratch(blocking_.panel() * kProductLeading);
  // Last, since further blocks lie behind it. See kept_bytes().
  b_copy_ = scratch(blocking_.copied_steps() * blocking_.columns);

  const size_t behind_errors = k_.program.accesses.size() + (k_.program.num_checks > 0 ? 1 : 0);
  llvm::Value* slot = b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), k_.function->getArg(0), behind_errors);
  pack_ = b_.CreateLoad(b_.getPtrTy(), slot, "pack");
  is_packed_ = takes_pack() ? b_.CreateIsNotNull(pack_) : b_.getFalse();
  emit_constants();
  emit_seen();

  llvm::Value* m = extents(first_row_axis_, n_axis_);
  llvm::Value *first = b_.CreateUDiv(k_.begin(), m), *last = div_up(k_.end(), m);
  llvm::Value* whole = b_.CreateAnd(b_.CreateICmpEQ(b_.CreateMul(first, m), k_.begin()),
                                    b_.CreateICmpEQ(b_.CreateMul(last, m), k_.end()));
  plan_blocks(m);
  llvm::Value* small = are_small();
  if (!small) {
    segments(first, last, m, whole);
    return k_.finish();
  }
  small = b_.CreateAnd(small, whole);
  k_.if_then(small, [&] { batch(first, last); });
  k_.if_then(b_.CreateNot(small), [&] { segments(first, last, m, whole); });
  return k_.finish();
}

/// i1: the matrices of a batch are so small that the way to their tiles would take longer than these, and none is cut into
/// columns. Null where operands or the result are not plain, or there is no batch.
llvm::Value* DotEmitter::are_small() {
  const bool plain = a_access_ && b_access_ && b_stride() == Stride::one && result_ && !seen_ && !has_pieces_of_k();
  if (!plain || first_row_axis_ == 0) return nullptr;
  llvm::Value* most_columns = min(k_.size(k_.layout.columns()), k_.i64(blocking_.panel()));
  llvm::Value* small = b_.CreateAnd(b_.CreateICmpSLE(k_.extent(n_axis_), most_columns),
                                    b_.CreateICmpSLE(k_.extent(k_axis_), k_.i64(blocking_.depth)));
  return b_.CreateAnd(small, b_.CreateNot(is_packed_));
}

/// The matrices from first to last, by one call for those along the last axis of the batch.
void DotEmitter::batch(llvm::Value* first, llvm::Value* last) {
  const int axis = first_row_axis_ - 1;
  llvm::Value* inner = k_.extent(axis);
  k_.walk(b_.CreateUDiv(first, inner), div_up(last, inner), axis, [&](const Origin& origin) {
    llvm::Value* start = b_.CreateMul(origin.row, inner);
    llvm::Value* from = max(b_.CreateSub(first, start), k_.i64(0));
    llvm::Value* count = b_.CreateSub(min(b_.CreateSub(last, start), inner), from);
    const Origin at = k_.move(origin, axis, from);
    const auto step = [&](int access, int along) { return bytes(k_.access_stride(access, along)); };
    const int a = *a_access_, b = *b_access_, out = *result_;
    call_loop("batch", {at.accesses[a], step(a, axis), step(a, m_axis_), step(a, k_axis_), at.accesses[b], step(b, axis),
                        step(b, k_axis_), k_.extent(k_axis_), at.accesses[out], step(out, axis), step(out, m_axis_), count,
                        k_.extent(m_axis_), k_.extent(n_axis_)});
  });
}

/// The blocks of the matrices from first to last, of which the kernel makes all rows if they are `whole`. The rows are walked once
/// for each piece of the columns, or for all of them together where none is made in part.
void DotEmitter::segments(llvm::Value* first, llvm::Value* last, llvm::Value* m, llvm::Value* whole) {
  llvm::Value *n = k_.extent(n_axis_), *width = k_.size(k_.layout.columns());
  llvm::Value* pieces = div_up(n, width);
  k_.walk(b_.CreateUDiv(first, pieces), div_up(last, pieces), first_row_axis_, [&](const Origin& origin) {
    llvm::Value* start = b_.CreateMul(origin.row, pieces);
    llvm::Value* from = max(b_.CreateSub(first, start), k_.i64(0));
    llvm::Value* to = min(b_.CreateSub(last, start), pieces);
    llvm::Value* together = b_.CreateSelect(whole, b_.CreateSub(to, from), k_.i64(1));
    count(from, to, together, false, [&](llvm::Value* piece) {
      llvm::Value* before = b_.CreateMul(b_.CreateAdd(start, piece), m);
      llvm::Value* row = max(b_.CreateSub(k_.begin(), before), k_.i64(0));
      llvm::Value* end = min(b_.CreateSub(k_.end(), before), m);
      llvm::Value* column = b_.CreateMul(piece, width);
      llvm::Value* columns = min(b_.CreateSub(n, column), b_.CreateMul(width, together));
      segment(origin, {row, b_.CreateSub(end, row), column, columns});
    });
  });
}

/// How large blocks are. Those of rows are about equal, of whole tiles. A few rows read b once, and where it lies: side by
/// side some steps, for so many rows of memory does the processor fetch ahead, and as many columns as the sums have room for.
/// Of a few steps b stays in the caches, and writing the result takes the time: it is made in as long pieces of few rows.
void DotEmitter::plan_blocks(llvm::Value* m) {
  most_rows_ = min(m, b_.CreateSub(k_.end(), k_.begin()));
  llvm::Value* tile_rows = k_.i64(kProductRows);
  llvm::Value* rows = div_up(most_rows_, div_up(most_rows_, k_.i64(blocking_.rows)));
  rows_of_block_ = b_.CreateMul(div_up(rows, tile_rows), tile_rows);
  in_place_ = reads_pieces_of_a();
  if (has_lines()) {
    // Tiles end with a line, so blocks do.
    llvm::Value *line = k_.extent(m_axis_), *lines = b_.CreateUDiv(k_.i64(blocking_.rows), max(line, k_.i64(1)));
    llvm::Value* whole = b_.CreateAnd(in_place_, b_.CreateICmpSGT(lines, k_.i64(0)));
    rows_of_block_ = b_.CreateSelect(whole, b_.CreateMul(lines, line), rows_of_block_);
  }
  columns_of_block_ = k_.i64(blocking_.columns);
  depth_ = k_.i64(blocking_.depth);
  keeps_b_ = b_.getFalse();
  // Panels are turned where a tile of the first rows reads them: what a mask hides there would be missing further down.
  const bool turns_what_is_seen = seen_ && b_access_ && b_stride() == Stride::other;
  if (!has_pieces_of_k() && !turns_what_is_seen) {
    llvm::Value* fits = b_.CreateICmpSLE(k_.extent(k_axis_), k_.i64(Blocking::kMostKept * blocking_.depth));
    keeps_b_ = b_.CreateAnd(fits, b_.CreateICmpSGT(most_rows_, k_.i64(blocking_.rows)));  // see kept_bytes()
  }
  if (!b_access_ || b_stride() != Stride::one || has_pieces_of_k()) return;
  llvm::Value* far = b_.CreateICmpSGE(bytes(k_.access_stride(*b_access_, k_axis_)), k_.i64(kFarRowBytes));
  // A pack has its own blocks of steps, one behind the other.
  llvm::Value* in_place = b_.CreateNot(is_packed_);
  llvm::Value* few = b_.CreateAnd(b_.CreateAnd(far, in_place), b_.CreateICmpSLT(most_rows_, k_.i64(kMinRowsToCopyB)));
  few_steps_ = b_.CreateAnd(in_place, b_.CreateICmpSLE(k_.extent(k_axis_), k_.i64(schedule::few_steps(k_.program))));
  rows_of_block_ = b_.CreateSelect(few_steps_, min(rows_of_block_, tile_rows), rows_of_block_);
  keeps_b_ = b_.CreateAnd(keeps_b_, b_.CreateNot(few_steps_));
  few = b_.CreateOr(few, few_steps_);
  llvm::Value* room = b_.CreateUDiv(k_.i64(blocking_.rows * blocking_.columns), rows_of_block_);
  columns_of_block_ = b_.CreateSelect(few, b_.CreateAnd(room, k_.i64(-blocking_.panel())), columns_of_block_);
  depth_ = b_.CreateSelect(few, k_.i64(std::min(blocking_.depth, kFewRowsDepth)), depth_);
  if (!a_access_ || has_lines()) return;
  llvm::Value* narrow = b_.CreateAnd(in_place, b_.CreateICmpSLE(k_.extent(n_axis_), k_.i64(blocking_.lanes)));
  depth_ = b_.CreateSelect(narrow, k_.i64(kNarrowDepth), depth_);
}

/// Some rows and columns of one matrix of the batch.
void DotEmitter::segment(const Origin& origin, const Part& part) {
  if (!few_steps_ || !result_ || !a_access_ || seen_) return blocks(origin, part);
  k_.if_then(few_steps_, [&] { strips(origin, part); });
  k_.if_then(b_.CreateNot(few_steps_), [&] { blocks(origin, part); });
}

/// By one call: the way from panel to panel would take as long as the products of a few steps.
void DotEmitter::strips(const Origin& origin, const Part& part) {
  const int a = *a_access_, b = *b_access_, out = *result_;
  const Origin first = k_.move(k_.move(origin, m_axis_, part.row), n_axis_, part.column);
  const auto step = [&](int access, int along) { return bytes(k_.access_stride(access, along)); };
  call_loop("strips", {first.accesses[a], step(a, m_axis_), step(a, k_axis_), first.accesses[b], step(b, k_axis_), k_.extent(k_axis_),
                       first.accesses[out], step(out, m_axis_), part.rows, part.columns});
}

void DotEmitter::blocks(const Origin& origin, const Part& part) {
  llvm::Value *right = b_.CreateAdd(part.column, part.columns), *end = b_.CreateAdd(part.row, part.rows);
  count(part.column, right, columns_of_block_, false, [&](llvm::Value* column) {
    llvm::Value* columns = min(b_.CreateSub(right, column), columns_of_block_);
    first_row_ = part.row;
    count(part.row, end, rows_of_block_, false, [&](llvm::Value* row) {
      block(origin, {row, min(b_.CreateSub(end, row), rows_of_block_), column, columns});
    });
  });
}

/// A block of the result, from a first to a last block of steps. These are along the last axis; where k is several axes, as
/// many of its pieces as fit are put together.
void DotEmitter::block(const Origin& origin, const Part& part) {
  llvm::Value *k = k_.extent(k_axis_), *depth = depth_, *zero = k_.i64(0), *one = k_.i64(1);
  if (!has_pieces_of_k()) {
    llvm::Value* at_once = b_.CreateICmpSLE(k, depth);
    // At least once: without products the sums are 0.
    count(zero, k, depth, false, [&](llvm::Value* start) {
      llvm::Value* left = b_.CreateSub(k, start);
      llvm::Value* length = min(left, depth);
      block_of_steps(origin, part, {zero, one, start, length, length, b_.CreateIsNull(start), b_.CreateICmpEQ(length, left)},
                     at_once);
    });
    return;
  }
  llvm::Value* pieces = extents(n_axis_ + 1, k_axis_);
  llvm::Value* together = max(b_.CreateUDiv(depth, max(k, one)), one);
  llvm::Value* at_once = b_.CreateAnd(b_.CreateICmpSLE(pieces, together), b_.CreateICmpSLE(k, depth));
  count(zero, pieces, together, false, [&](llvm::Value* piece) {
    llvm::Value* left = b_.CreateSub(pieces, piece);
    llvm::Value* some = min(left, together);
    llvm::Value* is_last = b_.CreateICmpEQ(some, left);
    count(zero, k, depth, false, [&](llvm::Value* start) {
      llvm::Value* rest = b_.CreateSub(k, start);
      llvm::Value* length = min(rest, depth);
      block_of_steps(origin, part,
                     {piece, some, start, length, b_.CreateMul(some, length), b_.CreateIsNull(b_.CreateOr(piece, start)),
                      b_.CreateAnd(is_last, b_.CreateICmpEQ(length, rest))},
                     at_once);
    });
  });
}

void DotEmitter::block_of_steps(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* at_once) {
  // Sums of one panel suffice if its steps are all added at once.
  llvm::Value* sums_per_column = b_.CreateSelect(at_once, k_.i64(0), rows_of_block_);
  const Matrix a = block_of_a(origin, part, steps);

  llvm::Value* b_copy = place_of_copy(steps);
  llvm::Value* is_copied = copy_block_of_b(origin, part, steps, b_copy);
  count(k_.i64(0), part.columns, k_.i64(blocking_.panel()), false, [&](llvm::Value* j) {
    llvm::Value* sums = at(sums_, b_.CreateMul(j, sums_per_column));
    llvm::Value* columns = min(b_.CreateSub(part.columns, j), k_.i64(blocking_.panel()));
    const Part panel{part.row, part.rows, b_.CreateAdd(part.column, j), columns};
    llvm::Value* before = b_.CreateUDiv(j, k_.i64(blocking_.panel()));
    llvm::Value* place = b_.CreateSelect(b_.CreateOr(is_copied, keeps_b_), b_.CreateMul(before, k_.i64(panel_elements())), k_.i64(0));
    llvm::Value* first_row = reach(origin, panel);
    const auto add_tiles = [&] {
      add_products(origin, a, panel_of_b(origin, panel, steps, is_copied, at(b_copy, place)), sums, panel, steps, first_row);
    };
    if (seen_) {
      llvm::Value* last_row = b_.CreateAdd(first_row, b_.CreateMul(row_slope_, b_.CreateSub(panel.rows, k_.i64(1))));
      k_.if_then(b_.CreateICmpSGE(max(first_row, last_row), k_.i64(0)), add_tiles);
    } else {
      add_tiles();
    }
    if (!result_) finish_panel(origin, sums, panel, steps);
  });
}

/// Adds the products of some steps to the sums of a panel, line by line where a is read in place.
void DotEmitter::add_products(const Origin& origin, const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part,
                              const Steps& steps, llvm::Value* reach) {
  k_.if_then(b_.CreateNot(in_place_), [&] { tiles(origin, a, b, sums, part, steps, reach); });
  if (!has_pieces_of_a()) return;
  k_.if_then(in_place_, [&] {
    Origin piece = k_.move(origin, k_axis_, steps.start);
    if (has_pieces_of_k()) piece = move_along(piece, n_axis_ + 1, k_axis_, steps.piece);
    for_lines(piece, part, [&](const Origin& corner, llvm::Value* row, llvm::Value* rows) {
      Matrix line{corner.accesses[*a_access_], bytes(k_.access_stride(*a_access_, m_axis_)), bytes(k_.i64(1))};
      if (has_pieces_of_k()) line.piece = bytes(k_.access_stride(*a_access_, k_axis_ - 1));
      tiles(origin, line, b, at(sums, b_.CreateMul(row, k_.i64(blocking_.panel()))),
            {b_.CreateAdd(part.row, row), rows, part.column, part.columns}, steps, reach);
    });
  });
}

/// Adds the products of some steps to the sums of a panel. The last ones go straight to where the result has them, if the kernel
/// does nothing else with them.
void DotEmitter::tiles(const Origin& origin, const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part,
                       const Steps& steps, llvm::Value* reach) {
  llvm::Value *row = k_.i64(blocking_.bytes(blocking_.panel())), *out = sums, *out_row = row;
  llvm::Value* in = b_.CreateSelect(steps.first, llvm::ConstantPointerNull::get(b_.getPtrTy()), sums);
  if (result_) {
    const Origin first = move_result(move_result(origin, m_axis_, part.row), n_axis_, part.column);
    out = b_.CreateSelect(steps.last, first.accesses[*result_], sums);
    out_row = b_.CreateSelect(steps.last, bytes(k_.access_stride(*result_, m_axis_)), row);
  }
  if (a.piece) {
    return call_loop("tiles_of_pieces", {a.data, a.row, a.step, a.piece, b.data, b.step, steps.length, steps.pieces, in, row, out,
                                         out_row, part.rows, part.columns});
  }
  call_loop("tiles", {a.data, a.row, a.step, b.data, b.step, steps.depth, in, row, out, out_row, part.rows, part.columns, reach,
                      row_slope_});
}

/// The access to which the kernel stores sums beside each other, if it does nothing else with them.
std::optional<int> DotEmitter::find_plain_store() const {
  std::optional<int> found;
  for (const Instr& instr : k_.program.body) {
    if (instr.stage == 0) continue;
    if (found || instr.kind != InstrKind::store || instr.args[0] != dot_) return std::nullopt;
    found = instr.slot;
  }
  if (!found || has_lines()) return std::nullopt;
  const Access& access = k_.program.accesses[*found];
  return access.stride == Stride::one && access.dtype == blocking_.dtype ? found : std::nullopt;
}

/// How the terms of `seen_` change along rows and columns.
void DotEmitter::emit_seen() {
  row_slope_ = column_slope_ = k_.i64(0);
  all_seen_ = b_.getFalse();
  if (!seen_) return;
  constexpr int64_t kLarge = int64_t{1} << 60;
  for (const auto& [sign, instr] : seen_->terms) {
    const int slot = k_.program.body[instr].slot;
    const auto add = [&, sign = sign](llvm::Value* to, llvm::Value* x) { return sign > 0 ? b_.CreateAdd(to, x) : b_.CreateSub(to, x); };
    if (llvm::Value* constant = constants_[instr]) {
      llvm::Value* shifted = b_.CreateAdd(constant, k_.i64(kLarge));
      all_seen_ = b_.CreateOr(all_seen_, b_.CreateICmpUGE(shifted, k_.i64(2 * kLarge)));
    } else {
      row_slope_ = add(row_slope_, k_.index_stride(slot, m_axis_));
      column_slope_ = add(column_slope_, k_.index_stride(slot, n_axis_));
    }
  }
  row_slope_ = b_.CreateSelect(all_seen_, k_.i64(0), row_slope_);
}

/// What the terms come to in the first row of a panel, where they are largest.
llvm::Value* DotEmitter::reach(const Origin& origin, const Part& part) {
  if (!seen_) return k_.i64(0);
  llvm::Value* reach = b_.CreateAdd(k_.i64(seen_->constant), b_.CreateMul(part.row, row_slope_));
  for (const auto& [sign, instr] : seen_->terms) {
    llvm::Value* value = constants_[instr] ? constants_[instr] : origin.indices[k_.program.body[instr].slot];
    reach = sign > 0 ? b_.CreateAdd(reach, value) : b_.CreateSub(reach, value);
  }
  llvm::Value* last = b_.CreateSub(b_.CreateAdd(part.column, part.columns), k_.i64(1));
  llvm::Value* along = max(b_.CreateMul(part.column, column_slope_), b_.CreateMul(last, column_slope_));
  return b_.CreateSelect(all_seen_, k_.i64(0), b_.CreateAdd(reach, along));
}

llvm::Value* DotEmitter::extents(int from, int to) {
  llvm::Value* product = k_.extent(from);
  for (int axis = from + 1; axis < to; ++axis) product = b_.CreateMul(product, k_.extent(axis));
  return product;
}

Origin DotEmitter::move_along(const Origin& origin, int from, int to, llvm::Value* index) {
  Origin at = origin;
  for (int axis = to - 1; axis > from; --axis) {
    at = k_.move(at, axis, b_.CreateURem(index, k_.extent(axis)));
    index = b_.CreateUDiv(index, k_.extent(axis));
  }
  return k_.move(at, from, index);
}

void DotEmitter::for_pieces(const Origin& origin, const Steps& steps,
                            llvm::function_ref<void(const Origin&, llvm::Value*)> body) {
  const Origin start = k_.move(origin, k_axis_, steps.start);
  if (!has_pieces_of_k()) return body(start, k_.i64(0));
  count(k_.i64(0), steps.pieces, k_.i64(1), false, [&](llvm::Value* i) {
    body(move_along(start, n_axis_ + 1, k_axis_, b_.CreateAdd(steps.piece, i)), b_.CreateMul(i, steps.length));
  });
}

void DotEmitter::for_lines(const Origin& origin, const Part& part,
                           llvm::function_ref<void(const Origin&, llvm::Value*, llvm::Value*)> body) {
  if (!has_lines()) return body(k_.move(origin, m_axis_, part.row), k_.i64(0), part.rows);
  llvm::Value *length = k_.extent(m_axis_), *end = b_.CreateAdd(part.row, part.rows);
  k_.loop(b_.CreateUDiv(part.row, length), b_.CreateUDiv(b_.CreateAdd(end, b_.CreateSub(length, k_.i64(1))), length),
          k_.i64(1), {part.row}, false, [&](llvm::Value* line, llvm::ArrayRef<llvm::Value*> row) {
    llvm::Value* start = b_.CreateMul(line, length);
    llvm::Value* next = min(b_.CreateAdd(start, length), end);
    const Origin at = move_along(origin, first_row_axis_, m_axis_, line);
    body(k_.move(at, m_axis_, b_.CreateSub(row[0], start)), b_.CreateSub(row[0], part.row), b_.CreateSub(next, row[0]));
    return Values{next};
  });
}

llvm::Function* emit_dot_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                const std::string& name) {
  return DotEmitter(program, options, module, name).emit();
}

}  // namespace etch::codegen
