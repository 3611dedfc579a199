// The last step of a kernel's making: fewer axes, stride classes, sizes.
#include "compiler/schedule/layout_kernel.h"

#include <algorithm>

#include "compiler/schedule/unroll_axis.h"

namespace etch::schedule {
namespace {

// A vector along an axis of so few elements wastes most of its lanes, and rows of them most of their time.
constexpr int64_t kShortAxis = 4;
constexpr int64_t kShortReduction = 16;
// The axis that vectors run along instead has so many elements at least.
constexpr int64_t kLongEnough = 8;
// Instructions that an unrolled body may have, so that it compiles fast and its values stay in registers.
constexpr int64_t kMaxUnrolled = 64;

class Layout {
 public:
  explicit Layout(KernelDraft& draft) : draft_(draft), domain_(draft.domain), reduced_(draft.reduced) { find_maps(); }

  void run() {
    drop_ones();
    collapse();
    for (int axis = short_axis(); axis >= 0; axis = short_axis()) {
      unroll_axis(draft_, axis);
      find_maps();
      erase(axis);
      collapse();
    }
    if (draft_.program.kind == KernelKind::column) bring_vector_axis_behind();
    add_missing_axes();
    if (draft_.program.kind == KernelKind::dot) normalise_dot();
  }

 private:
  KernelKind kind() const { return draft_.program.kind; }

  void find_maps() {
    maps_.clear();
    for (AccessMap& access : draft_.accesses) maps_.push_back(&access.address);
    for (Affine& index : draft_.indices) maps_.push_back(&index);
  }

  /// The axis that is better written out in the body than walked; -1 if there is none.
  int short_axis() const {
    const int last = domain_.rank - 1;
    const auto fits = [&](int axis, int64_t most, int vector_axis) {
      const int64_t n = axis < 0 ? 0 : domain_.extents[axis];
      return n >= 1 && n <= most && vector_axis >= 0 && domain_.extents[vector_axis] >= kLongEnough &&
             unrolled_instrs(draft_, axis) <= kMaxUnrolled;
    };
    const bool in_blocks = draft_.program.partial || draft_.program.combine;
    switch (kind()) {
      case KernelKind::loop: return fits(last, kShortAxis, last - 1) ? last : -1;
      case KernelKind::row: return !in_blocks && fits(reduced_, kShortReduction, reduced_ - 1) ? reduced_ : -1;
      case KernelKind::column:
        if (!in_blocks && fits(reduced_, kShortReduction, last)) return reduced_;
        return last > reduced_ + 1 && fits(last, kShortAxis, last - 1) ? last : -1;
      case KernelKind::dot: break;
    }
    return -1;
  }

  /// The first axis that must stay as it is, to the end of those that must; the others may be dropped and joined.
  int first_fixed() const {
    switch (kind()) {
      case KernelKind::loop: return domain_.rank;
      case KernelKind::dot: return domain_.rank - 3;
      default: return draft_.program.partial ? reduced_ - 1 : reduced_;
    }
  }
  int end_fixed() const { return kind() == KernelKind::loop ? domain_.rank : reduced_ + 1; }

  void erase(int axis) {
    for (int i = axis; i + 1 < domain_.rank; ++i) domain_.extents[i] = domain_.extents[i + 1];
    domain_.extents[--domain_.rank] = 0;
    for (Affine* map : maps_) {
      for (int i = axis; i + 1 < kMaxDomainRank; ++i) map->coef[i] = map->coef[i + 1];
      map->coef[kMaxDomainRank - 1] = 0;
    }
    if (axis < reduced_) --reduced_;
  }

  void drop_ones() {
    for (int axis = domain_.rank - 1; axis >= 0; --axis) {
      bool fixed = axis >= first_fixed() && axis < end_fixed();
      if (!fixed && domain_.extents[axis] == 1) erase(axis);
    }
  }

  bool joined(int axis) const {
    return std::all_of(maps_.begin(), maps_.end(), [&](const Affine* map) {
      return map->coef[axis] == map->coef[axis + 1] * domain_.extents[axis + 1];
    });
  }

  void join(int axis) {
    domain_.extents[axis + 1] *= domain_.extents[axis];
    erase(axis);
  }

  void collapse() {
    for (int axis = domain_.rank - 2; axis >= 0; --axis) {
      int first = first_fixed(), end = end_fixed();
      // The rows of a dot may take in the batch axes where the second operand does not depend on them.
      bool rows_of_dot = kind() == KernelKind::dot && axis + 1 == first;
      bool outer = axis + 1 < first || rows_of_dot;
      bool inner = axis >= end;
      if ((outer || inner) && joined(axis)) join(axis);
    }
  }

  /// The vector axis is the last one; other axes behind the reduced one become outer axes.
  void bring_vector_axis_behind() {
    while (domain_.rank > reduced_ + 2) {
      int from = reduced_ + 1, to = first_fixed();
      const auto rotate = [&](std::array<int64_t, kMaxDomainRank>& list) {
        std::rotate(list.begin() + to, list.begin() + from, list.begin() + from + 1);
      };
      rotate(domain_.extents);
      for (Affine* map : maps_) rotate(map->coef);
      ++reduced_;
    }
  }

  void add_axis(int64_t extent) {
    domain_.extents[domain_.rank++] = extent;
    for (AccessMap& access : draft_.accesses) access.address.coef[domain_.rank - 1] = 1;
  }

