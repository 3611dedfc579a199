// Where the values of a schedule live: which are inputs and outputs, and where the others lie in the arena.
#include "compiler/schedule/plan_buffers.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "compiler/schedule/stripes.h"
#include "compiler/schedule/take_over.h"
#include "etch/buffer.h"
#include "runtime/kernel_abi.h"
#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

/// Offsets of blocks that live at the same time; the smallest free block that fits is taken. Large ones begin at multiples of
/// Buffer::kPlaceStep, as buffers do.
class Arena {
 public:
  int64_t allocate(int64_t bytes) {
    if (bytes == 0) return 0;
    bytes = round_up(bytes, Buffer::kAlignment);
    const int64_t step = bytes < kLarge ? Buffer::kAlignment : Buffer::kPlaceStep;
    int64_t from = size_, room = 0;
    for (auto fit = by_size_.lower_bound({bytes, 0}); fit != by_size_.end() && room == 0; ++fit) {
      if (round_up(fit->second, step) + bytes <= fit->second + fit->first) std::tie(room, from) = *fit;
    }
    if (room == 0 && !free_.empty() && free_.rbegin()->first + free_.rbegin()->second == size_) {
      std::tie(from, room) = *free_.rbegin();  // the last block grows
    }
    if (room > 0) take(from, room);
    const int64_t offset = round_up(from, step), end = offset + bytes;
    if (offset > from) give(from, offset - from);
    if (from + room > end) give(end, from + room - end);
    size_ = std::max(size_, end);
    return offset;
  }

