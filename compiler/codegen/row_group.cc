// What the rows of a group hand on from stage to stage.
#include "compiler/codegen/row_group.h"

#include <algorithm>

#include "compiler/codegen/tile.h"

namespace etch::codegen {

RowGroup::RowGroup(KernelEmitter& k, const std::vector<Level>& levels, int rows)
    : k_(k), b_(k.b), levels_(levels), rows_(rows), last_stage_(k.program.body.size(), -1), kept_(k.program.body.size()) {
  for (const Instr& instr : k.program.body) {
    for (int arg : instr.args) {
      if (levels[arg] == Level::row) last_stage_[arg] = std::max<int>(last_stage_[arg], instr.stage);
    }
  }
}

void RowGroup::begin(const std::vector<llvm::Value*>& of_kernel) {
  of_kernel_ = across_ = of_kernel;
}

std::vector<llvm::Value*> RowGroup::begin_row(int stage, llvm::Value* place) {
  place_ = place;
  std::vector<llvm::Value*> values = of_kernel_;
  for (size_t i = 0; i < kept_.size(); ++i) {
    if (!kept_[i] || last_stage_[i] < stage) continue;
    llvm::Type* type = kept_[i]->getAllocatedType()->getArrayElementType();
    values[i] = b_.CreateLoad(type, b_.CreateInBoundsGEP(type, kept_[i], place));
  }
  return values;
}

void RowGroup::end_row(int stage, const std::vector<llvm::Value*>& values) {
  for (size_t i = 0; i < kept_.size(); ++i) {
    const bool is_read_later = k_.program.body[i].stage == stage && last_stage_[i] > stage;
    if (is_read_later && values[i] && !kept_[i]) keep(static_cast<int>(i), values[i], place_);
  }
}

void RowGroup::end_stage(int stage) {
  // Rows past the last one are computed too: nobody reads their lanes.
  std::vector<int> done;
  for (const Waiting& waiting : waiting_) {
    across_[waiting.reducer.instr()] = fold(waiting);
    done.push_back(waiting.reducer.instr());
  }
  waiting_.clear();
  Cursor lanes;
  lanes.width = rows_;
  for (int i = 0; i < static_cast<int>(across_.size()); ++i) {
    const Instr& instr = k_.program.body[i];
    const auto is_known = [&](int arg) { return across_[arg] != nullptr; };
    // Flags would stand in the frame as bits.
    const bool per_row = instr.kind == InstrKind::compute && levels_[i] == Level::row && instr.dtype != DType::boolean;
    if (!per_row || across_[i] || !std::ranges::all_of(instr.args, is_known)) continue;
    k_.emit(i, lanes, across_);
    done.push_back(i);
  }
  for (int i : done) {
    if (last_stage_[i] > stage) keep(i, across_[i], k_.i64(0));
  }
}

bool RowGroup::can_wait(const Reducer& reducer, int lanes) const {
  return !reducer.has_position() && reducer.dtype() != DType::boolean && lanes >= rows_;
}

void RowGroup::wait(const Reducer& reducer, llvm::Value* lanes, int left) {
  lanes = fold_within(b_, lanes, lanes_of(lanes), left,
                      [&](llvm::Value* low, llvm::Value* high) { return reducer.merge(low, high); });
  llvm::AllocaInst* rows = k_.frame(llvm::ArrayType::get(lanes->getType(), rows_), llvm::Align(64));
  b_.CreateStore(lanes, b_.CreateInBoundsGEP(lanes->getType(), rows, place_));
  waiting_.push_back({reducer, rows});
}

void RowGroup::keep(int instr, llvm::Value* value, llvm::Value* place) {
  constexpr int kWidest = 8;
  llvm::Type* type = value->getType()->getScalarType();
  kept_[instr] = k_.frame(llvm::ArrayType::get(type, rows_), llvm::Align(kWidest * rows_));
  b_.CreateStore(value, b_.CreateInBoundsGEP(type, kept_[instr], place));
}

/// The values of the rows, one a lane.
llvm::Value* RowGroup::fold(const Waiting& waiting) {
  llvm::Type* type = waiting.rows->getAllocatedType()->getArrayElementType();
  Values rows;
  for (int row = 0; row < rows_; ++row) {
    rows.push_back(b_.CreateLoad(type, b_.CreateConstInBoundsGEP1_64(type, waiting.rows, row)));
  }
  const Reducer& reducer = waiting.reducer;
  llvm::Value* folded =
      fold_vectors(b_, rows, [&](llvm::Value* low, llvm::Value* high) { return reducer.merge(low, high); });
  return reducer.finish({folded}, k_.extent(k_.program.rank() - 1));
}

}  // namespace etch::codegen
