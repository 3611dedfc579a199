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
    if (program_.kind() == KernelKind::scalar) {
      print_blocks();
    } else if (program_.has_blocks()) {
      open(0, program_.rank());
      print_blocks();
    } else if (folded < 0) {
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
    const std::string list = list_of(instr);
    switch (instr.kind) {
      case InstrKind::load:
        return cat("v", i, " = ", place(instr.slot), list.empty() ? "" : cat(" at ", list));
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
      case InstrKind::constant: return cat("v", i, " = ", constant(instr));
      case InstrKind::branch: return cat("if ", list, ":");
      case InstrKind::otherwise: return cat("else:");
      case InstrKind::join: return cat("give ", list);
      case InstrKind::loop: return cat("loop ", handed_by(i), " = ", list, ":");
      case InstrKind::leave:
        return cat("leave with ", list_of(instr, 1), " unless v", instr.args[0]);
      case InstrKind::next: return cat("again with ", list);
      case InstrKind::handed: return {};
    }
    return {};
  }

  std::string constant(const Instr& instr) const {
    return dispatch(instr.dtype, [&]<class T>() {
      const T number = from_bits<T>(program_.constants[instr.slot]);
      if constexpr (std::is_integral_v<T>) return cat(number);
      return cat(program_.constants[instr.slot]);
    });
  }

  /// The values that a block hands on, which follow it.
  std::string handed_by(size_t block) const {
    std::vector<std::string> names;
    for (size_t i = block + 1; i < program_.body.size() && program_.body[i].kind == InstrKind::handed; ++i) {
      names.push_back(cat("v", i));
    }
    return absl::StrJoin(names, ", ");
  }

  void print_blocks() {
    for (size_t i = 0; i < program_.body.size(); ++i) {
      const Instr& instr = program_.body[i];
      if (instr.kind == InstrKind::handed) continue;
      if (instr.kind == InstrKind::otherwise) line(cat("give ", list_of(instr)));
      depth_ -= instr.kind == InstrKind::otherwise;
      line(value(i));
      const bool ends = instr.kind == InstrKind::join || instr.kind == InstrKind::next;
      depth_ += blocks_begun(instr.kind) - ends;
      if (ends) line(cat(handed_by(i), " = given"));
    }
  }

  static std::string list_of(const Instr& instr, size_t from = 0) {
    std::vector<std::string> args;
    for (size_t i = from; i < instr.args.size(); ++i) args.push_back(cat("v", instr.args[i]));
    return absl::StrJoin(args, ", ");
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
