// Stripes: finds kernels that can run block by block, and how large the blocks are.
#include "compiler/schedule/stripes.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "compiler/schedule/grain.h"
#include "compiler/schedule/kernel_work.h"
#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

/// What has to stay out of memory, or be read again while it is in the cache, for a group to pay.
constexpr int64_t kLeastSaved = int64_t{256} << 10;

/// Memory of a block: half of a usual second cache.
constexpr int64_t kBlockBytes = int64_t{512} << 10;

/// Where rows take more, blocks are larger: a product copies its other operand for each block anew, which costs little from
/// so many rows on; what is beyond the second cache should not be read more often than a product does in any case.
constexpr int64_t kFewestRows = 96;
constexpr int64_t kRowsOfProduct = BlockSizes{}.dot_rows;
constexpr int64_t kCachedOperand = int64_t{1} << 20;

/// Rows of a block are whole tiles of a product, and whole vectors of elements.
constexpr int64_t kTileRows = 12;
constexpr int64_t kVectorRows = 64;

/// Rows that a task takes at the least where there is a product.
constexpr int64_t kTaskRows = 48;

/// Tasks that a group has to be worth, none of whose kernels is worth two, so that threads share its rows.
constexpr double kSharedTasks = 8;

/// Kernels of a group.
constexpr size_t kMostKernels = 32;

/// How far apart kernels of a group may stand in the order.
constexpr int kMostBetween = 16;

bool is_product(const ScheduledKernel& kernel) { return kernel.program.has(Role::row); }

/// Rows of all matrices, or what else iterations are: columns are cut for tasks, and a group's tasks are rows.
int64_t rows_of(const ScheduledKernel& kernel) { return kernel.iterations / pieces_of_columns(kernel); }

/// True if a kernel may run on parts of its rows between others: nothing looks at how it ended.
bool can_join(const ScheduledKernel& kernel) {
  const KernelProgram& program = kernel.program;
  return !kernel.is_opaque() && kernel.checks.empty() && !program.has_guarded_loops() && !program.has(Role::block) &&
         !program.has(Role::results) && rows_of(kernel) > 1;
}

/// Bytes of the operand that a product reads for every row of a matrix.
int64_t bytes_of_operand(const ScheduledKernel& product) {
  const KernelProgram& program = product.program;
  int64_t elements = product.sizes[program.axis(Role::vector)];
  for (int axis = 0; axis < program.rank(); ++axis) elements *= is_folded(program.axes[axis]) ? product.sizes[axis] : 1;
  const auto dot = std::ranges::find(program.body, InstrKind::dot, &Instr::kind);
  return elements * size_of(program.body[dot->args[1]].dtype);
}

/// Rows of the matrices that the products of a group work on; 0 if there are none, or of several sizes.
int64_t rows_of_matrices(std::span<const ScheduledKernel* const> group, int64_t rows) {
  int64_t found = 0;
  for (const ScheduledKernel* kernel : group) {
    if (!is_product(*kernel)) continue;
    const int64_t per_row = rows_of(*kernel) / rows, of_matrix = rows_of_matrix(*kernel);
    if (of_matrix % per_row != 0 || (found != 0 && found != of_matrix / per_row)) return 0;
    found = of_matrix / per_row;
  }
  return found;
}

/// What a product reads of operands for the blocks of stripes beyond what it reads for its own.
int64_t bytes_read_again(const ScheduledKernel& kernel, const ScheduledStripes& stripes) {
  if (!is_product(kernel)) return 0;
  const int64_t per_row = rows_of(kernel) / stripes.rows, of_matrix = rows_of_matrix(kernel);
  const int64_t times = ceil_div(of_matrix, stripes.block * per_row) - ceil_div(of_matrix, kRowsOfProduct);
  return std::max<int64_t>(times, 0) * bytes_of_operand(kernel) * (rows_of(kernel) / of_matrix);
}

