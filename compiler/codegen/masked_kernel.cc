// Masked kernels: control flow for each element by itself, in lanes. A lane that takes no part is off; what it computes
// meanwhile is anything, for no op can fail, and nobody reads it.
#include <algorithm>
#include <optional>

#include "compiler/codegen/loop_guard.h"
#include "compiler/codegen/tile.h"

namespace etch::codegen {

namespace {

/// How the blocks of a program hang together, and which values differ from lane to lane.
class Blocks {
 public:
  explicit Blocks(const KernelProgram& program)
      : program_(program), begin_(program.body.size(), -1), middle_(begin_), end_(begin_), uses_(program.body.size()),
        varies_(program.body.size()), slots_(program.body.size()) {
    find_partners();
    for (bool changes = true; changes;) changes = spread();
  }

  int count() const { return static_cast<int>(program_.body.size()); }
  const Instr& instr(int i) const { return program_.body[i]; }
  InstrKind kind(int i) const { return program_.body[i].kind; }

  /// Of what parts or ends a block: what begins it. Of that: what parts it, otherwise or leave, and what ends it.
  int begin(int i) const { return begin_[i]; }
  int middle(int begin) const { return middle_[begin]; }
  int end(int begin) const { return end_[begin]; }

  bool varies(int i) const { return varies_[i]; }
  /// The same of what a join, loop or next hands on with this number.
  bool varies(int block, size_t slot) const { return slots_[block][slot]; }
  /// True if lanes go different ways at a branch, or leave a loop in different turns.
  bool parts(int begin) const {
    return varies_[kind(begin) == InstrKind::loop ? instr(middle_[begin]).args[0] : instr(begin).args[0]];
  }

  /// By what a carried value, an integer, grows in each turn, if that is the same for all lanes and does not change; else -1.
  int step(int loop, int slot) const {
    const int next = instr(end_[loop]).args[slot];
    if (kind(next) != InstrKind::compute || instr(next).op != Op::add || !is_integer(instr(next).dtype)) return -1;
    for (int a = 0; a < 2; ++a) {
      const Instr& from = instr(instr(next).args[a]);
      const int step = instr(next).args[1 - a];
      if (from.kind == InstrKind::handed && from.args[0] == loop && from.slot == slot && step < loop && !varies(step)) return step;
    }
    return -1;
  }

  /// The carried value that a value its leave takes out is, if all lanes share it and it grows so; -1 for others.
  int counter(int loop, int value) const {
    const bool is_carried = kind(value) == InstrKind::handed && instr(value).args[0] == loop;
    return is_carried && !varies(value) && step(loop, instr(value).slot) >= 0 ? instr(value).slot : -1;
  }

  /// The parts of a predicate, a conjunction.
  void add_parts(int predicate, std::vector<int>& parts) const {
    const bool is_both = kind(predicate) == InstrKind::compute && instr(predicate).op == Op::logical_and;
    if (!is_both) return parts.push_back(predicate);
    for (int arg : instr(predicate).args) add_parts(arg, parts);
  }

  /// Bytes of one lane that wait at the same time, at the most: loads come first and stores last, and what a loop reads of what
  /// stands before it waits to its end. Flags stand in masks.
  int64_t bytes_waiting() const {
    std::vector<int> last(count()), loops;
    for (int i = 0; i < count(); ++i) {
      if (kind(i) == InstrKind::loop) loops.push_back(i);
      if (kind(i) == InstrKind::next) loops.pop_back();
      const auto end_behind = [&](int value) {
        const auto around = std::ranges::find_if(loops, [&](int loop) { return loop > value; });
        return around == loops.end() ? i : end_[*around];
      };
      last[i] = i;
      if (kind(i) == InstrKind::handed) {
        if (kind(instr(i).args[0]) == InstrKind::loop) last[i] = end_[instr(i).args[0]];
        continue;
      }
      const int use = kind(i) == InstrKind::otherwise ? end_[begin_[i]] : i;
      for (int arg : instr(i).args) last[arg] = std::max({last[arg], use, end_behind(arg)});
    }
    std::vector<int64_t> change(count() + 1);
    for (int i = 0; i < count(); ++i) {
      const bool is_vector = varies_[i] && instr(i).dtype != DType::boolean;
      if (!is_vector) continue;
      change[i] += size_of(instr(i).dtype);
      change[last[i]] -= size_of(instr(i).dtype);
    }
    int64_t most = 0, bytes = 0;
    for (int64_t step : change) most = std::max(most, bytes += step);
    return most;
  }

