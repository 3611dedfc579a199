// What the rows of a group hand on from stage to stage: values per row, and lanes that wait until all rows are folded at once.
// Internal to code generation.
#pragma once

#include <vector>

#include "compiler/codegen/reducer.h"

namespace etch::codegen {

class RowGroup {
 public:
  /// Groups of so many rows.
  RowGroup(KernelEmitter& k, const std::vector<Level>& levels, int rows);

  int rows() const { return rows_; }

  /// A group begins; the values are those of the kernel.
  void begin(const std::vector<llvm::Value*>& of_kernel);

  /// A stage of the row at `place` begins: the values of the kernel, and those per row that it or a later stage reads.
  std::vector<llvm::Value*> begin_row(int stage, llvm::Value* place);

  /// It ends with these values.
  void end_row(int stage, const std::vector<llvm::Value*>& values);

  /// The stage ends for all rows: folds what waits, and computes what follows from values per row alone, in lanes for the rows.
  void end_stage(int stage);

  /// True if a reduction whose state has at least so many lanes can wait for the other rows.
  bool can_wait(const Reducer& reducer, int lanes) const;

  /// Folds the lanes of the row that has begun until `left` of them are left, which wait for those of the other rows. Alone, each row
  /// would take as many shuffles as all of them.
  void wait(const Reducer& reducer, llvm::Value* lanes, int left);

 private:
  struct Waiting {
    Reducer reducer;
    llvm::AllocaInst* rows;
  };

  void keep(int instr, llvm::Value* value, llvm::Value* place);
  llvm::Value* fold(const Waiting& waiting);

  KernelEmitter& k_;
  Builder& b_;
  const std::vector<Level>& levels_;
  const int rows_;
  std::vector<int> last_stage_;              // per instruction: the last stage that reads its value per row, or -1
  std::vector<llvm::AllocaInst*> kept_;      // per instruction: its values per row in the frame, or null
  std::vector<llvm::Value*> of_kernel_;
  std::vector<llvm::Value*> across_;         // per instruction: its value for all rows, or that of the kernel, or null
  llvm::Value* place_ = nullptr;
  std::vector<Waiting> waiting_;
};

}  // namespace etch::codegen
