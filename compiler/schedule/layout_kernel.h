// The last step of a kernel's making: fewer axes, stride classes, sizes.
#pragma once

#include <span>
#include <vector>

#include "compiler/schedule/index_map.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// One buffer as a kernel under construction sees it.
struct AccessMap {
  int storage = 0;
  DType dtype = DType::f32;
  Affine address;
  bool stores = false;
  int dot_operand = -1;  // 0 or 1: read by the products of a dot
  bool indexed = false;  // a load at an index: what it reads lies somewhere behind the address
  int64_t period = 0;    // it repeats along the last axis; 0 if it does not
  bool ahead = false;    // arranged: see Access
  absl::InlinedVector<PaddedElement::Bound, 2> bounds{};  // beyond them it is the param of the number `fill`
  int fill = -1;
};

/// A kernel whose accesses and indices are still affine maps. `program` holds the body and the sizes of blocks.
struct KernelDraft {
  KernelProgram program;
  Domain domain;
  std::vector<AccessMap> accesses;
  std::vector<Affine> indices;
  std::vector<uint64_t> params;
  std::vector<IndexedAxis> checks;
  bool has_next_rows = false;  // arranged: rows before the lanes are as many as tiles take
};

/// Cuts the axis that is folded in blocks, drops batch axes of extent 1, joins neighbours that every access walks as one,
/// unrolls what is too short for vectors, puts the axis of the lanes behind the folded one, and fills in program.axes. Returns
/// the length of a row that was cut into blocks; 0 if none was.
int64_t arrange(KernelDraft& draft);

/// The same for the pieces of one loop, the largest first, of which none runs in blocks. Those of equal bodies are arranged as
/// the first of them would best be, thin ones too, so that they have one code wherever that is possible.
void arrange_alike(std::span<KernelDraft* const> drafts);

/// The kernel of an arranged draft: accesses, buffers (with storages), sizes, iterations and costs.
ScheduledKernel write_out(KernelDraft draft, int64_t total);

}  // namespace etch::schedule
