// 'This result takes over that operand': when a value may lie where another one lay.
#include "compiler/schedule/take_over.h"

#include <algorithm>
#include <span>

namespace etch::schedule {
namespace {

constexpr int kNone = -1;

/// Offset and strides of an access.
std::span<const int64_t> address(const ScheduledKernel& kernel, int access) {
  const SizesLayout layout(kernel.program);
  return {kernel.sizes.data() + layout.access(access), static_cast<size_t>(1 + layout.rank)};
}

bool same_place(const ScheduledKernel& kernel, int a, int b) {
  const std::vector<Access>& accesses = kernel.program.accesses;
  return size_of(accesses[a].dtype) == size_of(accesses[b].dtype) &&
         std::ranges::equal(address(kernel, a), address(kernel, b));
}

/// True if a kernel's last load from one storage comes before its first store into another, row by row.
bool read_before_written(const ScheduledKernel& kernel, int read, int written) {
  bool stored = false;
  for (const Instr& instr : kernel.program.body) {
    if (instr.kind == InstrKind::store) stored |= kernel.buffers[instr.slot] == written;
    if (instr.kind == InstrKind::load && stored && kernel.buffers[instr.slot] == read) return false;
  }
  return true;
}

/// True if the kernel stores an element of `result` where an access reads. An unrolled body has an access for each element.
bool is_stored_over(const ScheduledKernel& kernel, const std::vector<bool>& stored, int read, int result) {
  if (kernel.program.accesses[read].indexed != Indexed::no) return false;
  for (size_t a = 0; a < kernel.buffers.size(); ++a) {
    if (kernel.buffers[a] == result && stored[a] && same_place(kernel, read, static_cast<int>(a))) return true;
  }
  return false;
}

/// True if the products of a dot read a storage. What its epilogue alone reads is read once, like the operands of a loop.
bool is_multiplied(const ScheduledKernel& kernel, int storage) {
  if (!kernel.program.has(Role::row)) return false;
  return std::ranges::any_of(kernel.program.body, [&](const Instr& instr) {
    return instr.kind == InstrKind::load && instr.stage == 0 && kernel.buffers[instr.slot] == storage;
  });
}

/// True if a call or flow says that a result may lie where an operand lay, which is no other operand as well.
bool says_overwrites(const ScheduledKernel& kernel, int operand, int result) {
  if (kernel.host || std::ranges::count(kernel.buffers, operand) != 1) return false;
  const auto are = [&](int a, int b) {
    return kernel.buffers[a] == operand && kernel.buffers[kernel.num_operands + b] == result;
  };
  if (kernel.call) return kernel.call->overwrites != kNone && are(kernel.call->overwrites, 0);
  return std::ranges::any_of(kernel.flow->overwrites, [&](const auto& pair) { return are(pair.operand, pair.result); });
}

/// True if the kernel only reads `operand`, and only where it stores `result`, and before that.
bool can_overwrite(const ScheduledKernel& kernel, const std::vector<bool>& stored, int operand, int result) {
  if (kernel.is_opaque()) return says_overwrites(kernel, operand, result);
  // The last lanes of a swept row are computed twice.
  if (is_multiplied(kernel, operand) || kernel.program.sweeps()) return false;
  for (size_t a = 0; a < kernel.buffers.size(); ++a) {
    if (kernel.buffers[a] != operand) continue;
    if (stored[a] || !is_stored_over(kernel, stored, static_cast<int>(a), result)) return false;
  }
  return read_before_written(kernel, operand, result);
}

/// What a search for take-overs knows about each storage: who writes and who reads it.
class Search {
 public:
  Search(const std::vector<ScheduledKernel>& kernels, const std::vector<ScheduledStripes>& stripes,
         const std::vector<Owner>& owners, const std::vector<int64_t>& bytes)
      : kernels_(kernels), stripes_(stripes), owners_(owners), bytes_(bytes), last_use_(owners.size(), kNone),
        num_writers_(owners.size(), 0), first_writer_(owners.size(), kNone), last_writer_(owners.size(), kNone),
        found_{std::vector<int>(owners.size(), kNone), std::vector<int>(owners.size(), kNone), {}} {
    for (int k = 0; k < static_cast<int>(kernels.size()); ++k) {
      stored_.push_back(stored_accesses(kernels[k]));
      for (size_t a = 0; a < kernels[k].buffers.size(); ++a) {
        const int storage = kernels[k].buffers[a];
        last_use_[storage] = k;
        if (!stored_[k][a] || last_writer_[storage] == k) continue;
        ++num_writers_[storage];
        last_writer_[storage] = k;
        if (first_writer_[storage] == kNone) first_writer_[storage] = k;
      }
    }
  }

