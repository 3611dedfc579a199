// The body of a loop kernel, cut where many ops follow from each other. Internal to code generation.
#pragma once

#include <vector>

#include "compiler/codegen/emit.h"

namespace etch::codegen {

/// The instructions per element of a loop kernel, in segments. A processor holds some hundred instructions at a time, those
/// of two vectors of a long body. Where they wait for each other in a long chain it finds nothing else to do: so long chains
/// are cut, each segment runs over a block of elements before the next one, and what later segments read stands in scratch.
class Segments {
 public:
  /// `width` is that of the widest vector.
  Segments(KernelEmitter& k, const std::vector<Level>& levels, int width);

  /// The elements of a block, a multiple of the width.
  int64_t block() const { return block_; }

  int count() const { return static_cast<int>(segments_.size()); }

  /// Emits a segment for the lanes of `at`; `place` (i64) is where lane 0 stands in the block.
  void emit(int segment, llvm::Value* place, const Cursor& at, std::vector<llvm::Value*>& values);

 private:
  struct Segment {
    std::vector<int> instrs;  // ascending; dense loads and indices stand in each segment that reads them
    std::vector<int> loads;   // values of earlier segments
    std::vector<int> stores;  // values for later segments
  };

  void place_in_scratch(const std::vector<int>& segment_of);
  llvm::Value* address(int value, llvm::Value* place);

  KernelEmitter& k_;
  int64_t block_;
  std::vector<Segment> segments_;
  std::vector<llvm::Value*> scratch_;  // per instruction: where its values stand, or null
};

}  // namespace etch::codegen
