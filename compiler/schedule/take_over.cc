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
  for (size_t a = 0; a < kernel.buffers.size(); ++a) {
    if (kernel.buffers[a] == result && stored[a] && same_place(kernel, read, static_cast<int>(a))) return true;
  }
  return false;
}

/// True if the kernel only reads `operand`, and only where it stores `result`, and before that.
bool can_overwrite(const ScheduledKernel& kernel, const std::vector<bool>& stored, int operand, int result) {
  for (size_t a = 0; a < kernel.buffers.size(); ++a) {
    if (kernel.buffers[a] != operand) continue;
    if (stored[a] || !is_stored_over(kernel, stored, static_cast<int>(a), result)) return false;
  }
  return read_before_written(kernel, operand, result);
}

}  // namespace

int TakeOvers::last(int storage) const {
  while (result[storage] != kNone) storage = result[storage];
  return storage;
}

TakeOvers find_take_overs(const Lowered& lowered, const std::vector<Owner>& owners, const std::vector<int64_t>& bytes) {
  const std::vector<ScheduledKernel>& kernels = lowered.kernels;
  const size_t n = owners.size();
  std::vector<std::vector<bool>> stored;
  std::vector<int> last_use(n, kNone), writers(n, 0), writer(n, kNone);
  for (int k = 0; k < static_cast<int>(kernels.size()); ++k) {
    stored.push_back(stored_accesses(kernels[k]));
    for (size_t a = 0; a < kernels[k].buffers.size(); ++a) {
      const int storage = kernels[k].buffers[a];
      last_use[storage] = k;
      if (stored[k][a] && writer[storage] != k) ++writers[storage], writer[storage] = k;
    }
  }
  TakeOvers found{std::vector<int>(n, kNone), std::vector<int>(n, kNone)};
  for (int k = 0; k < static_cast<int>(kernels.size()); ++k) {
    const ScheduledKernel& kernel = kernels[k];
    if (kernel.call || kernel.program.has(Role::row)) continue;
    for (size_t access = 0; access < kernel.buffers.size(); ++access) {
      const int result = kernel.buffers[access];
      if (!stored[k][access] || writers[result] != 1 || found.operand[result] != kNone) continue;
      if (owners[result] == Owner::several) continue;
      for (const int operand : kernel.buffers) {
        const bool dies = owners[operand] == Owner::plan && last_use[operand] == k && found.result[operand] == kNone;
        if (!dies || operand == result || bytes[operand] != bytes[result]) continue;
        if (!can_overwrite(kernel, stored[k], operand, result)) continue;
        found.operand[result] = operand;
        found.result[operand] = result;
        break;
      }
    }
  }
  return found;
}

}  // namespace etch::schedule
