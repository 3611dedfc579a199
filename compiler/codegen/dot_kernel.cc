// Dot kernels: tiled matrix products with an epilogue.
//
// The result is made in blocks of some rows (see BlockSizes) whose sums stand in the scratch memory, and a block in panels
// as wide as a tile. For some steps of k at a time a block of b and one of a are copied, where it pays, to where
// tiles read them best: b row after row, for memory is read fastest in long stretches, and once for all rows. Tiles
// (runtime/product_loops.h) then add the products to the sums. After the last steps the epilogue runs over the panel while it
// is in the cache. Rows, and steps, may be several axes: such operands lie in pieces, which copies put together, or tiles walk where they
// lie. The products of one element are added in ascending order of k whatever the blocks, so no choice made here changes a bit. The plan of
// loops is that of Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).
#include <algorithm>
#include <optional>

#include "compiler/codegen/dot_mask.h"
#include "compiler/codegen/dot_parts.h"
#include "compiler/codegen/emit.h"
#include "runtime/packs.h"

namespace etch::codegen {
namespace {

constexpr int64_t kTileRows = 12;               // blocks have rows for whole tiles, or nearly
constexpr int64_t kMinRowsToCopyA = 5;          // fewer make one tile, which reads a once
constexpr int64_t kMinColumnsToCopyA = 96;      // narrower results read a too seldom to pay for a copy
constexpr int64_t kMinRowsToCopyB = 25;         // likewise
constexpr int64_t kMinBytesToCopyB = 32 << 10;  // a panel of b within fewer bytes stays in the first cache as it is
constexpr int64_t kNearBytesOfB = 512 << 10;    // and all of it in the second one, from where tiles read about as fast,
constexpr int64_t kFewRowsOfNearB = 480;        // so that a copy pays for itself only with more rows
constexpr int64_t kFarRowBytes = 2 << 10;       // the processor fetches steps ahead that are not so far apart
constexpr int64_t kPageBytes = 4 << 10;         // lines at this distance, or nearly, fall into one set of the first cache
constexpr int64_t kLineBytes = 64;
constexpr int64_t kFewRowsDepth = 16;           // steps whose rows it fetches ahead side by side
constexpr int64_t kFewSteps = 8;                // whose rows of b stay in the first cache
constexpr int64_t kNarrowDepth = 4096;          // steps of a narrow b, which stay in the second cache
constexpr int64_t kMinLineInPlace = 8;          // shorter lines of rows make tiles that are too low

/// A matrix in memory: its first element and the bytes from element to element along both axes.
struct Matrix {
  llvm::Value* data;
  llvm::Value* row;   // of a; the columns of b are contiguous
  llvm::Value* step;  // along k
  llvm::Value* piece = nullptr;  // of a, if tiles walk pieces of k
};

/// The part of the result that a block or panel makes: `row` and `column` are its first ones.
struct Part {
  llvm::Value *row, *rows, *column, *columns;
};

/// The steps of k that are being added. If k is several axes these are whole pieces along the last one, or a part of one;
/// `depth` is pieces * length.
struct Steps {
  llvm::Value* piece;   // the first one
  llvm::Value* pieces;  // how many
  llvm::Value* start;   // in each piece
  llvm::Value* length;  // of each piece
  llvm::Value* depth;
  llvm::Value* first;  // i1: the sums are not there yet
  llvm::Value* last;   // i1: the sums are complete after these
};

class DotEmitter : private DotParts {
 public:
  DotEmitter(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module, const std::string& name)
      : DotParts(program, options, module, name),
        a_access_(plain_access(0)),
        b_access_(plain_access(1)),
        is_turned_(!b_access_ && !lies_across(1)),
        result_(find_plain_store()),
        seen_(has_lines() ? std::nullopt : seen_sums(program, dot_)) {}

  llvm::Function* emit();

 private:
  Stride b_stride() const { return k_.program.accesses[*b_access_].stride; }

  llvm::Value* div_up(llvm::Value* x, llvm::Value* y) {
    return b_.CreateUDiv(b_.CreateAdd(x, b_.CreateSub(y, k_.i64(1))), y);
  }
  llvm::Value* bytes(llvm::Value* elements) { return b_.CreateMul(elements, k_.i64(size_of(blocking_.dtype))); }
  llvm::Value* scratch(int64_t elements) { return k_.scratch(blocking_.bytes(elements)); }