  TakeOvers run(const std::vector<Overwrite>& overwrites) {
    for (int k = 0; k < static_cast<int>(kernels_.size()); ++k) {
      find_operands(k);
    }
    for (const Overwrite& overwrite : overwrites) found_.overwrites.push_back(overwrites_now(overwrite));
    return std::move(found_);
  }

 private:
  void find_operands(int k) {
    const ScheduledKernel& kernel = kernels_[k];
    for (size_t access = 0; access < kernel.buffers.size(); ++access) {
      const int result = kernel.buffers[access];
      if (!stored_[k][access] || num_writers_[result] != 1 || found_.operand[result] != kNone) continue;
      if (owners_[result] == Owner::several) continue;
      for (const int operand : kernel.buffers) {
        const bool dies = owners_[operand] == Owner::plan && last_use_[operand] == k && found_.result[operand] == kNone;
        if (!dies || operand == result || bytes_[operand] != bytes_[result]) continue;
        if (!can_overwrite(kernel, stored_[k], operand, result)) continue;
        if (is_read_meanwhile(operand, k)) continue;
        found_.operand[result] = operand;
        found_.result[operand] = result;
        break;
      }
    }
  }

  const ScheduledStripes* stripes_of(int k) const {
    const auto after = std::ranges::upper_bound(stripes_, k, {}, &ScheduledStripes::first);
    return after != stripes_.begin() && k < std::prev(after)->end() ? &*std::prev(after) : nullptr;
  }

  /// True if other kernels of the stripes in which k runs touch the operand, and not all of it was written there.
  bool is_read_meanwhile(int operand, int k) const {
    const ScheduledStripes* stripes = stripes_of(k);
    if (stripes == nullptr || first_writer_[operand] >= stripes->first) return false;
    for (int other = stripes->first; other < stripes->end(); ++other) {
      if (other != k && std::ranges::count(kernels_[other].buffers, operand) > 0) return true;
    }
    return false;
  }

  /// True if the storage may be written where the operand lies.
  bool can_lie_over(int operand, int storage) const {
    const int k = first_writer_[storage];
    if (k == kNone || is_read_meanwhile(operand, k)) return false;
    if (last_use_[operand] != k) return last_use_[operand] < k;
    return can_overwrite(kernels_[k], stored_[k], operand, storage);
  }

  bool overwrites_now(const Overwrite& overwrite) {
    if (!can_lie_over(overwrite.operand, overwrite.result)) return false;
    int first = overwrite.result;
    for (int before; (before = found_.operand[first]) != kNone; first = before) {
      if (can_lie_over(overwrite.operand, before)) continue;
      found_.operand[first] = found_.result[before] = kNone;
      break;
    }
    return true;
  }

  const std::vector<ScheduledKernel>& kernels_;
  const std::vector<ScheduledStripes>& stripes_;
  const std::vector<Owner>& owners_;
  const std::vector<int64_t>& bytes_;
  std::vector<std::vector<bool>> stored_;                                  // per kernel and access
  std::vector<int> last_use_, num_writers_, first_writer_, last_writer_;  // per storage
  TakeOvers found_;
};

}  // namespace

int TakeOvers::last(int storage) const {
  while (result[storage] != kNone) storage = result[storage];
  return storage;
}

TakeOvers find_take_overs(const Lowered& lowered, const std::vector<ScheduledStripes>& stripes,
                          const std::vector<Owner>& owners, const std::vector<int64_t>& bytes,
                          const std::vector<Overwrite>& overwrites) {
  return Search(lowered.kernels, stripes, owners, bytes).run(overwrites);
}

}  // namespace etch::schedule