/// See cut_stripes.
void cut(std::span<const ScheduledKernel* const> group, int64_t row_bytes, const StripeOptions& options,
         ScheduledStripes& stripes) {
  stripes.segment = stripes.rows;
  if (options.rows > 0) {
    stripes.block = std::min<int64_t>(options.rows, stripes.rows);
    return;
  }
  int64_t fewest = 0, multiple = kVectorRows;
  for (const ScheduledKernel* kernel : group) {
    if (!is_product(*kernel)) continue;
    multiple = kTileRows;
    fewest = std::max(fewest, bytes_of_operand(*kernel) > kCachedOperand ? kRowsOfProduct : kFewestRows);
  }
  int64_t block = std::max(fewest, kBlockBytes / std::max<int64_t>(row_bytes, 1));
  const int64_t matrix = rows_of_matrices(group, stripes.rows);
  stripes.grain = std::clamp<int64_t>(matrix, 1, kTaskRows);
  if (matrix > block) {
    // Blocks of about one size for each matrix.
    stripes.segment = matrix;
    block = round_up(ceil_div(matrix, ceil_div(matrix, block)), multiple);
  } else if (matrix > 0) {
    block = round_up(std::min(block, kFewestRows), matrix);
  } else if (block >= multiple) {
    block = block / multiple * multiple;
  }
  stripes.block = std::clamp<int64_t>(block, 1, stripes.segment);
  // One block of all rows: it is there to be shared by threads.
  if (stripes.block == stripes.rows) stripes.grain = std::min(stripes.grain, kTileRows);
}

/// Who touches what, for kernels in their order.
struct Uses {
  struct Use {
    int kernel = 0, access = 0;
    bool stores = false;
  };
  std::map<int, std::vector<Use>> of_storage;

  void add(const ScheduledKernel& kernel, const std::vector<bool>& stored, int k) {
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      of_storage[kernel.buffers[a]].push_back({k, static_cast<int>(a), stored[a]});
    }
  }
};

bool has_store(const std::vector<Uses::Use>& uses) { return std::ranges::any_of(uses, &Uses::Use::stores); }

/// True if a kernel reads what another one writes.
bool is_handed_on(const std::vector<Uses::Use>& uses) {
  return std::ranges::any_of(uses, [&](const Uses::Use& write) {
    return write.stores && std::ranges::any_of(uses, [&](const Uses::Use& read) {
      return !read.stores && read.kernel != write.kernel;
    });
  });
}

class Search {
 public:
  Search(const Graph& graph, const Partition& partition, Lowered& lowered, const StripeOptions& options)
      : lowered_(lowered), options_(options), is_wanted_(partition.num_storages(), false),
        num_uses_(partition.num_storages(), 0) {
    for (int storage = 0; storage < partition.num_storages(); ++storage) {
      bytes_.push_back(partition.bytes_of(graph, storage));
    }
    for (const Value input : graph.inputs()) is_wanted_[input.id] = true;
    for (const Value output : graph.outputs()) is_wanted_[storage_of(graph, output).id] = true;
    for (const ScheduledKernel& kernel : kernels()) {
      for (const int storage : kernel.buffers) ++num_uses_[storage];
      stored_.push_back(stored_accesses(kernel));
    }
  }

  std::vector<ScheduledStripes> run() {
    std::vector<ScheduledStripes> found;
    const int count = static_cast<int>(kernels().size());
    for (int start = 0; start + 1 < count; ++start) {
      if (!can_start(start)) continue;
      grow(start);
      if (members_.size() < 2 || !pays()) continue;
      for (const int k : members_) join_columns(kernels()[k]);
      move_together(start);
      ScheduledStripes& stripes = found.emplace_back();
      stripes.first = start + static_cast<int>(before_.size());
      stripes.count = static_cast<int>(members_.size());
      stripes.rows = rows_;
      start = found.back().end() - 1;
    }
    return found;
  }

 private:
  std::vector<ScheduledKernel>& kernels() { return lowered_.kernels; }
  bool is_forced() const { return options_.rows > 0; }