  bool is_used(int i) const { return uses_[i] > 0; }
  /// True if anything uses what a join, loop or next hands on with this number.
  bool is_used(int block, size_t slot) const {
    for (int i = block + 1; i < count(); ++i) {
      if (kind(i) == InstrKind::handed && instr(i).args[0] == block && instr(i).slot == static_cast<int>(slot) && is_used(i)) {
        return true;
      }
    }
    return false;
  }

  /// The carried values of a loop from which a value that its leave takes out is computed; nothing if that takes control
  /// flow, or a carried value that is the same for all lanes, which goes on where a lane has left.
  std::optional<std::vector<int>> carried_behind(int loop, int value) const {
    std::vector<int> carried, open{value};
    std::vector<bool> seen(count());
    while (!open.empty()) {
      const int at = open.back();
      open.pop_back();
      if (at < loop || seen[at]) continue;
      seen[at] = true;
      if (kind(at) == InstrKind::handed) {
        if (instr(at).args[0] != loop || !varies(loop, instr(at).slot)) return std::nullopt;
        carried.push_back(instr(at).slot);
        continue;
      }
      open.insert(open.end(), instr(at).args.begin(), instr(at).args.end());
    }
    return carried;
  }

 private:
  void find_partners() {
    std::vector<int> open;
    for (int i = 0; i < count(); ++i) {
      if (kind(i) != InstrKind::handed) {
        for (int arg : instr(i).args) ++uses_[arg];
      }
      switch (kind(i)) {
        case InstrKind::branch:
        case InstrKind::loop:
          open.push_back(i);
          slots_[i].resize(kind(i) == InstrKind::loop ? instr(i).args.size() : 0);
          break;
        case InstrKind::otherwise:
        case InstrKind::leave:
          begin_[i] = open.back();
          middle_[open.back()] = i;
          break;
        case InstrKind::join:
        case InstrKind::next:
          begin_[i] = open.back();
          end_[open.back()] = i;
          slots_[i].resize(instr(middle_[open.back()]).args.size() - (kind(i) == InstrKind::next));
          open.pop_back();
          break;
        default: break;
      }
    }
  }

  /// One round: a value varies if one does that it is made of, or if lanes choose it. True if one more is found.
  bool spread() {
    bool changes = false;
    const auto set = [&](std::vector<bool>::reference flag, bool value) {
      changes |= value && !flag;
      flag = flag || value;
    };
    for (int i = 0; i < count(); ++i) {
      const Instr& at = instr(i);
      switch (at.kind) {
        case InstrKind::load: set(varies_[i], program_.accesses[at.slot].stride != Stride::zero); break;
        case InstrKind::index: set(varies_[i], program_.indices[at.slot] != Stride::zero); break;
        case InstrKind::compute:
          for (int arg : at.args) set(varies_[i], varies_[arg]);
          break;
        case InstrKind::handed: set(varies_[i], slots_[at.args[0]][at.slot]); break;
        case InstrKind::join: {
          const Instr& other = instr(middle_[begin_[i]]);
          for (size_t s = 0; s < at.args.size(); ++s) {
            set(slots_[i][s], parts(begin_[i]) || varies_[at.args[s]] || varies_[other.args[s]]);
          }
          break;
        }
        case InstrKind::next: {
          const int loop = begin_[i];
          const Instr& leave = instr(middle_[loop]);
          for (size_t s = 0; s < at.args.size(); ++s) {
            set(slots_[loop][s], varies_[instr(loop).args[s]] || varies_[at.args[s]]);
          }
          for (size_t s = 0; s + 1 < leave.args.size(); ++s) set(slots_[i][s], parts(loop) || varies_[leave.args[1 + s]]);
          break;
        }
        default: break;
      }
    }
    return changes;
  }

