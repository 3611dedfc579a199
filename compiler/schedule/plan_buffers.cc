// Where the values of a schedule live: which are inputs and outputs, and where the others lie in the arena.
#include "compiler/schedule/plan_buffers.h"

#include <algorithm>
#include <map>
#include <set>

#include "compiler/schedule/take_over.h"
#include "etch/buffer.h"
#include "runtime/kernel_abi.h"

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
  Planner(const Graph& graph, const Partition& partition, Lowered lowered, const ScheduleOptions& options,
          Schedule& schedule)
      : partition_(partition), lowered_(std::move(lowered)), schedule_(schedule),
        owners_(partition.num_storages(), Owner::plan), buffer_of_(partition.num_storages(), kNone),
        last_use_(buffer_of_.size(), kNone) {
    for (int storage = 0; storage < partition.num_storages(); ++storage) {
      bytes_.push_back(partition.bytes_of(graph, storage));
    }
    add_inputs_and_outputs(graph, options.shared_outputs);
    add_overwrites(graph, options.overwrites);
  }

  void run() {
    take_overs_ = find_take_overs(lowered_, owners_, bytes_, overwrites_);
    for (size_t i = 0; i < overwrites_.size(); ++i) {
      if (!take_overs_.overwrites[i]) schedule_.overwrites[overwriting_[i]] = kNone;
    }
    for (size_t k = 0; k < lowered_.kernels.size(); ++k) {
      for (const int storage : lowered_.kernels[k].buffers) last_use_[storage] = static_cast<int>(k);
    }
    // Errors keep their memory for the whole run: there is little of it.
    for (ScheduledKernel& kernel : lowered_.kernels) {
      const auto bytes = static_cast<int64_t>(kernel.checks.size() * sizeof(IndexError));
      if (bytes > 0) kernel.errors = arena_.allocate(bytes);
    }
    for (size_t k = 0; k < lowered_.kernels.size(); ++k) plan_kernel(static_cast<int>(k));
    schedule_.arena_bytes = arena_.size();
    schedule_.kernels = std::move(lowered_.kernels);
  }

 private:
  using Kind = ScheduledBuffer::Kind;

  ScheduledBuffer& add(int storage, Kind kind, int index, int64_t offset = 0) {
    buffer_of_[storage] = static_cast<int>(schedule_.buffers.size());
    schedule_.buffers.push_back({kind, index, bytes_[storage], offset, partition_.value_of(storage)});
    return schedule_.buffers.back();
  }

  void add_inputs_and_outputs(const Graph& graph, const std::vector<bool>& shared_outputs) {
    for (size_t i = 0; i < graph.inputs().size(); ++i) {
      const int storage = graph.inputs()[i].id;
      add(storage, Kind::input, static_cast<int>(i));
      owners_[storage] = Owner::caller;
    }
    for (size_t i = 0; i < graph.outputs().size(); ++i) {
      const int storage = storage_of(graph, graph.outputs()[i]).id;
      if (buffer_of_[storage] == kNone) add(storage, Kind::output, static_cast<int>(i));
      schedule_.outputs.push_back(buffer_of_[storage]);
      const bool is_shared = i < shared_outputs.size() && shared_outputs[i];
      owners_[storage] = std::max(owners_[storage], is_shared ? Owner::several : Owner::caller);
    }
  }

  /// An input that is itself an output is wanted to the end, and an output with the memory of another is not its own.
  void add_overwrites(const Graph& graph, const std::vector<int>& wanted) {
    schedule_.overwrites.assign(graph.outputs().size(), kNone);
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i] == kNone) continue;
      const int result = storage_of(graph, graph.outputs()[i]).id, operand = graph.inputs()[wanted[i]].id;
      const ScheduledBuffer& own = buffer(result);
      const bool is_own = own.kind == Kind::output && own.index == static_cast<int>(i);
      if (!is_own || std::ranges::count(schedule_.outputs, buffer_of_[operand]) > 0) continue;
      schedule_.overwrites[i] = wanted[i];
      overwrites_.push_back({result, operand});
      overwriting_.push_back(static_cast<int>(i));
    }
  }

  ScheduledBuffer& buffer(int storage) { return schedule_.buffers[buffer_of_[storage]]; }

  /// A storage lies where the one lies that it takes over; the first of a chain in the arena, unless the last is an output.
  void place(int storage) {
    if (const int operand = take_overs_.operand[storage]; operand != kNone) {
      const ScheduledBuffer from = buffer(operand);
      add(storage, from.kind, from.index, from.offset);
      return;
    }
    const int last = take_overs_.last(storage);
    if (buffer_of_[last] != kNone) {
      add(storage, Kind::output, buffer(last).index);
      return;
    }
    add(storage, Kind::temporary, 0, arena_.allocate(bytes_[storage]));
  }

  void plan_kernel(int k) {
    ScheduledKernel& kernel = lowered_.kernels[k];
    for (const int storage : kernel.buffers) {
      if (buffer_of_[storage] == kNone) place(storage);
    }
    for (int& id : kernel.buffers) {
      const int storage = id;
      id = buffer_of_[storage];
      if (last_use_[storage] != k || take_overs_.result[storage] != kNone) continue;
      last_use_[storage] = kNone;
      if (buffer(storage).kind == Kind::temporary) arena_.release(buffer(storage).offset, bytes_[storage]);
    }
  }

  const Partition& partition_;
  Lowered lowered_;
  Schedule& schedule_;
  std::vector<int64_t> bytes_;  // per storage
  std::vector<Owner> owners_;   // per storage
  std::vector<int> buffer_of_;  // per storage
  std::vector<int> last_use_;   // per storage: a kernel
  std::vector<Overwrite> overwrites_;
  std::vector<int> overwriting_;  // per overwrite: which output it is
  TakeOvers take_overs_;
  Arena arena_;
};

}  // namespace

void plan_buffers(const Graph& graph, const Partition& partition, Lowered lowered,
                  const ScheduleOptions& options, Schedule& schedule) {
  Planner(graph, partition, std::move(lowered), options, schedule).run();
}

}  // namespace etch::schedule