  /// True if b is computed into panels, not read as it stands.
  bool computes_b() const { return !b_access_ || b_stride() == Stride::zero; }

  bool has_pieces_of_k() const { return k_axis_ > n_axis_ + 1; }
  bool has_lines() const { return m_axis_ > first_row_axis_; }
  /// True if a may be read in place though rows or steps of it lie in pieces: tiles walk those of steps along one axis.
  bool has_pieces_of_a() const { return a_access_ && (has_lines() || has_pieces_of_k()) && k_axis_ <= n_axis_ + 2; }
  /// i1: it is, line by line.
  llvm::Value* reads_pieces_of_a();
  /// The product of the extents of the axes from..to.
  llvm::Value* extents(int from, int to);
  /// The origin at a flattened index of the axes from..to.
  Origin move_along(const Origin& origin, int from, int to, llvm::Value* index);
  /// Runs the body for each piece of the steps: the origin at its first step, and how many steps lie before it.
  void for_pieces(const Origin& origin, const Steps& steps, llvm::function_ref<void(const Origin&, llvm::Value*)> body);
  /// Runs the body for rows that lie along the last axis of rows: the origin at the first one, how many rows of the part lie
  /// before it, and how many there are.
  void for_lines(const Origin& origin, const Part& part,
                 llvm::function_ref<void(const Origin&, llvm::Value*, llvm::Value*)> body);
  /// i1: the axes of k are walked as one in b.
  llvm::Value* steps_join_in_b();
  /// True if the kernel takes a pack of b where it is given one: the buffer behind those of the accesses. See packs.h.
  bool takes_pack() const { return !computes_b(); }
  /// Some columns of the pack for some steps.
  llvm::Value* panel_of_pack(const Part& part, const Steps& steps);
  Matrix copied_pieces_of_a(const Origin& origin, const Part& part, const Steps& steps);

  llvm::Value* are_small();
  void batch(llvm::Value* first, llvm::Value* last);
  void segments(llvm::Value* first, llvm::Value* last, llvm::Value* m, llvm::Value* whole);
  void segment(const Origin& origin, const Part& part);
  void block(const Origin& origin, const Part& part);
  void block_of_steps(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* at_once);
  llvm::Value* rows_collide(llvm::Value* bytes);
  Matrix block_of_a(const Origin& origin, const Part& part, const Steps& steps);
  /// Elements from one panel of a copied block of b to the next: a little more than a panel has, so that they fall into
  /// different sets.
  int64_t panel_elements() const { return blocking_.copied_steps() * blocking_.panel(); }
  /// Where the copy of some steps of b lies.
  llvm::Value* place_of_copy(const Steps& steps);
  /// i1: the copy of b is to be made, not there since the first rows.
  llvm::Value* is_new(const Part& part);
  llvm::Value* copy_block_of_b(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* to);
  Matrix panel_of_b(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* is_copied,
                    llvm::Value* panel_copy);
  llvm::Value* pays_to_copy_b(llvm::Value* row_bytes, const Part& part, const Steps& steps);
  llvm::Value* plain_b(const Origin& origin, const Part& part, const Steps& steps);
  Origin move_b(const Origin& origin, int axis, llvm::Value* index) {
    return k_.move(origin, axis, index, [&](int access) { return access == b_access_; });
  }
  /// Moves what the epilogue reads and writes.
  Origin move_result(const Origin& origin, int axis, llvm::Value* index) {
    return k_.move(origin, axis, index, [&](int access) { return is_of_epilogue(access); });
  }
  bool is_of_epilogue(int access) const;
  void emit_seen();
  llvm::Value* reach(const Origin& origin, const Part& part);
  std::optional<int> find_plain_store() const;
  void plan_blocks(llvm::Value* m);
  void finish_panel(const Origin& origin, llvm::Value* sums, const Part& part, const Steps& steps);
  void add_products(const Origin& origin, const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part,
                    const Steps& steps, llvm::Value* reach);
  void tiles(const Origin& origin, const Matrix& a, const Matrix& b, llvm::Value* sums, const Part& part, const Steps& steps,
             llvm::Value* reach);
  void epilogue(const Origin& rows, llvm::Value* sums, const Part& part);
  void epilogue_rows(const Origin& origin, llvm::Value* sums, llvm::Value* rows, int64_t width, llvm::Value* mask);