  const KernelProgram& program_;
  std::vector<int> begin_, middle_, end_;
  std::vector<int> uses_;
  std::vector<bool> varies_;
  std::vector<std::vector<bool>> slots_;  // per join, loop and next
};

/// The lanes of a vector, and those that are under way at a time: a loop waits for each op of a turn, and several vectors
/// fill that time, as many as the registers hold.
struct Lanes {
  int vector = 2;
  int all = 2;
};

/// How many registers a loop's turn hands on to the next one, of so many lanes: those are what more vectors would spill. What
/// does not change may stand in memory at no cost.
int64_t registers_of(const Blocks& blocks, int loop, const Target& target, const Lanes& lanes) {
  const int vectors = lanes.all / lanes.vector;
  const auto of = [&](int i) {
    const bool is_mask = blocks.instr(i).dtype == DType::boolean;
    return is_mask ? vectors : std::max<int64_t>(1, lanes.all * size_of(blocks.instr(i).dtype) / target.vector_bytes);
  };
  int64_t count = blocks.parts(loop) ? vectors : 0;
  for (int i = loop + 1; i < blocks.end(loop); ++i) {
    const bool is_carried = blocks.kind(i) == InstrKind::handed && blocks.instr(i).args[0] == loop && blocks.varies(i);
    if (is_carried) count += of(i);
  }
  const Instr& leave = blocks.instr(blocks.middle(loop));
  for (size_t s = 0; s + 1 < leave.args.size(); ++s) {
    const bool is_kept = blocks.parts(loop) && blocks.is_used(blocks.end(loop), s) && !blocks.carried_behind(loop, leave.args[1 + s]);
    if (is_kept) count += of(leave.args[1 + s]);
  }
  return count;
}

Lanes choose_lanes(const Blocks& blocks, const Target& target) {
  constexpr int kMostLanes = 64, kMostVectors = 4, kTemporaries = 4;
  constexpr int64_t kMostWaiting = 8 << 10;  // bytes
  int64_t widest_float = 0, widest = 1;
  std::vector<int> loops;
  for (int i = 0; i < blocks.count(); ++i) {
    if (blocks.kind(i) == InstrKind::loop) loops.push_back(i);
    const DType dtype = blocks.instr(i).dtype;
    if (!blocks.varies(i) || dtype == DType::boolean) continue;
    widest = std::max(widest, size_of(dtype));
    if (is_floating(dtype)) widest_float = std::max(widest_float, size_of(dtype));
  }
  const int one = std::max(2, static_cast<int>(target.vector_bytes / (widest_float > 0 ? widest_float : widest)));
  const int64_t registers = (target.masked_ops ? 32 : 16) - kTemporaries;
  Lanes lanes{one, std::min(kMostVectors * one, kMostLanes)};
  for (; lanes.all > one; lanes.all /= 2) {
    const bool fits = std::ranges::all_of(loops, [&](int loop) { return registers_of(blocks, loop, target, lanes) <= registers; });
    if (!loops.empty() && fits) break;
  }
  // What the registers do not hold waits in the frame of the call, beside what gathers and scatters need.
  const int64_t waiting = blocks.bytes_waiting();
  while (lanes.all > 2 && lanes.all * waiting > kMostWaiting) lanes.all /= 2;
  lanes.vector = std::min(lanes.vector, lanes.all);
  return lanes;
}

class MaskedKernel {
 public:
  MaskedKernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module, const std::string& name)
      : k_(program, options, module, name), b_(k_.b), program_(program), blocks_(program),
        lanes_(choose_lanes(blocks_, options.target)), width_(lanes_.all), handed_(program.body.size()), guard_(k_) {}

  llvm::Function* emit() {
    k_.function->addFnAttr(kMaskedLoops);
    guard_.load();
    std::vector<llvm::Value*> of_kernel(blocks_.count());
    const Cursor whole = KernelEmitter::element(k_.origin());
    for (int i = 0; i < blocks_.count(); ++i) {
      const InstrKind kind = blocks_.kind(i);
      const bool is_known = kind == InstrKind::load || kind == InstrKind::param || kind == InstrKind::constant;
      if (is_known && !blocks_.varies(i)) k_.emit(i, whole, of_kernel);
    }
    k_.walk_segments(0, 0, [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
      k_.vector_loop(from, to, width_, {}, false, true, [&](llvm::Value* i, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
        values_ = of_kernel;
        emit_lanes(k_.cursor(origin, i, width_, mask));
        return Values{};
      });
    });
    return k_.finish();
  }

