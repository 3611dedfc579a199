// Which operands of products calls may share in packed form.
#include "compiler/packed_operand.h"

#include <algorithm>

#include "compiler/schedule/kernel_work.h"

namespace etch {
namespace {

// Fewer rows are made in one go over the operand, which is then read as it stands; more of them hide what copying costs, which
// is more where columns are far apart, or where steps lie in pieces and are copied anew for each block of rows.
constexpr int64_t kFewestRows = 2;
constexpr int64_t kMostRows = 1024;
constexpr int64_t kMostRowsOfDear = 4096;

/// The access of the second operand if the kernel multiplies what it loads as it is.
int plain_operand(const KernelProgram& program) {
  const auto dot = std::ranges::find(program.body, InstrKind::dot, &Instr::kind);
  const Instr& operand = program.body[dot->args[1]];
  const bool is_plain = operand.kind == InstrKind::load && size_of(operand.dtype) >= 4 &&
                        program.accesses[operand.slot].dtype == operand.dtype;
  return is_plain ? operand.slot : -1;
}

}  // namespace

std::optional<PackedOperand> packed_operand(const ScheduledKernel& kernel, const Target& target) {
  const KernelProgram& program = kernel.program;
  const int access = program.has_tiles() ? plain_operand(program) : -1;
  if (access < 0 || program.accesses[access].stride == Stride::zero) return std::nullopt;
  const int n = program.axis(Role::vector), k = program.rank() - 1;
  const int64_t* strides = kernel.sizes.data() + SizesLayout(program).access(access) + 1;
  if (std::any_of(strides, strides + n, [](int64_t stride) { return stride != 0; })) return std::nullopt;
  const bool has_pieces = k != n + 1;
  int64_t steps = kernel.sizes[k];
  for (int axis = k - 1; axis > n; --axis) {
    if (strides[axis] != steps * strides[k]) return std::nullopt;  // steps that are not one axis in memory
    steps *= kernel.sizes[axis];
  }

  PackLayout layout;
  layout.offset = strides[-1];
  layout.steps = steps;
  layout.columns = kernel.sizes[n];
  layout.step_stride = strides[k];
  layout.column_stride = strides[n];
  layout.panel = panel_columns(program.accesses[access].dtype, target);
  layout.depth = has_pieces ? std::max<int64_t>(steps, 1) : program.blocks.depth;  // pieces are cut into other blocks
  layout.element_bytes = size_of(program.accesses[access].dtype);
  const int64_t columns = kernel.sizes[SizesLayout(program).columns()];
  const bool is_whole = columns >= layout.columns || columns % layout.panel == 0;  // pieces begin with a panel
  const int64_t rows = schedule::rows_of_matrix(kernel);
  const int64_t most = layout.column_stride == 1 && !has_pieces ? kMostRows : kMostRowsOfDear;
  const int64_t bytes = layout.steps * layout.columns * layout.element_bytes;
  const bool pays = rows >= kFewestRows && rows <= most && bytes >= kFewestPackedBytes;
  if (!pays || !is_whole) return std::nullopt;
  return PackedOperand{access, layout};
}

}  // namespace etch