  /// True if a kernel hands on enough for others to join it.
  bool can_start(int k) {
    const ScheduledKernel& kernel = kernels()[k];
    if (!can_join(kernel)) return false;
    constexpr int64_t kLeastPart = kLeastSaved / 16;
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      if (stored_[k][a] && (is_forced() || bytes_[kernel.buffers[a]] >= kLeastPart)) return true;
    }
    return false;
  }

  /// The group that begins with a kernel. What stands between its kernels goes before the group if it needs nothing from
  /// it, else behind.
  void grow(int start) {
    members_ = {start};
    before_.clear();
    behind_.clear();
    uses_ = {};
    uses_.add(kernels()[start], stored_[start], start);
    written_behind_.clear();
    rows_ = rows_of(kernels()[start]);
    std::vector<int> others;
    for (int k = start + 1; k < static_cast<int>(kernels().size()) && k - members_.back() <= kMostBetween; ++k) {
      const bool waits = reads_any(k, [&](int storage) { return written_behind_.contains(storage); });
      const bool linked = reads_any(k, [&](int storage) {
        const auto found = uses_.of_storage.find(storage);
        return found != uses_.of_storage.end() && has_store(found->second);
      });
      if (linked && !waits && add(k)) continue;
      others.push_back(k);
      if (linked || waits) note_written(k);
    }
    // What stands behind the last of them stays where it is.
    for (const int k : others) {
      if (k > members_.back()) break;
      const bool independent = !reads_any(k, [&](int storage) { return wrote(storage, k); });
      (independent ? before_ : behind_).push_back(k);
    }
  }

  template <class Is>
  bool reads_any(int k, const Is& is) {
    const ScheduledKernel& kernel = kernels()[k];
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      if (!stored_[k][a] && is(kernel.buffers[a])) return true;
    }
    return false;
  }

  void note_written(int k) {
    const ScheduledKernel& kernel = kernels()[k];
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      if (stored_[k][a]) written_behind_.insert(kernel.buffers[a]);
    }
  }

  /// True if the group, or what goes behind it, writes the storage before kernel k.
  bool wrote(int storage, int k) const {
    if (written_behind_.contains(storage)) return true;
    const auto found = uses_.of_storage.find(storage);
    return found != uses_.of_storage.end() &&
           std::ranges::any_of(found->second, [&](const Uses::Use& use) { return use.stores && use.kernel < k; });
  }

  /// Takes a kernel into the group if that goes by rows.
  bool add(int k) {
    const ScheduledKernel& kernel = kernels()[k];
    if (!can_join(kernel) || members_.size() == kMostKernels) return false;
    const int64_t more = std::max(rows_, rows_of(kernel)), rows = std::min(rows_, rows_of(kernel));
    if (more % rows != 0) return false;
    Uses uses = uses_;
    uses.add(kernel, stored_[k], k);
    for (const auto& [storage, of_it] : uses.of_storage) {
      if (has_store(of_it) && is_handed_on(of_it) && !go_by_rows(storage, of_it, rows)) return false;
    }
    // Rows of another length than before, such as whole matrices: they have to stay in the cache as well.
    if (rows != rows_ && !is_forced() && bytes_of_row(uses, rows) > kBlockBytes) return false;
    uses_ = std::move(uses);
    rows_ = rows;
    members_.push_back(k);
    return true;
  }

  bool go_by_rows(int storage, const std::vector<Uses::Use>& uses, int64_t rows) {
    return std::ranges::all_of(uses, [&](const Uses::Use& use) {
      return goes_by_rows(kernels()[use.kernel], use.access, rows, bytes_[storage]);
    });
  }

  /// True if nobody needs the storage outside of the group.
  bool is_inside(int storage, const std::vector<Uses::Use>& uses) const {
    return !is_wanted_[storage] && has_store(uses) && static_cast<int>(uses.size()) == num_uses_[storage];
  }

  /// The most that what nobody needs outside takes for a row; what ends in a kernel makes room for what begins there.
  int64_t bytes_of_row(const Uses& uses, int64_t rows) const {
    std::map<int, int64_t> change;  // per kernel
    for (const auto& [storage, of_it] : uses.of_storage) {
      if (!is_inside(storage, of_it)) continue;
      change[of_it.front().kernel] += bytes_[storage] / rows;
      change[of_it.back().kernel] -= bytes_[storage] / rows;
    }
    int64_t most = 0, bytes = 0;
    for (const auto& [kernel, difference] : change) most = std::max(most, bytes += difference);
    return most;
  }

  std::vector<const ScheduledKernel*> kernels_of_group() {
    std::vector<const ScheduledKernel*> group;
    for (const int k : members_) group.push_back(&kernels()[k]);
    return group;
  }

  bool pays() {
    if (is_forced()) return true;
    ScheduledStripes stripes;
    stripes.rows = rows_;
    const std::vector<const ScheduledKernel*> group = kernels_of_group();
    cut(group, bytes_of_row(uses_, rows_), options_, stripes);
    return stripes.block == rows_ ? is_worth_sharing(group) : saves_memory(group, stripes);
  }

  /// True if no kernel is worth two threads, but all of them together are: a loop over time on a few rows.
  static bool is_worth_sharing(std::span<const ScheduledKernel* const> group) {
    double tasks = 0;
    for (const ScheduledKernel* kernel : group) {
      const double of_kernel = static_cast<double>(kernel->iterations) / static_cast<double>(grain_of(*kernel));
      if (of_kernel >= 2) return false;
      tasks += of_kernel;
    }
    return tasks >= kSharedTasks;
  }

  /// Stores and loads that stay in the cache, against operands of products that are read more often.
  bool saves_memory(std::span<const ScheduledKernel* const> group, const ScheduledStripes& stripes) {
    int64_t bytes = 0, saved = 0;
    for (const auto& [storage, of_it] : uses_.of_storage) {
      if (!is_handed_on(of_it)) continue;
      bytes += bytes_[storage];
      saved += (is_inside(storage, of_it) ? 2 : 1) * bytes_[storage];
    }
    if (bytes < kLeastSaved) return false;
    for (const ScheduledKernel* kernel : group) saved -= bytes_read_again(*kernel, stripes);
    return saved > 0;
  }

  void move_together(int start) {
    std::vector<int> order = before_;
    order.insert(order.end(), members_.begin(), members_.end());
    order.insert(order.end(), behind_.begin(), behind_.end());
    if (std::ranges::is_sorted(order)) return;
    std::vector<ScheduledKernel> kernels;
    std::vector<int> cluster;
    std::vector<std::vector<bool>> stored;
    for (const int k : order) {
      stored.push_back(std::move(stored_[k]));
      kernels.push_back(std::move(lowered_.kernels[k]));
      cluster.push_back(lowered_.cluster[k]);
    }
    std::ranges::move(kernels, lowered_.kernels.begin() + start);
    std::ranges::move(cluster, lowered_.cluster.begin() + start);
    std::ranges::move(stored, stored_.begin() + start);
  }

  Lowered& lowered_;
  const StripeOptions options_;
  std::vector<int64_t> bytes_;    // per storage
  std::vector<bool> is_wanted_;   // per storage: it is an input or output
  std::vector<int> num_uses_;     // per storage: accesses of all kernels
  std::vector<std::vector<bool>> stored_;  // per kernel and access

  // Of the group that is being looked for.
  std::vector<int> members_, before_, behind_;  // kernels
  Uses uses_;                                   // by members
  std::set<int> written_behind_;                // storages that kernels write which wait for the group
  int64_t rows_ = 0;
};