 private:
  /// A block that has begun and not ended.
  struct Block {
    int begin = 0;
    bool parts = false;             // lanes part there
    llvm::Value* around = nullptr;  // the lanes that are on around it
    // Of a branch. The two arms of one where lanes part run one after the other.
    llvm::Value* yes = nullptr;     // the lanes for which it holds
    llvm::BasicBlock* before = nullptr;
    llvm::BasicBlock* other = nullptr;         // where the code goes on if no lane, or not this way
    llvm::BasicBlock* end_of_first = nullptr;
    bool skips = false;             // the arm that is open, where no lane is on
    Values first;                   // what the first arm gives
    // Of a loop.
    llvm::BasicBlock* head = nullptr;
    llvm::SmallVector<llvm::PHINode*, 8> carried;
    llvm::PHINode* on = nullptr;
    llvm::SmallVector<llvm::PHINode*, 4> kept;  // per value that leave takes out: as it was when the lane left, or null
    Values next_kept;
    llvm::SmallVector<int, 4> steps;  // of those that are kept: by what they grow while the lane is on, if they are counters
    llvm::Value* stay = nullptr;    // the lanes that have not left
    Values leaving;
    std::vector<bool> rests;        // per carried value: it stays as it is in lanes that have left
    llvm::PHINode* turns = nullptr; // of a guarded loop, so far
  };

  void emit_lanes(const Cursor& at) {
    on_ = pack(at.mask.lanes);
    llvm::SmallVector<int, 16> memory;
    for (int i = 0; i < blocks_.count(); ++i) {
      if (blocks_.kind(i) == InstrKind::load && blocks_.varies(i)) memory.push_back(i);
    }
    const auto no_reductions = [](int) {};
    k_.emit_all(memory, at, values_, no_reductions);
    memory.clear();
    for (int i = 0; i < blocks_.count(); ++i) {
      if (blocks_.kind(i) == InstrKind::store) {
        values_[blocks_.instr(i).args[0]] = splat(b_, values_[blocks_.instr(i).args[0]], width_);
        memory.push_back(i);
      } else if (!emit_control(i)) {
        k_.emit(i, at, values_);
      }
    }
    k_.emit_all(memory, at, values_, no_reductions);
  }

  // ---- Masks

  // Vectors of i1 that live from block to block stand in mask registers where there are any; else they are all ones or
  // none in elements as wide as those that they mask, which LLVM would not choose by itself.

  bool is_mask(llvm::Type* type) const { return type->isVectorTy() && type->getScalarType()->isIntegerTy(1); }

  llvm::Type* mask_type() const {
    if (k_.target.masked_ops) return llvm::FixedVectorType::get(b_.getInt1Ty(), width_);
    return llvm::FixedVectorType::get(b_.getIntNTy(mask_bits()), width_);
  }
  unsigned mask_bits() const { return 8 * k_.target.vector_bytes / lanes_.vector; }

  llvm::Type* packed(llvm::Type* type) const { return is_mask(type) ? mask_type() : type; }
  llvm::Value* pack(llvm::Value* value) {
    if (!is_mask(value->getType()) || k_.target.masked_ops) return value;
    return b_.CreateSExt(value, mask_type());
  }
  /// The value as i1 again, where `is_bool` says that it was.
  llvm::Value* unpack(llvm::Value* value, bool is_bool = true) {
    if (!is_bool || is_mask(value->getType()) || !value->getType()->isVectorTy()) return value;
    return b_.CreateICmpSLT(value, llvm::Constant::getNullValue(value->getType()));
  }

  llvm::Value* any(llvm::Value* mask) {
    while (!k_.target.masked_ops && lanes_of(mask) * mask->getType()->getScalarSizeInBits() > 8u * k_.target.vector_bytes) {
      mask = b_.CreateOr(half_of(b_, mask, false), half_of(b_, mask, true));
    }
    llvm::Value* bits = b_.CreateBitCast(unpack(mask), b_.getIntNTy(lanes_of(mask)));
    return b_.CreateIsNotNull(bits);
  }

  llvm::Value* choose(llvm::Value* mask, llvm::Value* yes, llvm::Value* no) {
    return yes == no ? yes : b_.CreateSelect(unpack(mask), yes, no);
  }