  const std::optional<int> a_access_, b_access_;
  const bool is_turned_;  // b is computed along its steps
  const std::optional<int> result_;  // the access that takes the sums as they are
  const std::optional<SeenSums> seen_;
  // What the terms of `seen_` add up to changes by so much from row to row, and from column to column.
  llvm::Value *row_slope_ = nullptr, *column_slope_ = nullptr;
  llvm::Value* all_seen_ = nullptr;  // i1: the terms are too large to add up
  llvm::Value* sums_ = nullptr;
  llvm::Value* a_copy_ = nullptr;
  llvm::Value* b_copy_ = nullptr;
  llvm::Value* in_place_ = nullptr;   // see reads_pieces_of_a
  llvm::Value* pack_ = nullptr;       // of b, or null
  llvm::Value* is_packed_ = nullptr;  // i1
  llvm::Value* most_rows_ = nullptr;   // of a matrix that this call makes
  llvm::Value* keeps_b_ = nullptr;     // i1: what is copied of b for the first rows serves all rows
  llvm::Value* first_row_ = nullptr;   // of those that are made with the same columns of b
  llvm::Value *rows_of_block_ = nullptr, *columns_of_block_ = nullptr, *depth_ = nullptr;
};

// The kernel: batch, blocks of columns, blocks of rows, blocks of steps, panels.

llvm::Function* DotEmitter::emit() {
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
  llvm::Value* tile_rows = k_.i64(kTileRows);
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
  if (!has_pieces_of_k()) {
    llvm::Value* fits = b_.CreateICmpSLE(k_.extent(k_axis_), k_.i64(Blocking::kMostKept * blocking_.depth));
    keeps_b_ = b_.CreateAnd(fits, b_.CreateICmpSGT(most_rows_, rows_of_block_));
  }
  if (!b_access_ || b_stride() != Stride::one || has_pieces_of_k()) return;
  llvm::Value* far = b_.CreateICmpSGE(bytes(k_.access_stride(*b_access_, k_axis_)), k_.i64(kFarRowBytes));
  // A pack has its own blocks of steps, one behind the other.
  llvm::Value* in_place = b_.CreateNot(is_packed_);
  llvm::Value* few = b_.CreateAnd(b_.CreateAnd(far, in_place), b_.CreateICmpSLT(most_rows_, k_.i64(kMinRowsToCopyB)));
  llvm::Value* few_steps = b_.CreateAnd(in_place, b_.CreateICmpSLE(k_.extent(k_axis_), k_.i64(kFewSteps)));
  rows_of_block_ = b_.CreateSelect(few_steps, min(rows_of_block_, tile_rows), rows_of_block_);
  keeps_b_ = b_.CreateAnd(keeps_b_, b_.CreateNot(few_steps));
  few = b_.CreateOr(few, few_steps);
  llvm::Value* room = b_.CreateUDiv(k_.i64(blocking_.rows * blocking_.columns), rows_of_block_);
  columns_of_block_ = b_.CreateSelect(few, b_.CreateAnd(room, k_.i64(-blocking_.panel())), columns_of_block_);
  depth_ = b_.CreateSelect(few, k_.i64(std::min(blocking_.depth, kFewRowsDepth)), depth_);
  if (!a_access_ || has_lines()) return;
  llvm::Value* narrow = b_.CreateAnd(in_place, b_.CreateICmpSLE(k_.extent(n_axis_), k_.i64(blocking_.lanes)));
  depth_ = b_.CreateSelect(narrow, k_.i64(kNarrowDepth), depth_);
}

/// Some rows and columns of one matrix of the batch.
void DotEmitter::segment(const Origin& origin, const Part& part) {
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

void DotEmitter::finish_panel(const Origin& origin, llvm::Value* sums, const Part& part, const Steps& steps) {
  k_.if_then(steps.last, [&] {
    for_lines(origin, part, [&](const Origin& line, llvm::Value* row, llvm::Value* rows) {
      epilogue(line, at(sums, b_.CreateMul(row, k_.i64(blocking_.panel()))), {row, rows, part.column, part.columns});
    });
  });
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
  llvm::Value* by_k = b_.CreateICmpEQ(k_stride, k_.i64(1));
  // Where steps lie beside each other tiles read the rows as they are, unless these fall into the same set of the cache.
  copy = b_.CreateAnd(copy, b_.CreateOr(b_.CreateNot(by_k), rows_collide(bytes(m_stride))));
  k_.if_then(copy, [&] {
    // Row by row, or step by step unless steps are contiguous.
    call_loop("copy_a", {data, b_.CreateSelect(by_k, m_stride, k_stride), b_.CreateSelect(by_k, k_stride, m_stride),
                         b_.CreateSelect(by_k, part.rows, steps.depth), b_.CreateSelect(by_k, steps.depth, part.rows), a_copy_});
  });
  return {b_.CreateSelect(copy, a_copy_, data),
          b_.CreateSelect(copy, b_.CreateSelect(by_k, leading, unit), bytes(m_stride)),
          b_.CreateSelect(copy, b_.CreateSelect(by_k, unit, leading), bytes(k_stride))};
}

/// i1: rows at this distance fall into one set of the first cache, which has room for fewer than a tile has.
llvm::Value* DotEmitter::rows_collide(llvm::Value* bytes) {
  llvm::Value* shifted = b_.CreateAnd(b_.CreateAdd(bytes, k_.i64(kLineBytes)), k_.i64(kPageBytes - 1));
  return b_.CreateICmpULT(shifted, k_.i64(2 * kLineBytes));
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
  llvm::Value* far = b_.CreateOr(b_.CreateICmpSGT(row_bytes, k_.i64(kFarRowBytes)),
                                 b_.CreateICmpSGT(all, k_.i64(kNearBytesOfB)));
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

llvm::Value* DotEmitter::reads_pieces_of_a() {
  if (!has_pieces_of_a()) return b_.getFalse();
  llvm::Value* beside = b_.CreateICmpEQ(k_.access_stride(*a_access_, k_axis_), k_.i64(1));
  return b_.CreateAnd(beside, b_.CreateICmpSGE(k_.extent(m_axis_), k_.i64(kMinLineInPlace)));
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

// The epilogue.

bool DotEmitter::is_of_epilogue(int access) const {
  return std::ranges::any_of(k_.program.body, [&](const Instr& instr) {
    const bool accesses = instr.kind == InstrKind::load || instr.kind == InstrKind::store;
    return accesses && instr.stage > 0 && (instr.slot == access || k_.program.accesses[instr.slot].group == access);
  });
}

/// The instructions on finished sums of a panel, whose first row is where `rows` stands.
void DotEmitter::epilogue(const Origin& rows, llvm::Value* sums, const Part& part) {
  const int64_t width = std::min<int64_t>(lanes_of(k_.program, k_.target), blocking_.panel());
  count(k_.i64(0), part.columns, k_.i64(width), false, [&](llvm::Value* j) {
    const Origin first_row = move_result(rows, n_axis_, b_.CreateAdd(part.column, j));
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
  std::vector<int> walked;
  for (int a = 0; a < static_cast<int>(first.accesses.size()); ++a) {
    if (!is_of_epilogue(a) || k_.program.accesses[a].uniform) continue;
    walked.push_back(a);
    initial.push_back(first.accesses[a]);
  }
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
    for (int a : walked) {
      row.accesses[a] = *next_of++;
      next.push_back(k_.advance(a, row.accesses[a], k_.access_stride(a, m_axis_)));
    }
    for (size_t i = 0; i < row.indices.size(); ++i) {
      row.indices[i] = *next_of++;
      next.push_back(b_.CreateAdd(row.indices[i], k_.index_stride(i, m_axis_)));
    }
    const Cursor lanes = lanes_along(row, std::nullopt, n_axis_, width, mask);
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

}  // namespace

llvm::Function* emit_dot_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                const std::string& name) {
  return DotEmitter(program, options, module, name).emit();
}

}  // namespace etch::codegen
