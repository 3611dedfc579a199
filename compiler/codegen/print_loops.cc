// The loop nest of a kernel as short pseudo-code, for people to read.
#include <string>
#include <string_view>

#include "absl/strings/str_join.h"
#include "compiler/codegen/session.h"
#include "compiler/ir/cat.h"

namespace etch::codegen {
namespace {


class LoopPrinter {
 public:
  explicit LoopPrinter(const KernelProgram& program) : program_(program) {}

  std::string print(const std::string& name) {
    text_ += cat(name, "(", absl::StrJoin(buffers(), ", "), "):\n");
    if (program_.kind == KernelKind::loop) {
      open(0, program_.rank);
      instructions(0, false);
      return text_;
    }
    if (program_.kind == KernelKind::dot) {
      print_dot();
      return text_;
    }
    // Row: the last axis is the reduced one. Column: the last but one; the loop over the last axis runs inside it.
    bool column = program_.kind == KernelKind::column;
    open(0, program_.rank - (column ? 2 : 1));
    int outer_depth = depth_;
    int last_stage = program_.body.empty() ? 0 : program_.body.back().stage;
    for (int stage = 0; stage <= last_stage; ++stage) {
      depth_ = outer_depth;
      if (has(stage, true)) {
        if (column) open(program_.rank - 1, program_.rank);
        instructions(stage, true);
        depth_ = outer_depth;
      }
      if (has(stage, false)) {
        open(program_.rank - (column ? 2 : 1), program_.rank);
        instructions(stage, false);
      }
    }
    return text_;
  }

 private:
  std::vector<std::string> buffers() const {
    std::vector<std::string> result;
    for (size_t a = 0; a < program_.accesses.size(); ++a) {
      result.push_back(cat("b", a, ": ", name(program_.accesses[a].dtype)));
    }
    return result;
  }

  bool has(int stage, bool per_row) const {
    for (const Instr& instr : program_.body) {
      if (instr.stage == stage && instr.per_row == per_row) return true;
    }
    return false;
  }

  void line(std::string_view content) { text_ += cat(std::string(2 * depth_, ' '), content, "\n"); }

  void open(int from, int to) {
    for (int axis = from; axis < to; ++axis) {
      bool vector = axis == program_.rank - 1 && program_.kind != KernelKind::dot;
      bool block = program_.partial && axis == program_.rank - (program_.kind == KernelKind::column ? 3 : 2);
      line(cat("for i", axis, " in 0..n", axis, block ? ":  # blocks" : vector ? ":  # vectors" : ":"));
      ++depth_;
    }
  }

  std::string place(int slot) const {
    const Access& access = program_.accesses[slot];
    if (access.uniform) return cat("b", slot, "[0]");
    if (access.stride == Stride::zero) return cat("b", slot, "[..]");
    const int small = access.stride == Stride::back ? -1 : static_cast<int>(access.stride);
    std::string step = access.stride == Stride::other ? "s" : cat(small);
    return cat("b", slot, "[.. + ", step, "*i", program_.rank - 1, "]");
  }

  std::string value(size_t i) const {
    const Instr& instr = program_.body[i];
    std::vector<std::string> args;
    for (int arg : instr.args) args.push_back(cat("v", arg));
    std::string list = absl::StrJoin(args, ", ");
    switch (instr.kind) {
      case InstrKind::load: return cat("v", i, " = ", place(instr.slot));
      case InstrKind::index: return cat("v", i, " = index", static_cast<int>(instr.slot));
      case InstrKind::param: return cat("v", i, " = p", static_cast<int>(instr.slot));
      case InstrKind::compute:
        return cat("v", i, " = ", name(instr.op), "(", list, ")",
                            needs_type(instr.op) ? cat(" : ", name(instr.dtype)) : "");
      case InstrKind::reduce:
        return cat("v", i, " = ", name(instr.reduce), "(v", i, ", ", list, ")");
      case InstrKind::dot: return cat("v", i, " = dot(", list, ")");
      case InstrKind::store: return cat(place(instr.slot), " = ", list);
    }
    return {};
  }

  void instructions(int stage, bool per_row) {
    for (size_t i = 0; i < program_.body.size(); ++i) {
      if (program_.body[i].stage == stage && program_.body[i].per_row == per_row) line(value(i));
    }
  }

  void print_dot() {
    open(0, program_.rank - 1);
    int outer_depth = depth_;
    open(program_.rank - 1, program_.rank);
    instructions(0, false);
    depth_ = outer_depth;
    instructions(1, false);
  }

  const KernelProgram& program_;
  std::string text_;
  int depth_ = 1;
};

}  // namespace

std::string print_loops(const KernelProgram& program, const std::string& name) {
  return LoopPrinter(program).print(name);
}

}  // namespace etch::codegen