  // ---- Control flow

  llvm::BasicBlock* new_block(const char* name) { return llvm::BasicBlock::Create(k_.context, name, k_.function); }

  DType dtype(int value) const { return program_.body[value].dtype; }
  bool is_bool(int value) const { return dtype(value) == DType::boolean; }

  /// The values of an instruction's args from number `from` on, as what the block hands on.
  Values args_of(int i, size_t from, int block) {
    const Instr& instr = blocks_.instr(i);
    Values args;
    for (size_t s = from; s < instr.args.size(); ++s) {
      args.push_back(splat(b_, values_[instr.args[s]], blocks_.varies(block, s - from) ? width_ : 1));
    }
    return args;
  }

  /// False for instructions that are no control flow.
  bool emit_control(int i) {
    switch (blocks_.kind(i)) {
      case InstrKind::branch: branch(i); return true;
      case InstrKind::otherwise: otherwise(i); return true;
      case InstrKind::join: join(i); return true;
      case InstrKind::loop: loop(i); return true;
      case InstrKind::leave: leave(i); return true;
      case InstrKind::next: next(i); return true;
      case InstrKind::handed:
        values_[i] = unpack(handed_[blocks_.instr(i).args[0]][blocks_.instr(i).slot], is_bool(i));
        return true;
      default: return false;
    }
  }

  /// True if the arm between two instructions costs more than to ask whether a lane takes it.
  bool is_worth_skipping(int from, int to) const {
    constexpr int kAsking = 16;
    int cost = 0;
    for (int i = from + 1; i < to; ++i) {
      if (blocks_.kind(i) == InstrKind::loop) return true;
      cost += cost_of(blocks_.instr(i));
    }
    return cost > kAsking;
  }

  void branch(int i) {
    Block& block = open_.emplace_back();
    block.begin = i;
    block.around = on_;
    block.parts = blocks_.parts(i);
    llvm::Value* predicate = values_[blocks_.instr(i).args[0]];
    if (!block.parts) {
      llvm::BasicBlock* then = new_block("then");
      block.other = new_block("otherwise");
      b_.CreateCondBr(predicate, then, block.other);
      b_.SetInsertPoint(then);
      return;
    }
    block.yes = pack(predicate);
    begin_arm(block, b_.CreateAnd(on_, block.yes), i, blocks_.middle(i));
  }

  void begin_arm(Block& block, llvm::Value* lanes, int from, int to) {
    on_ = lanes;
    block.skips = is_worth_skipping(from, to);
    if (!block.skips) return;
    block.before = b_.GetInsertBlock();
    llvm::BasicBlock* arm = new_block("arm");
    block.other = new_block("passed");
    b_.CreateCondBr(any(lanes), arm, block.other);
    b_.SetInsertPoint(arm);
  }

  /// What an arm gives; anything where it was passed over, though no lane may bring that into a mask.
  Values end_arm(Block& block, Values values) {
    if (!block.skips) return values;
    for (llvm::Value*& value : values) value = pack(value);
    llvm::BasicBlock* end = b_.GetInsertBlock();
    b_.CreateBr(block.other);
    block.other->moveAfter(end);
    b_.SetInsertPoint(block.other);
    for (size_t s = 0; s < values.size(); ++s) {
      if (llvm::isa<llvm::Constant>(values[s])) continue;
      llvm::PHINode* phi = b_.CreatePHI(values[s]->getType(), 2);
      phi->addIncoming(values[s], end);
      phi->addIncoming(llvm::Constant::getNullValue(values[s]->getType()), block.before);
      values[s] = phi;
    }
    return values;
  }

  void otherwise(int i) {
    Block& block = open_.back();
    const int join = blocks_.end(block.begin);
    block.first = args_of(i, 0, join);
    if (!block.parts) {
      for (llvm::Value*& value : block.first) value = pack(value);
      block.end_of_first = b_.GetInsertBlock();
      block.other->moveAfter(block.end_of_first);
      b_.SetInsertPoint(block.other);
      return;
    }
    block.first = end_arm(block, std::move(block.first));
    begin_arm(block, b_.CreateAnd(block.around, b_.CreateNot(block.yes)), i, join);
  }