/// How an axis takes part in rows: its first so many indices lie within one.
struct AxisOfRows {
  int axis = 0;
  int64_t extent = 1;
  int64_t inside = 1;  // 0: rows are no multiple of what this axis counts
  int64_t step = 0;    // rows from one index, or one multiple of `inside`, to the next
};

/// Of axes with more than one index.
absl::InlinedVector<AxisOfRows, 8> axes_of_rows(const ScheduledKernel& kernel, int64_t rows) {
  absl::InlinedVector<AxisOfRows, 8> axes;
  int64_t rest = rows;  // that the axes from here on count
  for (int axis = 0; axis < kernel.program.rank(); ++axis) {
    const int64_t extent = kernel.sizes[axis];
    if (extent == 1) continue;
    if (rest == 1 || !kernel.program.is_counted(axis)) {
      axes.push_back({axis, extent, extent, 0});
    } else if (rest % extent == 0) {
      rest /= extent;
      axes.push_back({axis, extent, 1, rest});
    } else {
      axes.push_back({axis, extent, extent % rest == 0 ? extent / rest : 0, 1});
      rest = 1;
    }
  }
  return axes;
}

}  // namespace

bool goes_by_rows(const ScheduledKernel& kernel, int access, int64_t rows, int64_t bytes) {
  const KernelProgram& program = kernel.program;
  const Access& of = program.accesses[access];
  if (of.indexed != Indexed::no || of.repeats || of.fill >= 0) return false;
  const int64_t elements = bytes / size_of(of.dtype);
  if (elements == 0 || elements % rows != 0) return false;
  const int64_t row = elements / rows;
  const int64_t* address = kernel.sizes.data() + SizesLayout(program).access(access);
  int64_t least = address[0], most = address[0];
  for (const AxisOfRows& axis : axes_of_rows(kernel, rows)) {
    if (axis.inside == 0) return false;
    const int64_t stride = address[1 + axis.axis];
    const bool counts = axis.extent > axis.inside;
    if (counts && stride * axis.inside != axis.step * row) return false;
    (stride < 0 ? least : most) += stride * (axis.inside - 1);
  }
  return least >= 0 && most < row;
}

