// Where the values of a schedule live: which are inputs and outputs, and where the others lie in the arena.
#include "compiler/schedule/plan_buffers.h"

#include <algorithm>
#include <map>
#include <set>

#include "etch/buffer.h"

namespace etch::schedule {
namespace {

/// Offsets of blocks that live at the same time; the smallest free block that fits is taken.
class Arena {
 public:
  int64_t allocate(int64_t bytes) {
    if (bytes == 0) return 0;
    bytes = (bytes + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment;
    auto fit = by_size_.lower_bound({bytes, 0});
    int64_t offset = size_, room = 0;
    if (fit != by_size_.end()) {
      room = fit->first;
      offset = fit->second;
      take(offset, room);
    } else if (!free_.empty() && free_.rbegin()->first + free_.rbegin()->second == size_) {
      offset = free_.rbegin()->first;  // the last block grows
      take(offset, free_.rbegin()->second);
    }
    if (room > bytes) give(offset + bytes, room - bytes);
    size_ = std::max(size_, offset + bytes);
    return offset;
  }

  void release(int64_t offset, int64_t bytes) {
    if (bytes == 0) return;
    bytes = (bytes + Buffer::kAlignment - 1) / Buffer::kAlignment * Buffer::kAlignment;
    auto next = free_.lower_bound(offset);
    if (next != free_.end() && offset + bytes == next->first) {
      bytes += next->second;
      take(next->first, next->second);
    }
    auto after = free_.lower_bound(offset);
    if (after != free_.begin()) {
      auto previous = std::prev(after);
      if (previous->first + previous->second == offset) {
        offset = previous->first;
        bytes += previous->second;
        take(previous->first, previous->second);
      }
    }
    give(offset, bytes);
  }

  int64_t size() const { return size_; }

 private:
  void take(int64_t offset, int64_t bytes) {
    free_.erase(offset);
    by_size_.erase({bytes, offset});
  }
  void give(int64_t offset, int64_t bytes) {
    free_[offset] = bytes;
    by_size_.insert({bytes, offset});
  }

  int64_t size_ = 0;
  std::map<int64_t, int64_t> free_;                // offset -> bytes
  std::set<std::pair<int64_t, int64_t>> by_size_;  // bytes, offset
};

constexpr int kNone = -1;

class Planner {
 public:
  Planner(const Graph& graph, const Partition& partition, Lowered lowered, Schedule& schedule)
      : graph_(graph), partition_(partition), lowered_(std::move(lowered)), schedule_(schedule),
        buffer_of_(partition.num_storages(), kNone), last_use_(buffer_of_.size(), kNone),
        writers_(buffer_of_.size(), 0) {}

  int run() {
    for (size_t i = 0; i < graph_.inputs().size(); ++i) {
      Value input = graph_.inputs()[i];
      add(input.id, ScheduledBuffer::Kind::input, static_cast<int>(i));
    }
    for (size_t i = 0; i < graph_.outputs().size(); ++i) {
      int storage = storage_of(graph_, graph_.outputs()[i]).id;
      if (buffer_of_[storage] == kNone) add(storage, ScheduledBuffer::Kind::output, static_cast<int>(i));
      schedule_.outputs.push_back(buffer_of_[storage]);
    }
    find_uses();
    for (size_t k = 0; k < lowered_.kernels.size(); ++k) plan_kernel(static_cast<int>(k));
    schedule_.arena_bytes = arena_.size();
    schedule_.kernels = std::move(lowered_.kernels);
    return peak_;
  }

 private:
  int64_t bytes_of(int storage) const { return partition_.bytes_of(graph_, storage); }

  ScheduledBuffer& add(int storage, ScheduledBuffer::Kind kind, int index) {
    buffer_of_[storage] = static_cast<int>(schedule_.buffers.size());
    schedule_.buffers.push_back({kind, index, bytes_of(storage), 0, partition_.value_of(storage)});
    return schedule_.buffers.back();
  }

  void find_uses() {
    for (size_t k = 0; k < lowered_.kernels.size(); ++k) {
      const ScheduledKernel& kernel = lowered_.kernels[k];
      std::vector<bool> stored = stored_accesses(kernel);
      for (size_t a = 0; a < kernel.buffers.size(); ++a) {
        int storage = kernel.buffers[a];
        bool again = false;
        for (size_t before = 0; before < a; ++before) again |= stored[before] && kernel.buffers[before] == storage;
        last_use_[storage] = static_cast<int>(k);
        writers_[storage] += stored[a] && !again;
      }
    }
  }

