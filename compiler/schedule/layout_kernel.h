// The last step of a kernel's making: fewer axes, stride classes, sizes.
#pragma once

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
};

/// A kernel whose accesses and indices are still affine maps. `program` holds kind, flags, body and counts.
struct KernelDraft {
  KernelProgram program;
  Domain domain;
  int reduced = -1;
  int64_t total = 0;  // of the reduced axis, if partial
  std::vector<AccessMap> accesses;
  std::vector<Affine> indices;
  std::vector<uint64_t> params;
};

/// Drops axes of extent 1, joins neighbours that every access walks as one, unrolls what is too short for vectors, brings
/// the axes into the order that the kind wants, and fills in program.rank and accesses, buffers (with storages), sizes, iterations and work.
ScheduledKernel lay_out(KernelDraft draft);

}  // namespace etch::schedule
