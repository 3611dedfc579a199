// The verifier of control flow in kernels.
#include "compiler/schedule/verify_blocks.h"

#include <algorithm>
#include <span>

#include "compiler/ir/cat.h"

namespace etch {
namespace {

class BlockCheck {
 public:
  explicit BlockCheck(const KernelProgram& program)
      : program_(program), block_of_(program.body.size(), 0), end_of_(1, 0), ends_(program.body.size(), -1) {}

  std::string run() {
    const bool has_lanes = program_.rank() == 1 && program_.axes[0] == Role::vector;
    const bool has_axes = program_.rank() > 0 && !has_lanes, has_blocks = program_.rank() == 0 || program_.has_blocks();
    for (size_t i = 0; i < program_.body.size() && error_.empty(); ++i) {
      const Instr& instr = program_.body[i];
      const bool is_of_blocks = is_control(instr.kind) || instr.kind == InstrKind::handed || instr.kind == InstrKind::constant;
      if (has_axes && is_of_blocks) return cat("%", i, " stands in a kernel with more axes than that of the lanes");
      if (has_blocks) check(static_cast<int>(i));
    }
    if (error_.empty() && !open_.empty()) error_ = cat("the block of %", open_.back().begin, " does not end");
    return error_;
  }

 private:
  struct Block {
    int begin = 0;       // the loop, branch or otherwise
    int number = 0;
    int left_by = -1;    // of a loop
    int first_arm = -1;  // of otherwise: the branch
  };

  void fail(int i, std::string_view what) {
    if (error_.empty()) error_ = cat("%", i, " ", what);
  }

  InstrKind kind(int i) const { return program_.body[i].kind; }
  std::span<const int32_t> args(int i) const { return {program_.body[i].args.data(), program_.body[i].args.size()}; }

  void check(int i) {
    for (int arg : args(i)) {
      if (!is_known(arg)) return fail(i, cat("uses %", arg, " outside of its block"));
      const bool has_value = !is_control(kind(arg)) && kind(arg) != InstrKind::store;
      if (!has_value && kind(i) != InstrKind::handed) return fail(i, cat("uses %", arg, ", which is no value"));
    }
    block_of_[i] = current();
    check_memory(i);
    switch (kind(i)) {
      case InstrKind::branch:
        if (!is_predicate(i)) return fail(i, "has no predicate");
        return begin({.begin = i});
      case InstrKind::otherwise: {
        if (open_.empty() || kind(open_.back().begin) != InstrKind::branch) return fail(i, "has no branch");
        return begin({.begin = i, .first_arm = end()});
      }
      case InstrKind::join:
        if (open_.empty() || kind(open_.back().begin) != InstrKind::otherwise) return fail(i, "has no branch");
        check_types(i, args(open_.back().begin), args(i));
        end();
        break;
      case InstrKind::loop: return begin({.begin = i});
      case InstrKind::leave:
        if (!in_loop() || open_.back().left_by >= 0) return fail(i, "leaves no loop");
        if (!is_predicate(i)) return fail(i, "has no predicate");
        open_.back().left_by = i;
        break;
      case InstrKind::next:
        if (!in_loop()) return fail(i, "ends no loop");
        if (open_.back().left_by < 0) return fail(i, "ends a loop that nothing leaves");
        check_types(i, args(open_.back().begin), args(i));
        ends_[i] = open_.back().left_by;
        end();
        break;
      case InstrKind::handed: return check_handed(i);
      default: return;
    }
    block_of_[i] = current();
  }

  /// Memory is read before the first block and written behind the last one, and before that nothing is written.
  void check_memory(int i) {
    const bool loads = kind(i) == InstrKind::load, stores = kind(i) == InstrKind::store;
    if (loads && (has_blocks_ || has_stored_)) fail(i, "loads behind a block or a store");
    if (stores && !open_.empty()) fail(i, "stores inside a block");
    if (has_stored_ && !stores) fail(i, "stands behind a store");
    has_blocks_ |= is_control(kind(i));
    has_stored_ |= stores;
  }

  bool is_predicate(int i) const {
    return !args(i).empty() && program_.body[args(i)[0]].dtype == DType::boolean &&
           (kind(i) != InstrKind::branch || args(i).size() == 1);
  }

  void check_types(int i, std::span<const int32_t> wanted, std::span<const int32_t> given) {
    const auto dtype = [&](int32_t arg) { return program_.body[arg].dtype; };
    if (!std::ranges::equal(wanted, given, {}, dtype, dtype)) fail(i, "hands on other types than the other end of its block");
  }

  void check_handed(int i) {
    if (args(i).size() != 1) return fail(i, "is handed on by no block");
    const int from = args(i)[0];
    std::span<const int32_t> given = args(from);
    if (kind(from) == InstrKind::next) {
      given = args(ends_[from]).subspan(1);
    } else if (kind(from) != InstrKind::join && kind(from) != InstrKind::loop) {
      return fail(i, "is handed on by no block");
    }
    const int slot = program_.body[i].slot;
    if (slot < 0 || slot >= static_cast<int>(given.size())) return fail(i, cat("is not among what %", from, " hands on"));
    if (program_.body[given[slot]].dtype != program_.body[i].dtype) fail(i, cat("has another type than %", from, " hands on"));
  }

  bool in_loop() const { return !open_.empty() && kind(open_.back().begin) == InstrKind::loop; }
  int current() const { return open_.empty() ? 0 : open_.back().number; }

  /// A loop's own values are those inside: the block's number stands for the instruction that begins it, too.
  void begin(Block block) {
    block.number = static_cast<int>(end_of_.size());
    end_of_.push_back(-1);
    open_.push_back(block);
    block_of_[block.begin] = block.number;
  }

  int end() {
    const Block block = open_.back();
    open_.pop_back();
    end_of_[block.number] = 0;
    return block.begin;
  }

  /// True if the instruction stands in a block that has not ended.
  bool is_known(int arg) const { return block_of_[arg] == 0 || end_of_[block_of_[arg]] < 0; }

  const KernelProgram& program_;
  std::vector<int> block_of_;  // per instruction; 0 is outside of all
  std::vector<int> end_of_;    // per block: -1 while it is open
  std::vector<int> ends_;      // per next: the leave of its loop
  std::vector<Block> open_;
  bool has_blocks_ = false, has_stored_ = false;
  std::string error_;
};

}  // namespace

std::string check_blocks(const KernelProgram& program) { return BlockCheck(program).run(); }

}  // namespace etch