  void join(int i) {
    Values others = args_of(i, 0, i);
    if (open_.back().parts) others = end_arm(open_.back(), std::move(others));
    const Block block = open_.pop_back_val();
    on_ = block.around;
    Values& handed = handed_[i];
    handed.clear();
    if (block.parts) {
      for (size_t s = 0; s < others.size(); ++s) {
        const bool is_bool = this->is_bool(blocks_.instr(i).args[s]);
        handed.push_back(pack(choose(block.yes, unpack(block.first[s], is_bool), unpack(others[s], is_bool))));
      }
      return;
    }
    for (llvm::Value*& value : others) value = pack(value);
    llvm::BasicBlock* end_of_second = b_.GetInsertBlock();
    llvm::BasicBlock* joined = new_block("join");
    b_.CreateBr(joined);
    b_.SetInsertPoint(block.end_of_first);
    b_.CreateBr(joined);
    b_.SetInsertPoint(joined);
    for (size_t s = 0; s < others.size(); ++s) {
      llvm::PHINode* phi = b_.CreatePHI(others[s]->getType(), 2);
      phi->addIncoming(block.first[s], block.end_of_first);
      phi->addIncoming(others[s], end_of_second);
      handed.push_back(phi);
    }
  }

  void loop(int i) {
    Values initial = args_of(i, 0, i);
    Block& block = open_.emplace_back();
    block.begin = i;
    block.around = on_;
    block.parts = blocks_.parts(i);
    for (llvm::Value*& value : initial) value = pack(value);
    llvm::BasicBlock* before = b_.GetInsertBlock();
    block.head = new_block("loop");
    b_.CreateBr(block.head);
    b_.SetInsertPoint(block.head);
    Values& handed = handed_[i];
    handed.clear();
    for (llvm::Value* value : initial) {
      block.carried.push_back(b_.CreatePHI(value->getType(), 2));
      block.carried.back()->addIncoming(value, before);
      handed.push_back(block.carried.back());
    }
    if (blocks_.instr(i).guarded) block.turns = guard_.count(before);
    if (!block.parts) return;
    block.on = b_.CreatePHI(on_->getType(), 2);
    block.on->addIncoming(on_, before);
    on_ = block.on;
    plan_leaving(block, before);
  }

  /// A lane that has left keeps what it took out: either what that is computed from stays as it is, or it is kept itself.
  void plan_leaving(Block& block, llvm::BasicBlock* before) {
    const int next = blocks_.end(block.begin);
    const Instr& leave = blocks_.instr(blocks_.middle(block.begin));
    block.rests.assign(block.carried.size(), false);
    block.kept.assign(leave.args.size() - 1, nullptr);
    block.steps.assign(leave.args.size() - 1, -1);
    for (size_t s = 0; s + 1 < leave.args.size(); ++s) {
      if (!blocks_.is_used(next, s)) continue;
      const std::optional<std::vector<int>> carried = blocks_.carried_behind(block.begin, leave.args[1 + s]);
      if (carried) {
        for (int c : *carried) block.rests[c] = true;
        continue;
      }
      block.kept[s] = b_.CreatePHI(packed(lanes_type(k_.context, dtype(leave.args[1 + s]), width_)), 2);
      const int counter = blocks_.counter(block.begin, leave.args[1 + s]);
      block.steps[s] = counter < 0 ? -1 : blocks_.step(block.begin, counter);
      block.kept[s]->addIncoming(counter < 0 ? llvm::Constant::getNullValue(block.kept[s]->getType())
                                             : spread_before(before, block.carried[counter]->getIncomingValue(0)), before);
    }
  }

  /// A scalar in all lanes, at the end of a block that is closed.
  llvm::Value* spread_before(llvm::BasicBlock* block, llvm::Value* scalar) {
    const llvm::IRBuilderBase::InsertPointGuard guard(b_);
    b_.SetInsertPoint(block->getTerminator());
    return splat(b_, scalar, width_);
  }

  /// What a counter comes to in the next turn: it grows in lanes that stay.
  llvm::Value* counted(llvm::Value* count, int step, llvm::Value* stay) {
    llvm::Value* lanes = is_mask(stay->getType()) ? b_.CreateSExt(stay, count->getType()) : b_.CreateSExtOrTrunc(stay, count->getType());
    const Instr& by = blocks_.instr(step);
    const bool is_one = by.kind == InstrKind::constant && program_.constants[by.slot] == 1;
    return is_one ? b_.CreateSub(count, lanes) : b_.CreateAdd(count, b_.CreateAnd(lanes, splat(b_, values_[step], width_)));
  }