  void add_missing_axes() {
    if (domain_.rank == 0) add_axis(1);
    if (kind() == KernelKind::column && domain_.rank == reduced_ + 1) add_axis(1);
  }

  /// A product of one row, one column or one term looks like any other.
  void normalise_dot() {
    int k = domain_.rank - 1, n = k - 1;
    for (AccessMap& access : draft_.accesses) {
      std::array<int64_t, kMaxDomainRank>& coef = access.address.coef;
      bool varies = std::any_of(coef.begin(), coef.end(), [](int64_t c) { return c != 0; });
      bool along_n = access.dot_operand == 1 || access.stores || (access.dot_operand < 0 && varies);
      if (domain_.extents[n] == 1 && along_n) coef[n] = 1;
      if (domain_.extents[k] == 1 && access.dot_operand == 0) coef[k] = 1;
    }
  }

  KernelDraft& draft_;
  Domain& domain_;
  int& reduced_;
  std::vector<Affine*> maps_;
};

/// Finds the stores that fill the elements of one buffer together: same strides, and every offset from the first one on.
void find_groups(const std::vector<AccessMap>& maps, std::vector<Access>& accesses) {
  for (size_t first = 0; first < maps.size(); ++first) {
    const int step = small_step(accesses[first].stride);
    if (step == 0 || !maps[first].stores || accesses[first].group >= 0) continue;
    std::array<int, 4> members;
    members.fill(-1);
    for (size_t a = 0; a < maps.size(); ++a) {
      const int64_t element = maps[a].address.offset - maps[first].address.offset;
      const bool fits = maps[a].stores && maps[a].storage == maps[first].storage && element >= 0 && element < step &&
                        maps[a].address.coef == maps[first].address.coef;
      if (fits) members[element] = static_cast<int>(a);
    }
    if (std::count(members.begin(), members.begin() + step, -1) > 0) continue;
    for (int element = 0; element < step; ++element) {
      accesses[members[element]].group = static_cast<int16_t>(first);
      accesses[members[element]].element = static_cast<int8_t>(element);
    }
  }
}

int64_t cost_of(const Instr& instr) {
  if (instr.kind == InstrKind::reduce || instr.kind == InstrKind::dot) return 1;
  if (instr.kind != InstrKind::compute) return 0;
  return etch::cost_of(instr.op);
}

/// Iterations of begin..end and the work of one, in additions.
void measure(const KernelDraft& draft, ScheduledKernel& kernel) {
  constexpr int64_t kMemoryCost = 2;
  int64_t elements = 0, rows = 0;
  for (const Instr& instr : draft.program.body) {
    int64_t cost = cost_of(instr);
    if (instr.kind == InstrKind::load || instr.kind == InstrKind::store) cost = kMemoryCost;
    bool per_row = instr.per_row || instr.kind == InstrKind::param || instr.kind == InstrKind::dot;
    (per_row ? rows : elements) += cost;
  }
  const Domain& domain = draft.domain;
  kernel.iterations = 1;
  for (int i = 0; i < domain.rank; ++i) {
    if (i != draft.reduced) kernel.iterations *= domain.extents[i];
  }
  switch (draft.program.kind) {
    case KernelKind::loop:
      kernel.work = 0;
      for (const Instr& instr : draft.program.body) kernel.work += cost_of(instr);
      break;
    case KernelKind::row:
    case KernelKind::column: kernel.work = rows + elements * domain.extents[draft.reduced]; break;
    case KernelKind::dot: {
      int64_t n = domain.extents[domain.rank - 2];
      kernel.iterations /= std::max<int64_t>(n, 1);
      kernel.work = n * (domain.extents[draft.reduced] + elements);
      break;
    }
  }
}

}  // namespace

ScheduledKernel lay_out(KernelDraft draft) {
  Layout(draft).run();
  const int rank = draft.domain.rank;
  KernelProgram& program = draft.program;
  program.rank = static_cast<int8_t>(rank);
  program.num_indices = static_cast<int16_t>(draft.indices.size());
  program.num_params = static_cast<int16_t>(draft.params.size());
  const int vector_axis = program.kind == KernelKind::dot ? rank - 2 : rank - 1;

  ScheduledKernel kernel;
  std::vector<int64_t>& sizes = kernel.sizes;
  sizes.assign(draft.domain.extents.begin(), draft.domain.extents.begin() + rank);
  if (program.partial) sizes.push_back(draft.total);
  const auto append = [&](const Affine& map) {
    sizes.push_back(map.offset);
    sizes.insert(sizes.end(), map.coef.begin(), map.coef.begin() + rank);
  };
  for (const AccessMap& access : draft.accesses) {
    const auto& coef = access.address.coef;
    bool varies = std::any_of(coef.begin(), coef.begin() + rank, [](int64_t c) { return c != 0; });
    const Stride stride = stride_class(coef[vector_axis], program.kind);
    program.accesses.push_back({access.dtype, stride, !varies && access.dot_operand < 0});
    kernel.buffers.push_back(access.storage);
    append(access.address);
  }
  find_groups(draft.accesses, program.accesses);
  for (const Affine& index : draft.indices) append(index);
  for (uint64_t bits : draft.params) sizes.push_back(static_cast<int64_t>(bits));
  measure(draft, kernel);
  kernel.program = std::move(program);
  return kernel;
}

}  // namespace etch::schedule
