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
    const int folded = program_.folded_axis();
    if (folded < 0) {
      open(0, program_.rank());
      instructions(0, false);
    } else if (program_.has_rows()) {
      print_rows(folded);
    } else {
      print_product(folded);
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
      const bool is_vector = axis == program_.lanes_axis() && !program_.has(Role::row);
      const bool is_block = program_.axes[axis] == Role::block;
      line(cat("for i", axis, " in 0..n", axis, is_block ? ":  # blocks" : is_vector ? ":  # vectors" : ":"));
      ++depth_;
    }
  }

  std::string place(int slot) const {
    const Access& access = program_.accesses[slot];
    if (access.uniform) return cat("b", slot, "[0]");
    if (access.repeats) return cat("b", slot, "[i", program_.lanes_axis(), " mod period]");
    if (access.stride == Stride::zero) return cat("b", slot, "[..]");
    const int small = access.stride == Stride::back ? -1 : static_cast<int>(access.stride);
    std::string step = access.stride == Stride::other ? "s" : cat(small);
    return cat("b", slot, "[.. + ", step, "*i", program_.lanes_axis(), "]");
  }

  std::string value(size_t i) const {
    const Instr& instr = program_.body[i];
    std::vector<std::string> args;
    for (int arg : instr.args) args.push_back(cat("v", arg));
    std::string list = absl::StrJoin(args, ", ");
    switch (instr.kind) {
      case InstrKind::load:
        return cat("v", i, " = ", place(instr.slot), args.empty() ? "" : cat(" at ", list));
      case InstrKind::check: return cat("v", i, " = check", static_cast<int>(instr.slot), "(", list, ")");
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

  /// Stage after stage; the loop over an axis behind the folded one runs inside it.
  void print_rows(int folded) {
    open(0, folded);
    const int outer_depth = depth_;
    for (int stage = 0; stage <= program_.body.back().stage; ++stage) {
      for (const bool per_row : {true, false}) {
        depth_ = outer_depth;
        if (!has(stage, per_row)) continue;
        open(per_row ? folded + 1 : folded, program_.rank());
        instructions(stage, per_row);
      }
    }
  }

  void print_product(int folded) {
    open(0, folded);
    const int outer_depth = depth_;
    open(folded, program_.rank());
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
