// The program of a kernel without axes, or with one for lanes, while it is written.
#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/graph.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// The most instructions of such a kernel.
inline constexpr size_t kMostScalarInstrs = 2000;

/// An instruction while the program is written: entry instructions count down from -1, all others up from 0.
using Id = int32_t;

/// The instructions that hold the elements of a value, row-major.
using Elements = absl::InlinedVector<Id, 1>;

inline void append(absl::InlinedVector<int32_t, 3>& args, const Elements& elements) {
  args.insert(args.end(), elements.begin(), elements.end());
}

/// The program in the making: what it loads and the numbers it knows come first.
class ScalarDraft {
 public:
  /// @param lanes so many elements go their own way, or 0: the kernel has no axis.
  explicit ScalarDraft(const Node& node, int64_t lanes = 0) : node_(node), num_lanes_(lanes) {}

  /// @param stride elements from lane to lane.
  Id load(int storage, int64_t element, DType dtype, int64_t stride = 0) {
    const Entry made{.instr = memory_instr(InstrKind::load, dtype), .storage = storage, .offset = element, .stride = stride};
    return entry(loads_, {storage, element, stride}, made);
  }

  /// The number of the lane.
  Id lane(DType dtype) {
    const Id number = entry(lanes_, 0, {.instr = memory_instr(InstrKind::index, DType::i64)});
    const Id operands[] = {number};
    return dtype == DType::i64 ? number : compute(kConversion, operands, dtype);
  }

  /// A number that is data of the kernel. Where an instruction is better for knowing it, it becomes part of the code.
  Id number(uint64_t bits, DType dtype) {
    const Entry made{.instr = memory_instr(InstrKind::param, dtype), .bits = bits};
    return entry(numbers_, {bits, dtype}, made);
  }

  Id push(Instr instr) {
    if (is_too_long()) return 0;
    for (int32_t& arg : instr.args) note_use(arg);
    code_.push_back(std::move(instr));
    return static_cast<Id>(code_.size()) - 1;
  }

  Id compute(Op op, std::span<const Id> operands, DType dtype) {
    Instr instr;
    instr.op = op;
    instr.dtype = dtype;
    for (Id operand : operands) instr.args.push_back(in_code(op, operand));
    return push(std::move(instr));
  }

  /// @param guarded of a loop: it takes no more turns than the run allows.
  Id control(InstrKind kind, absl::InlinedVector<int32_t, 3> args, bool guarded = false) {
    Instr instr;
    instr.kind = kind;
    instr.guarded = guarded;
    instr.args = std::move(args);
    return push(std::move(instr));
  }

  /// Values that a block hands on, of the types.
  std::vector<Elements> handed(Id block, std::span<const Type> types) {
    std::vector<Elements> values;
    int16_t slot = 0;
    for (const Type& type : types) {
      Elements& elements = values.emplace_back();
      for (int64_t i = 0; i < type.size(); ++i) {
        Instr instr = memory_instr(InstrKind::handed, type.dtype);
        instr.slot = slot++;
        instr.args = {block};
        elements.push_back(push(std::move(instr)));
      }
    }
    return values;
  }

  void store(int storage, int64_t element, DType dtype, Id value, int64_t stride = 0) {
    note_use(value);
    stores_.push_back({.instr = memory_instr(InstrKind::store, dtype), .storage = storage, .offset = element, .stride = stride,
                       .value = value});
  }

  bool is_too_long() const { return code_.size() >= kMostScalarInstrs; }

  ScheduledKernel finish() {
    ScheduledKernel kernel;
    KernelProgram& program = kernel.program;
    std::vector<int64_t> indices, params;
    if (num_lanes_ > 0) {
      program.axes = {Role::vector};
      kernel.sizes.push_back(num_lanes_);
    }
    for (Entry& entry : entries_) {
      if (!entry.is_used) continue;
      entry.position = static_cast<int32_t>(program.body.size());
      program.body.push_back(entry.instr);
      int16_t& slot = program.body.back().slot;
      switch (entry.instr.kind) {
        case InstrKind::load: slot = add_access(kernel, entry); break;
        case InstrKind::index:
          slot = static_cast<int16_t>(program.indices.size());
          program.indices.push_back(Stride::one);
          indices.insert(indices.end(), {0, 1});
          break;
        case InstrKind::constant:
          slot = static_cast<int16_t>(program.constants.size());
          program.constants.push_back(entry.bits);
          break;
        default:
          slot = program.num_params++;
          params.push_back(static_cast<int64_t>(entry.bits));
      }
    }
    const auto first = static_cast<int32_t>(program.body.size());
    const auto position = [&](Id id) { return id < 0 ? entries_[~id].position : first + id; };
    for (Instr& instr : code_) {
      for (int32_t& arg : instr.args) arg = position(arg);
      program.body.push_back(std::move(instr));
    }
    for (Entry& entry : stores_) {
      program.body.push_back(entry.instr);
      program.body.back().args = {position(entry.value)};
      program.body.back().slot = add_access(kernel, entry);
    }
    kernel.sizes.insert(kernel.sizes.end(), indices.begin(), indices.end());
    kernel.sizes.insert(kernel.sizes.end(), params.begin(), params.end());
    kernel.sizes.push_back(0);
    kernel.iterations = std::max<int64_t>(num_lanes_, 1);
    kernel.touches = static_cast<int64_t>(program.accesses.size());
    int depth = 0;
    for (const Instr& instr : program.body) {
      depth += instr.kind == InstrKind::loop;
      kernel.additions += turns_of_loops(depth) * cost_of(instr);
      depth -= instr.kind == InstrKind::next;
    }
    for (Value result : results(node_)) kernel.values.push_back(result);
    return kernel;
  }