  /// The parts of the predicate that all lanes share decide by a branch alone; the others whether a lane stays.
  llvm::Value* stay(int predicate, Block& block) {
    std::vector<int> parts;
    blocks_.add_parts(predicate, parts);
    block.stay = block.on;
    llvm::Value* all = nullptr;
    for (int part : parts) {
      llvm::Value* const value = values_[part];
      if (blocks_.varies(part)) {
        block.stay = b_.CreateAnd(block.stay, pack(value));
      } else {
        all = all ? b_.CreateAnd(all, value) : value;
      }
    }
    on_ = block.stay;
    return all ? b_.CreateAnd(all, any(block.stay)) : any(block.stay);
  }

  void leave(int i) {
    Block& block = open_.back();
    const int next = blocks_.end(block.begin);
    block.leaving = args_of(i, 1, next);
    llvm::Value* goes_on = values_[blocks_.instr(i).args[0]];
    if (block.parts) {
      block.next_kept.assign(block.kept.size(), nullptr);
      goes_on = stay(blocks_.instr(i).args[0], block);
      for (size_t s = 0; s < block.kept.size(); ++s) {
        if (!block.kept[s]) continue;
        if (block.steps[s] >= 0) {
          block.leaving[s] = block.kept[s];
          block.next_kept[s] = counted(block.kept[s], block.steps[s], block.stay);
          continue;
        }
        const bool is_bool = this->is_bool(blocks_.instr(i).args[1 + s]);
        block.leaving[s] = choose(block.on, block.leaving[s], unpack(block.kept[s], is_bool));
        block.next_kept[s] = pack(block.leaving[s]);
      }
    }
    for (llvm::Value*& value : block.leaving) value = pack(value);
    llvm::BasicBlock* body = new_block("body");
    block.other = new_block("done");
    b_.CreateCondBr(goes_on, body, block.other);
    b_.SetInsertPoint(body);
    if (block.turns) guard_.check(block.turns);
  }

  void next(int i) {
    Values carried = args_of(i, 0, blocks_.begin(i));
    const Block block = open_.pop_back_val();
    for (size_t s = 0; s < carried.size(); ++s) {
      if (block.parts && block.rests[s]) {
        const int step = blocks_.step(block.begin, static_cast<int>(s));
        carried[s] = step >= 0 ? counted(block.carried[s], step, block.stay)
                               : choose(block.stay, carried[s], unpack(block.carried[s], is_bool(blocks_.instr(i).args[s])));
      }
      carried[s] = pack(carried[s]);
    }
    llvm::BasicBlock* latch = b_.GetInsertBlock();
    for (size_t s = 0; s < carried.size(); ++s) block.carried[s]->addIncoming(carried[s], latch);
    if (block.parts) block.on->addIncoming(block.stay, latch);
    for (size_t s = 0; s < block.kept.size(); ++s) {
      if (block.kept[s]) block.kept[s]->addIncoming(block.next_kept[s], latch);
    }
    if (block.turns) guard_.turn(block.turns);
    b_.CreateBr(block.head);
    block.other->moveAfter(latch);
    b_.SetInsertPoint(block.other);
    if (block.turns) guard_.note(block.turns);
    on_ = block.around;
    handed_[i] = block.leaving;
  }

  KernelEmitter k_;
  Builder& b_;
  const KernelProgram& program_;
  const Blocks blocks_;
  const Lanes lanes_;
  const int width_;
  std::vector<llvm::Value*> values_;  // per instruction
  std::vector<Values> handed_;        // per join, loop and next, packed
  llvm::SmallVector<Block, 4> open_;
  llvm::Value* on_ = nullptr;         // the lanes that are on, packed
  LoopGuard guard_;
};

}  // namespace

llvm::Function* emit_masked_kernel(const KernelProgram& program, const CodegenOptions& options, llvm::Module& module,
                                   const std::string& name) {
  return MaskedKernel(program, options, module, name).emit();
}

}  // namespace etch::codegen
