// Where the tiles of a dot kernel read their operands: as they lie, in copies that blocks of the result share, or in a pack.
#include "compiler/codegen/dot_emitter.h"
#include "runtime/packs.h"

namespace etch::codegen {
namespace {

constexpr int64_t kMinRowsToCopyA = 5;          // fewer make one tile, which reads a once
constexpr int64_t kMinColumnsToCopyA = 96;      // narrower results read a too seldom to pay for a copy
constexpr int64_t kMinBytesToCopyB = 32 << 10;  // a panel of b within fewer bytes stays in the first cache as it is
constexpr int64_t kNearBytesOfB = 512 << 10;    // and all of it in the second one, from where tiles read about as fast,
constexpr int64_t kFewRowsOfNearB = 480;        // so that a copy pays for itself only with more rows
constexpr int64_t kManyCollidingRows = 96;      // fewer are held by the second cache
constexpr int64_t kMinLineInPlace = 8;          // shorter lines of rows make tiles that are too low

}  // namespace

/// The rows of a for some steps, in memory that tiles can read.
Matrix DotEmitter::block_of_a(const Origin& origin, const Part& part, const Steps& steps) {
  llvm::Value* unit = k_.i64(blocking_.bytes(1));
  llvm::Value* leading = k_.i64(blocking_.bytes(kProductLeading));
  if (!a_access_) {
    for_pieces(origin, steps, [&](const Origin& piece, llvm::Value* step) {
      for_lines(piece, part, [&](const Origin& corner, llvm::Value* row, llvm::Value* rows) {
        count(k_.i64(0), rows, k_.i64(1), false, [&](llvm::Value* i) {
          llvm::Value* before = b_.CreateMul(b_.CreateAdd(row, i), k_.i64(kProductLeading));
          compute_steps(0, move_operand(0, corner, m_axis_, i), steps.length, at(a_copy_, b_.CreateAdd(before, step)));
        });
      });
    });
    return {a_copy_, leading, unit};
  }
  if (has_lines() || has_pieces_of_k()) return copied_pieces_of_a(origin, part, steps);
  llvm::Value* m_stride = k_.access_stride(*a_access_, m_axis_);
  llvm::Value* k_stride = k_.access_stride(*a_access_, k_axis_);
  llvm::Value* data = at(origin.accesses[*a_access_],
                         b_.CreateAdd(b_.CreateMul(part.row, m_stride), b_.CreateMul(steps.start, k_stride)));
  llvm::Value* copy = b_.CreateAnd(b_.CreateICmpSGE(part.columns, k_.i64(kMinColumnsToCopyA)),
                                   b_.CreateICmpSGE(part.rows, k_.i64(kMinRowsToCopyA)));
  // Where steps lie beside each other tiles read the rows as they are, unless the second cache cannot hold those of a block.
  llvm::Value* beside = b_.CreateICmpEQ(k_stride, k_.i64(1));
  copy = b_.CreateAnd(copy, b_.CreateOr(b_.CreateNot(beside), rows_collide(bytes(m_stride), part.rows)));
  k_.if_then(copy, [&] {
    call_loop("copy_a", {data, b_.CreateSelect(beside, m_stride, k_stride), b_.CreateSelect(beside, k_stride, m_stride),
                         b_.CreateSelect(beside, part.rows, steps.depth), b_.CreateSelect(beside, steps.depth, part.rows), a_copy_});
  });
  llvm::Value* row_unit = b_.CreateSelect(beside, leading, unit);
  llvm::Value* step_unit = b_.CreateSelect(beside, unit, leading);
  return {b_.CreateSelect(copy, a_copy_, data), b_.CreateSelect(copy, row_unit, bytes(m_stride)),
          b_.CreateSelect(copy, step_unit, bytes(k_stride))};
}

/// i1: rows so many bytes apart lie in few sets of the second cache, too few for all rows of a block (kCollisionBytes).
llvm::Value* DotEmitter::rows_collide(llvm::Value* row_bytes, llvm::Value* rows) {
  llvm::Value* off = b_.CreateAnd(b_.CreateAdd(row_bytes, k_.i64(kCollisionReach)), k_.i64(kCollisionBytes - 1));
  return b_.CreateAnd(b_.CreateICmpULT(off, k_.i64(2 * kCollisionReach)), b_.CreateICmpSGE(rows, k_.i64(kManyCollidingRows)));
}

/// The same, copied, where rows or steps lie in pieces, unless tiles read these in place.
Matrix DotEmitter::copied_pieces_of_a(const Origin& origin, const Part& part, const Steps& steps) {
  llvm::Value *unit = k_.i64(1), *leading = k_.i64(kProductLeading);
  llvm::Value* m_stride = k_.access_stride(*a_access_, m_axis_);
  llvm::Value* k_stride = k_.access_stride(*a_access_, k_axis_);
  // What lies beside each other stays so: rows, if steps do not or are fewer.
  llvm::Value* few_steps = b_.CreateICmpSLT(k_.extent(k_axis_), k_.extent(m_axis_));
  llvm::Value* rows_beside = b_.CreateICmpEQ(m_stride, unit);
  llvm::Value* by_rows = b_.CreateAnd(rows_beside, b_.CreateOr(b_.CreateICmpNE(k_stride, unit), few_steps));
  llvm::Value* row_unit = b_.CreateSelect(by_rows, unit, leading);
  llvm::Value* step_unit = b_.CreateSelect(by_rows, leading, unit);
  const auto copy_line = [&](const Origin& corner, llvm::Value* to, llvm::Value* rows) {
    call_loop("copy_a", {corner.accesses[*a_access_], b_.CreateSelect(by_rows, k_stride, m_stride),
                         b_.CreateSelect(by_rows, m_stride, k_stride), b_.CreateSelect(by_rows, steps.length, rows),
                         b_.CreateSelect(by_rows, rows, steps.length), to});
  };
  k_.if_then(b_.CreateNot(in_place_), [&] {
    for_pieces(origin, steps, [&](const Origin& piece, llvm::Value* step) {
      for_lines(piece, part, [&](const Origin& corner, llvm::Value* row, llvm::Value* rows) {
        llvm::Value* before = b_.CreateAdd(b_.CreateMul(row, row_unit), b_.CreateMul(step, step_unit));
        copy_line(corner, at(a_copy_, before), rows);
      });
    });
  });
  return {a_copy_, bytes(row_unit), bytes(step_unit)};
}

llvm::Value* DotEmitter::reads_pieces_of_a() {
  if (!has_pieces_of_a()) return b_.getFalse();
  llvm::Value* beside = b_.CreateICmpEQ(k_.access_stride(*a_access_, k_axis_), k_.i64(1));
  return b_.CreateAnd(beside, b_.CreateICmpSGE(k_.extent(m_axis_), k_.i64(kMinLineInPlace)));
}

/// The first element of b that a panel reads.
llvm::Value* DotEmitter::plain_b(const Origin& origin, const Part& part, const Steps& steps) {
  Origin start = move_b(origin, k_axis_, steps.start);
  if (has_pieces_of_k()) start = move_along(start, n_axis_ + 1, k_axis_, steps.piece);
  llvm::Value* first = start.accesses[*b_access_];
  const bool one = b_stride() == Stride::one;
  return at(first, one ? part.column : b_.CreateMul(part.column, k_.access_stride(*b_access_, n_axis_)));
}

llvm::Value* DotEmitter::place_of_copy(const Steps& steps) {
  llvm::Value* block = b_.CreateUDiv(steps.start, k_.i64(blocking_.depth));
  llvm::Value* columns = b_.CreateMul(div_up(k_.extent(n_axis_), k_.i64(blocking_.panel())), k_.i64(blocking_.panel()));
  llvm::Value* elements = b_.CreateMul(min(columns, k_.i64(blocking_.columns)), k_.i64(blocking_.copied_steps()));
  return at(b_copy_, b_.CreateSelect(keeps_b_, b_.CreateMul(block, elements), k_.i64(0)));
}

llvm::Value* DotEmitter::is_new(const Part& part) {
  return b_.CreateOr(b_.CreateNot(keeps_b_), b_.CreateICmpEQ(part.row, first_row_));
}

/// Copies, or computes, all panels of b for some steps, row after row, if that pays or if tiles cannot walk the steps as one;
/// i1, whether it does.
llvm::Value* DotEmitter::copy_block_of_b(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* to) {
  llvm::Value *panel = k_.i64(blocking_.panel()), *next = k_.i64(panel_elements());
  const auto place = [&](llvm::Value* step) { return at(to, b_.CreateMul(step, panel)); };
  if (computes_b()) {
    k_.if_then(is_new(part), [&] {
      for_pieces(k_.move(origin, n_axis_, part.column), steps, [&](const Origin& corner, llvm::Value* step) {
        if (is_turned_) return compute_turned_panels(corner, part.columns, steps.length, place(step), next);
        compute_panels(corner, part.columns, steps.length, place(step), next);
      });
    });
    return b_.getTrue();
  }
  if (b_stride() != Stride::one) return b_.getFalse();
  llvm::Value* k_stride = k_.access_stride(*b_access_, k_axis_);
  llvm::Value* copy = pays_to_copy_b(bytes(k_stride), part, steps);
  if (has_pieces_of_k()) copy = b_.CreateOr(copy, b_.CreateNot(steps_join_in_b()));
  if (takes_pack()) copy = b_.CreateAnd(copy, b_.CreateNot(is_packed_));
  k_.if_then(b_.CreateAnd(copy, is_new(part)), [&] {
    for_pieces(move_b(origin, n_axis_, part.column), steps, [&](const Origin& corner, llvm::Value* step) {
      call_loop("copy_b", {corner.accesses[*b_access_], k_stride, part.columns, steps.length, place(step), next});
    });
  });
  return copy;
}

/// i1: tiles would read rows of b, so many bytes apart, so much more slowly than a copy that it pays to make one.
llvm::Value* DotEmitter::pays_to_copy_b(llvm::Value* row_bytes, const Part& part, const Steps& steps) {
  llvm::Value* all = b_.CreateMul(row_bytes, steps.depth);
  llvm::Value* bytes_of_b = b_.CreateMul(row_bytes, extents(n_axis_ + 1, k_axis_ + 1));
  llvm::Value* far = b_.CreateOr(b_.CreateICmpSGT(row_bytes, k_.i64(kFarRowBytes)),
                                 b_.CreateICmpSGT(bytes_of_b, k_.i64(kNearBytesOfB)));
  far = b_.CreateOr(far, b_.CreateICmpSGT(most_rows_, k_.i64(kFewRowsOfNearB)));
  llvm::Value* copy = b_.CreateAnd(far, b_.CreateICmpSGE(all, k_.i64(kMinBytesToCopyB)));
  // Of all blocks of rows, or none.
  llvm::Value* rows = b_.CreateSelect(keeps_b_, most_rows_, part.rows);
  copy = b_.CreateAnd(copy, b_.CreateICmpSGE(rows, k_.i64(kMinRowsToCopyB)));
  return b_.CreateAnd(copy, b_.CreateICmpSGT(part.columns, k_.i64(blocking_.lanes)));
}

/// The columns of b for some steps.
Matrix DotEmitter::panel_of_b(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* is_copied,
                              llvm::Value* panel_copy) {
  const Matrix copied{panel_copy, nullptr, k_.i64(blocking_.bytes(blocking_.panel()))};
  const auto copy_of = [&](llvm::Value* step) { return at(panel_copy, b_.CreateMul(step, k_.i64(blocking_.panel()))); };
  if (computes_b()) return copied;
  llvm::Value* k_stride = k_.access_stride(*b_access_, k_axis_);
  llvm::Value* packed = takes_pack() ? panel_of_pack(part, steps) : panel_copy;
  if (b_stride() == Stride::other) {
    k_.if_then(b_.CreateAnd(b_.CreateNot(is_packed_), is_new(part)), [&] {
      for_pieces(move_b(origin, n_axis_, part.column), steps, [&](const Origin& corner, llvm::Value* step) {
        call_loop("transpose_b", {corner.accesses[*b_access_], k_.access_stride(*b_access_, n_axis_), k_stride, part.columns,
                                  steps.length, copy_of(step)});
      });
    });
    return {b_.CreateSelect(is_packed_, packed, panel_copy), nullptr, copied.step};
  }
  llvm::Value* data = plain_b(origin, part, steps);
  // Steps that do not join are copied with their block, so these are walked as one.
  llvm::Value* copy = b_.CreateOr(is_copied, is_packed_);
  llvm::Value* first = b_.CreateSelect(is_copied, panel_copy, data);
  return {b_.CreateSelect(is_packed_, packed, first), nullptr, b_.CreateSelect(copy, copied.step, bytes(k_stride))};
}

llvm::Value* DotEmitter::panel_of_pack(const Part& part, const Steps& steps) {
  llvm::Value *panel = k_.i64(blocking_.panel()), *depth = k_.i64(blocking_.depth), *gap = k_.i64(PackLayout::kGap);
  if (has_pieces_of_k()) {
    // All steps are one block of the pack, for those of a kernel depend on the pieces.
    llvm::Value* all = b_.CreateAdd(extents(n_axis_ + 1, k_axis_ + 1), gap);
    llvm::Value* start = b_.CreateAdd(b_.CreateMul(steps.piece, k_.extent(k_axis_)), steps.start);
    return at(pack_, b_.CreateMul(b_.CreateAdd(b_.CreateMul(b_.CreateUDiv(part.column, panel), all), start), panel));
  }
  llvm::Value* gaps = b_.CreateMul(b_.CreateUDiv(steps.start, depth), gap);
  llvm::Value* block = b_.CreateMul(div_up(k_.extent(n_axis_), panel), b_.CreateAdd(steps.start, gaps));
  llvm::Value* before = b_.CreateMul(b_.CreateUDiv(part.column, panel), b_.CreateAdd(steps.depth, gap));
  return at(pack_, b_.CreateMul(b_.CreateAdd(block, before), panel));
}

llvm::Value* DotEmitter::steps_join_in_b() {
  llvm::Value* joins = b_.getTrue();
  for (int axis = n_axis_ + 1; axis < k_axis_; ++axis) {
    llvm::Value* behind = b_.CreateMul(k_.access_stride(*b_access_, axis + 1), k_.extent(axis + 1));
    joins = b_.CreateAnd(joins, b_.CreateICmpEQ(k_.access_stride(*b_access_, axis), behind));
  }
  return joins;
}

}  // namespace etch::codegen
