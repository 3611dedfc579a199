// KernelProgram: its sizes and its text.
#include "compiler/schedule/kernel.h"

#include <algorithm>
#include <string_view>

#include "compiler/ir/cat.h"

namespace etch {
namespace {

constexpr std::string_view kKinds[] = {
#define ETCH_KERNEL(kind, takes) #kind,
#include "compiler/schedule/kernels.def"
#undef ETCH_KERNEL
};
constexpr std::string_view kRoles[] = {"batch", "row", "sweep", "vector", "reduce", "block", "results"};
constexpr std::string_view kStrides[] = {"0", "1", "2", "3", "4", "-1", "s"};
constexpr std::string_view kInstrKinds[] = {"load", "index", "param", "check", "compute", "reduce", "dot", "store",
                                           "constant", "branch", "otherwise", "join", "loop", "leave", "next", "handed"};

std::string integer_text(DType dtype, uint64_t bits) {
  return dispatch(dtype, [&]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      return cat(from_bits<T>(bits));
    } else {
      return cat(bits);
    }
  });
}

void append(std::string& text, const KernelProgram& program, size_t position, int depth) {
  const Instr& instr = program.body[position];
  text += cat(std::string(2 * depth, ' '), "%", position, " = ");
  if (instr.kind == InstrKind::compute) {
    text += cat(name(instr.op));
  } else if (instr.kind == InstrKind::reduce) {
    text += cat("reduce_", name(instr.reduce));
  } else {
    text += cat(kInstrKinds[static_cast<int>(instr.kind)]);
  }
  if (instr.slot >= 0) text += cat(" #", static_cast<int>(instr.slot));
  if (instr.kind == InstrKind::constant) text += cat(" = ", integer_text(instr.dtype, program.constants[instr.slot]), " :");
  for (int arg : instr.args) text += cat(" %", arg);
  if (!is_control(instr.kind)) text += cat(" ", name(instr.dtype));
  if (instr.stage > 0) text += cat(" stage ", static_cast<int>(instr.stage));
  if (instr.per_row) text += cat(" per_row");
  if (instr.guarded) text += " guarded";
  text += '\n';
}

}  // namespace

std::string_view name(KernelKind kind) { return kKinds[static_cast<int>(kind)]; }

int cost_of(const Instr& instr) {
  switch (instr.kind) {
    case InstrKind::param:
    case InstrKind::constant:
    case InstrKind::handed:
    case InstrKind::index: return 0;
    case InstrKind::compute: return cost_of(instr.op);
    case InstrKind::check: return 2;
    default: return 1;
  }
}

int KernelProgram::axis(Role role) const {
  const auto it = std::find(axes.begin(), axes.end(), role);
  return it == axes.end() ? -1 : static_cast<int>(it - axes.begin());
}

int KernelProgram::folded_axis() const {
  const auto it = std::find_if(axes.begin(), axes.end(), is_folded);
  return it == axes.end() ? -1 : static_cast<int>(it - axes.begin());
}

int KernelProgram::lanes_axis() const { return has(Role::vector) ? axis(Role::vector) : folded_axis(); }

bool KernelProgram::has_blocks() const {
  return std::any_of(body.begin(), body.end(), [](const Instr& instr) { return is_control(instr.kind); });
}

bool KernelProgram::is_counted(int axis) const {
  return !is_folded(axes[axis]) && !(axes[axis] == Role::vector && (has(Role::row) || sweeps()));
}

int KernelProgram::bordered_before(int access) const {
  return static_cast<int>(std::count_if(accesses.begin(), accesses.begin() + access, [](const Access& a) { return a.fill >= 0; }));
}

KernelKind KernelProgram::kind() const {
  const KernelProgram& program = *this;
#define ETCH_KERNEL(kind, takes) \
  if (takes) return KernelKind::kind;
#include "compiler/schedule/kernels.def"
#undef ETCH_KERNEL
  return KernelKind::loop;
}

SizesLayout::SizesLayout(const KernelProgram& program)
    : rank(program.rank()),
      accesses(rank + (program.has(Role::block) || program.has_tiles() ? 1 : 0)),
      indices(accesses + static_cast<int64_t>(program.accesses.size()) * (1 + rank)),
      params(indices + static_cast<int64_t>(program.indices.size()) * (1 + rank)),
      checks(params + program.num_params),
      ranges(checks + 2 * program.num_checks),
      streams(ranges + 2 * program.bordered_before(static_cast<int>(program.accesses.size())) * std::max<int64_t>(rank - 1, 0)),
      count(streams + 1) {}

std::string to_string(const KernelProgram& program) {
  std::string text(name(program.kind()));
  text += " [";
  for (int i = 0; i < program.rank(); ++i) text += cat(i ? "," : "", kRoles[static_cast<int>(program.axes[i])]);
  text += "] indices [";
  for (size_t i = 0; i < program.indices.size(); ++i) {
    text += cat(i ? "," : "", kStrides[static_cast<int>(program.indices[i])]);
  }
  text += cat("] params ", static_cast<int>(program.num_params));
  if (program.num_checks > 0) text += cat(" checks ", static_cast<int>(program.num_checks));
  if (!program.constants.empty()) text += cat(" constants ", program.constants.size());
  text += '\n';
  if (program.blocks != BlockSizes{}) {
    const BlockSizes& b = program.blocks;
    text += cat("blocks row ", b.row, " column ", b.column, " panel ", b.panel, " tile ", b.tile, " depth ", b.depth,
                " dot_rows ", b.dot_rows, " dot_row_bytes ", b.dot_row_bytes, "\n");
  }
  if (program.short_row > 0) text += cat("rows of ", static_cast<int>(program.short_row), "\n");
  if (program.sums_in_lanes) text += "sums in lanes\n";
  if (program.groups_rows) text += "rows in groups\n";
  for (size_t a = 0; a < program.accesses.size(); ++a) {
    const Access& access = program.accesses[a];
    text += cat("#", a, " ", name(access.dtype), " ", kStrides[static_cast<int>(access.stride)],
                    access.uniform ? " uniform" : "");
    if (access.steps != Stride::other) text += cat(" steps ", kStrides[static_cast<int>(access.steps)]);
    if (access.repeats) text += " repeats";
    if (access.group >= 0) text += cat(" group #", access.group, " element ", static_cast<int>(access.element));
    if (access.next_row > 0) text += cat(" next row ", static_cast<int>(access.next_row));
    if (access.indexed != Indexed::no) text += access.indexed == Indexed::shared ? " at an index" : " at indices";
    if (access.ahead) text += " ahead";
    if (access.still) text += " still";
    if (access.like >= 0) text += cat(" like #", access.like);
    if (access.fill >= 0) text += cat(" borders of param ", access.fill);
    text += '\n';
  }
  int depth = 0;
  for (size_t i = 0; i < program.body.size(); ++i) {
    depth -= blocks_ended(program.body[i].kind);
    append(text, program, i, std::max(depth, 0));
    depth += blocks_begun(program.body[i].kind);
  }
  return text;
}

}  // namespace etch