  void release(int64_t offset, int64_t bytes) {
    if (bytes == 0) return;
    bytes = round_up(bytes, Buffer::kAlignment);
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
  static constexpr int64_t kLarge = 4 * Buffer::kPlaceStep;  // of smaller ones the gaps would be a large part


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
  Planner(const Graph& graph, const Partition& partition, Lowered lowered, std::vector<ScheduledStripes> stripes,
          const ScheduleOptions& options, Schedule& schedule)
      : partition_(partition), options_(options), lowered_(std::move(lowered)), schedule_(schedule),
        owners_(partition.num_storages(), Owner::plan), buffer_of_(partition.num_storages(), kNone),
        first_use_(buffer_of_.size(), kNone), last_use_(buffer_of_.size(), kNone), stripe_of_(buffer_of_.size(), kNone), stripe_offsets_(buffer_of_.size(), 0) {
    schedule_.stripes = std::move(stripes);
    for (int storage = 0; storage < partition.num_storages(); ++storage) {
      bytes_.push_back(partition.bytes_of(graph, storage));
    }
    add_inputs_and_outputs(graph, options.shared_outputs);
    add_overwrites(graph, options.overwrites);
  }

  void run() {
    take_overs_ = find_take_overs(lowered_, schedule_.stripes, owners_, bytes_, overwrites_);
    for (size_t i = 0; i < overwrites_.size(); ++i) {
      if (!take_overs_.overwrites[i]) schedule_.overwrites[overwriting_[i]] = kNone;
    }
    for (size_t k = 0; k < lowered_.kernels.size(); ++k) {
      for (const int storage : lowered_.kernels[k].buffers) {
        last_use_[storage] = static_cast<int>(k);
        if (first_use_[storage] == kNone) first_use_[storage] = static_cast<int>(k);
      }
    }
    for (int s = 0; s < static_cast<int>(schedule_.stripes.size()); ++s) plan_stripes(s);
    // Errors keep their memory for the whole run: there is little of it.
    for (ScheduledKernel& kernel : lowered_.kernels) {
      const auto bytes = static_cast<int64_t>(kernel.checks.size() * sizeof(IndexError));
      if (bytes > 0) kernel.errors = arena_.allocate(bytes);
    }
    auto stripes = schedule_.stripes.begin();
    for (int k = 0; k < static_cast<int>(lowered_.kernels.size()); ++k) {
      place_storages(k);
      const bool is_inside = stripes != schedule_.stripes.end() && k >= stripes->first;
      if (is_inside && k + 1 < stripes->end()) continue;
      const int first = is_inside ? (stripes++)->first : k;
      release(first, k);
    }
    for (ScheduledKernel& kernel : lowered_.kernels) {
      for (int& id : kernel.buffers) id = buffer_of_[id];
    }
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

  // ---- Stripes

  /// True if nobody but kernels of the stripes touches a storage, and all of them by rows.
  bool is_inside(int storage, const ScheduledStripes& stripes) const {
    if (owners_[storage] != Owner::plan || first_use_[storage] < stripes.first || last_use_[storage] >= stripes.end()) {
      return false;
    }
    for (int k = stripes.first; k < stripes.end(); ++k) {
      const ScheduledKernel& kernel = lowered_.kernels[k];
      for (int a = 0; a < static_cast<int>(kernel.buffers.size()); ++a) {
        const bool touches = kernel.buffers[a] == storage;
        if (touches && !goes_by_rows(kernel, a, stripes.rows, bytes_[storage])) return false;
      }
    }
    return true;
  }

  /// Storages that each kernel of the stripes is the first or last one to touch, of those that lie in the memory of a block.
  /// A chain of take-overs counts as its first.
  struct Lives {
    std::vector<std::vector<int>> begin, end;
  };

  Lives lives_of(int s) const {
    const ScheduledStripes& stripes = schedule_.stripes[s];
    std::map<int, std::pair<int, int>> of_storage;
    for (int k = stripes.first; k < stripes.end(); ++k) {
      for (const int storage : lowered_.kernels[k].buffers) {
        if (stripe_of_[storage] != s) continue;
        of_storage.try_emplace(first_of_chain(storage), k, k).first->second.second = k;
      }
    }
    Lives lives{std::vector<std::vector<int>>(stripes.count), std::vector<std::vector<int>>(stripes.count)};
    for (const auto& [storage, life] : of_storage) {
      lives.begin[life.first - stripes.first].push_back(storage);
      lives.end[life.second - stripes.first].push_back(storage);
    }
    return lives;
  }

  /// From row to row, for the first of a chain.
  int64_t bytes_of_row(int first, const ScheduledStripes& stripes) const {
    const int64_t bytes = bytes_[first] / stripes.rows;
    for (int storage = first; storage != kNone; storage = take_overs_.result[storage]) {
      for (int k = stripes.first; k < stripes.end(); ++k) {
        const ScheduledKernel& kernel = lowered_.kernels[k];
        for (int a = 0; a < static_cast<int>(kernel.buffers.size()); ++a) {
          if (kernel.buffers[a] == storage && !can_stretch(kernel, a, stripes.rows)) return bytes;
        }
      }
    }
    return pitch_of(bytes);
  }

  /// Of a block of so many rows; its first row begins in the first line, wherever a row of that number lies in a line.
  int64_t lay_out(const Lives& lives, const ScheduledStripes& stripes, int64_t rows) {
    Arena memory;
    const auto bytes = [&](int storage) { return rows * bytes_of_row(storage, stripes) + Buffer::kAlignment; };
    for (int k = 0; k < stripes.count; ++k) {
      for (const int storage : lives.begin[k]) stripe_offsets_[storage] = memory.allocate(bytes(storage));
      for (const int storage : lives.end[k]) memory.release(stripe_offsets_[storage], bytes(storage));
    }
    return memory.size();
  }

  void plan_stripes(int s) {
    ScheduledStripes& stripes = schedule_.stripes[s];
    for (int k = stripes.first; k < stripes.end(); ++k) {
      for (const int storage : lowered_.kernels[k].buffers) {
        const int first = first_of_chain(storage);
        if (stripe_of_[first] == kNone && chain_is_inside(first, stripes)) {
          for (int i = first; i != kNone; i = take_overs_.result[i]) stripe_of_[i] = s;
        }
      }
    }
    const Lives lives = lives_of(s);
    constexpr int64_t kManyRows = 1024;
    cut_stripes(lowered_, lay_out(lives, stripes, kManyRows) / kManyRows, options_.stripes, stripes);
    stripes.bytes = lay_out(lives, stripes, stripes.block);
  }

  int first_of_chain(int storage) const {
    while (take_overs_.operand[storage] != kNone) storage = take_overs_.operand[storage];
    return storage;
  }

  bool chain_is_inside(int first, const ScheduledStripes& stripes) const {
    for (int storage = first; storage != kNone; storage = take_overs_.result[storage]) {
      if (!is_inside(storage, stripes)) return false;
    }
    return true;
  }

  // ---- Places

  /// A storage lies where the one lies that it takes over; the first of a chain in the arena or the memory of a block, unless
  /// the last is an output.
  void place(int storage) {
    if (const int operand = take_overs_.operand[storage]; operand != kNone) {
      const ScheduledBuffer from = buffer(operand);
      add(storage, from.kind, from.index, from.offset).row_bytes = from.row_bytes;
      return;
    }
    if (const int s = stripe_of_[storage]; s != kNone) {
      add(storage, Kind::stripe, s, stripe_offsets_[storage]).row_bytes = bytes_of_row(storage, schedule_.stripes[s]);
      return;
    }
    const int last = take_overs_.last(storage);
    if (buffer_of_[last] != kNone) {
      add(storage, Kind::output, buffer(last).index);
      return;
    }
    add(storage, Kind::temporary, 0, arena_.allocate(bytes_[storage]));
  }

  void place_storages(int k) {
    for (const int storage : lowered_.kernels[k].buffers) {
      if (buffer_of_[storage] == kNone) place(storage);
    }
  }

  /// Gives back what nobody needs behind kernels first .. last.
  void release(int first, int last) {
    for (int k = first; k <= last; ++k) {
      for (const int storage : lowered_.kernels[k].buffers) {
        if (last_use_[storage] > last || last_use_[storage] == kNone || take_overs_.result[storage] != kNone) continue;
        last_use_[storage] = kNone;
        if (buffer(storage).kind == Kind::temporary) arena_.release(buffer(storage).offset, bytes_[storage]);
      }
    }
  }

  const Partition& partition_;
  const ScheduleOptions& options_;
  Lowered lowered_;
  Schedule& schedule_;
  std::vector<int64_t> bytes_;  // per storage
  std::vector<Owner> owners_;   // per storage
  std::vector<int> buffer_of_;  // per storage
  std::vector<int> first_use_, last_use_;  // per storage: a kernel
  std::vector<int> stripe_of_;  // per storage: the stripes in the memory of whose blocks it lies
  std::vector<int64_t> stripe_offsets_;  // per storage: where it lies there
  std::vector<Overwrite> overwrites_;
  std::vector<int> overwriting_;  // per overwrite: which output it is
  TakeOvers take_overs_;
  Arena arena_;
};

}  // namespace

void plan_buffers(const Graph& graph, const Partition& partition, Lowered lowered, std::vector<ScheduledStripes> stripes,
                  const ScheduleOptions& options, Schedule& schedule) {
  Planner(graph, partition, std::move(lowered), std::move(stripes), options, schedule).run();
}

}  // namespace etch::schedule