 private:
  struct Entry {
    Instr instr;
    uint64_t bits = 0;    // of a number
    int storage = -1;     // of a load or store
    int64_t offset = 0;   // of lane 0
    int64_t stride = 0;   // from lane to lane
    Id value = 0;         // of a store
    bool is_used = false;
    int32_t position = -1;
  };

  static Instr memory_instr(InstrKind kind, DType dtype) {
    Instr instr;
    instr.kind = kind;
    instr.dtype = dtype;
    return instr;
  }

  template <class Key>
  Id entry(std::map<Key, Id>& known, const Key& key, const Entry& made) {
    const auto [found, is_new] = known.try_emplace(key, ~static_cast<Id>(entries_.size()));
    if (is_new) entries_.push_back(made);
    return found->second;
  }

  void note_use(Id id) {
    if (id < 0) entries_[~id].is_used = true;
  }

  /// The operand, or the number of the code that it is. Code is faster for the integers it calculates with, but not for
  /// those it only compares or hands on, such as the length of a loop: those differ from call to call.
  Id in_code(Op op, Id operand) {
    if (operand >= 0 || entries_[~operand].instr.kind != InstrKind::param) return operand;
    const Entry& known = entries_[~operand];
    const DType dtype = known.instr.dtype;
    if (is_floating(dtype)) return operand;
    const bool compares = is_table_op(op) && (info(op).rule == TypeRule::equality || info(op).rule == TypeRule::ordering ||
                                              info(op).rule == TypeRule::select);
    if (compares && known.bits > 1) return operand;
    const Entry made{.instr = memory_instr(InstrKind::constant, dtype), .bits = known.bits};
    return entry(constants_, {known.bits, dtype}, made);
  }

  /// As many as lanes are thought to take, where each has turns of its own: threads share them.
  int64_t turns_of_loops(int depth) const { return num_lanes_ > 0 ? int64_t{1} << 4 * std::min(depth, 8) : 1; }

  /// The first access whose lanes lie as far apart as those of a new one, so that both have one offset for each lane.
  int16_t like(const ScheduledKernel& kernel, const Access& access, int64_t stride) const {
    const std::vector<Access>& accesses = kernel.program.accesses;
    for (size_t a = 0; access.stride == Stride::other && a < accesses.size(); ++a) {
      const int64_t other = kernel.sizes[2 + 2 * a];  // behind the lanes, an offset and a stride for each access
      if (accesses[a].dtype == access.dtype && other == stride) return static_cast<int16_t>(a);
    }
    return -1;
  }

  int16_t add_access(ScheduledKernel& kernel, const Entry& entry) const {
    Access access;
    access.dtype = entry.instr.dtype;
    access.stride = stride_class(entry.stride);
    access.uniform = entry.stride == 0;
    access.like = like(kernel, access, entry.stride);
    kernel.program.accesses.push_back(access);
    kernel.buffers.push_back(entry.storage);
    kernel.sizes.push_back(entry.offset);
    if (num_lanes_ > 0) kernel.sizes.push_back(entry.stride);
    return static_cast<int16_t>(kernel.program.accesses.size() - 1);
  }

  const Node& node_;
  const int64_t num_lanes_;
  std::vector<Entry> entries_;
  std::vector<Instr> code_;
  std::vector<Entry> stores_;
  std::map<std::tuple<int, int64_t, int64_t>, Id> loads_;
  std::map<int, Id> lanes_;
  std::map<std::pair<uint64_t, DType>, Id> numbers_, constants_;
};

}  // namespace etch::schedule