  bool is_temporary(int storage) const {
    return buffer_of_[storage] == kNone ||
           schedule_.buffers[buffer_of_[storage]].kind == ScheduledBuffer::Kind::temporary;
  }

  void plan_kernel(int k) {
    ScheduledKernel& kernel = lowered_.kernels[k];
    std::vector<bool> stored = stored_accesses(kernel);
    std::vector<int> given;  // storages whose memory another one took over
    const int64_t size_before = arena_.size();
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      int storage = kernel.buffers[a];
      if (buffer_of_[storage] != kNone) continue;
      ScheduledBuffer& buffer = add(storage, ScheduledBuffer::Kind::temporary, 0);
      int donor = stored[a] ? find_donor(kernel, stored, static_cast<int>(a), k, given) : kNone;
      if (donor == kNone) {
        buffer.offset = arena_.allocate(buffer.bytes);
      } else {
        buffer.offset = schedule_.buffers[buffer_of_[donor]].offset;
        given.push_back(donor);
      }
    }
    if (arena_.size() > size_before) peak_ = k;
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      int storage = kernel.buffers[a];
      kernel.buffers[a] = buffer_of_[storage];
      if (!is_temporary(storage) || last_use_[storage] != k) continue;
      last_use_[storage] = kNone;
      bool taken = std::find(given.begin(), given.end(), storage) != given.end();
      if (!taken) arena_.release(schedule_.buffers[buffer_of_[storage]].offset, bytes_of(storage));
    }
  }

  /// Offset and strides of an access.
  static std::vector<int64_t> address(const ScheduledKernel& kernel, int access) {
    SizesLayout layout(kernel.program);
    auto from = kernel.sizes.begin() + layout.access(access);
    return {from, from + 1 + layout.rank};
  }

  /// True if a kernel's last load from one storage comes before its first store into another, row by row.
  static bool read_before_written(const ScheduledKernel& kernel, int read, int written) {
    bool stored = false;
    for (const Instr& instr : kernel.program.body) {
      if (instr.kind == InstrKind::store) stored |= kernel.buffers[instr.slot] == written;
      if (instr.kind == InstrKind::load && stored && kernel.buffers[instr.slot] == read) return false;
    }
    return true;
  }

  /// A temporary that dies in this kernel and is read only where an element of the result is stored, and before that: it
  /// can be overwritten. The products of a dot read their operands many times, and its results may pass through memory; a
  /// library function reads and writes as it likes.
  int find_donor(const ScheduledKernel& kernel, const std::vector<bool>& stored, int access, int k,
                 const std::vector<int>& given) const {
    const bool reads_again = kernel.call || kernel.program.has(Role::row);
    if (reads_again || writers_[kernel.buffers[access]] != 1) return kNone;
    const auto same_place = [&](int read, int written) {
      return size_of(kernel.program.accesses[read].dtype) == size_of(kernel.program.accesses[written].dtype) &&
             address(kernel, read) == address(kernel, written);
    };
    // An unrolled body has an access for each element that it stores.
    const auto is_stored_over = [&](int read) {
      for (int b = 0; b < static_cast<int>(kernel.buffers.size()); ++b) {
        if (kernel.buffers[b] == kernel.buffers[access] && stored[b] && same_place(read, b)) return true;
      }
      return false;
    };
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      int storage = kernel.buffers[a];
      bool candidate = !stored[a] && buffer_of_[storage] != kNone && is_temporary(storage) && last_use_[storage] == k &&
                       bytes_of(storage) == bytes_of(kernel.buffers[access]) &&
                       std::find(given.begin(), given.end(), storage) == given.end();
      if (!candidate) continue;
      bool fits = true;
      for (size_t b = 0; b < kernel.buffers.size(); ++b) {
        if (kernel.buffers[b] == storage) fits = fits && !stored[b] && is_stored_over(static_cast<int>(b));
      }
      if (fits && read_before_written(kernel, storage, kernel.buffers[access])) return storage;
    }
    return kNone;
  }

  const Graph& graph_;
  const Partition& partition_;
  Lowered lowered_;
  Schedule& schedule_;
  std::vector<int> buffer_of_;  // per storage
  std::vector<int> last_use_;   // per storage: a kernel
  std::vector<int> writers_;    // per storage: kernels
  Arena arena_;
  int peak_ = kNone;
};

}  // namespace

int plan_buffers(const Graph& graph, const Partition& partition, Lowered lowered, Schedule& schedule) {
  return Planner(graph, partition, std::move(lowered), schedule).run();
}

}  // namespace etch::schedule
