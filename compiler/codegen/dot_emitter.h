// The emitter of dot kernels: what it knows of its operands and of the blocks that it makes. Internal to code generation.
#pragma once

#include <algorithm>
#include <optional>

#include "compiler/codegen/dot_mask.h"
#include "compiler/codegen/dot_parts.h"
#include "compiler/codegen/emit.h"

namespace etch::codegen {

inline constexpr int64_t kMinRowsToCopyB = 25;     // fewer make two tiles, which read b too seldom to pay for a copy

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

  /// True if all that takes time is in functions that the kernel calls: it computes no operand, and its epilogue is one of them.
  bool only_calls() const {
    return a_access_ && !computes_b() && k_.program.num_checks == 0 && std::ranges::none_of(k_.program.accesses, &Access::repeats);
  }

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
  void strips(const Origin& origin, const Part& part);
  void blocks(const Origin& origin, const Part& part);
  void block(const Origin& origin, const Part& part);
  void block_of_steps(const Origin& origin, const Part& part, const Steps& steps, llvm::Value* at_once);
  Matrix block_of_a(const Origin& origin, const Part& part, const Steps& steps);
  llvm::Value* rows_collide(llvm::Value* row_bytes, llvm::Value* rows);
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
  void fetch_later_rows(const Origin& row);
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
  void outlined_epilogue(const Origin& rows, llvm::Value* sums, const Part& part);
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
  llvm::Value* few_steps_ = nullptr;   // i1: rows are made from end to end
  llvm::Value* first_row_ = nullptr;   // of those that are made with the same columns of b
  llvm::Value *rows_of_block_ = nullptr, *columns_of_block_ = nullptr, *depth_ = nullptr;
};

}  // namespace etch::codegen