int64_t pitch_of(int64_t row_bytes) {
  constexpr int64_t kLine = 64, kNearSets = 1024;
  return row_bytes % kNearSets == 0 ? row_bytes + kLine : row_bytes;
}

bool can_stretch(const ScheduledKernel& kernel, int access, int64_t rows) {
  const Access& of = kernel.program.accesses[access];
  if (of.group >= 0 || of.next_row > 0) return false;
  // An axis that goes on from one row to the next has one stride for both.
  return std::ranges::all_of(axes_of_rows(kernel, rows), [](const AxisOfRows& axis) {
    return axis.inside == 1 || axis.inside == axis.extent;
  });
}

void stretch_rows(Schedule& schedule) {
  for (const ScheduledStripes& stripes : schedule.stripes) {
    for (int k = stripes.first; k < stripes.end(); ++k) {
      ScheduledKernel& kernel = schedule.kernels[k];
      for (size_t a = 0; a < kernel.buffers.size(); ++a) {
        const ScheduledBuffer& buffer = schedule.buffers[kernel.buffers[a]];
        if (buffer.kind != ScheduledBuffer::Kind::stripe || buffer.row_bytes * stripes.rows == buffer.bytes) continue;
        const int access = static_cast<int>(a);
        int64_t* address = kernel.sizes.data() + SizesLayout(kernel.program).access(access);
        const int64_t row = buffer.row_bytes / size_of(kernel.program.accesses[access].dtype);
        for (const AxisOfRows& axis : axes_of_rows(kernel, stripes.rows)) {
          if (axis.extent > axis.inside) address[1 + axis.axis] = axis.step * row;
        }
      }
    }
  }
  for (ScheduledBuffer& buffer : schedule.buffers) {
    if (buffer.kind == ScheduledBuffer::Kind::stripe) buffer.bytes = buffer.row_bytes * schedule.stripes[buffer.index].rows;
  }
}

std::vector<ScheduledStripes> find_stripes(const Graph& graph, const Partition& partition, Lowered& lowered,
                                           const StripeOptions& options) {
  return Search(graph, partition, lowered, options).run();
}

void cut_stripes(const Lowered& lowered, int64_t row_bytes, const StripeOptions& options, ScheduledStripes& stripes) {
  std::vector<const ScheduledKernel*> group;
  for (int k = stripes.first; k < stripes.end(); ++k) group.push_back(&lowered.kernels[k]);
  cut(group, row_bytes, options, stripes);
}

}  // namespace etch::schedule
