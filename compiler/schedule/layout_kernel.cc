// The last step of a kernel's making: fewer axes, stride classes, sizes.
#include "compiler/schedule/layout_kernel.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

#include "compiler/schedule/costs.h"
#include "compiler/schedule/kernel_work.h"
#include "compiler/schedule/partition.h"
#include "compiler/schedule/swept_axis.h"
#include "compiler/schedule/unroll_axis.h"

namespace etch::schedule {
namespace {

// The axis that vectors run along instead has so many elements at least.
constexpr int64_t kLongEnough = 8;

// Of a line of memory.
constexpr int64_t kLineBytes = 64;

// Operands that are repeated have so many elements at the most, fill so many at the least, and are read so many times.
constexpr int64_t kLongestPeriod = 32;
constexpr int64_t kShortestRepeated = 192;
constexpr int64_t kManyTimes = 8;
// Kernels of more elements wait for memory, and shuffles cost them nothing.
constexpr int64_t kMostElements = 1 << 21;

/// How far behind an element that of the next row lies, if the lanes are far apart and tiles of rows can serve them.
int64_t next_row(const AccessMap& map, int lanes_axis, int axis) {
  constexpr int64_t kNear = 4;
  if (map.indexed) return 0;
  const int64_t step = map.address.coef[axis];
  const bool far = stride_class(map.address.coef[lanes_axis]) == Stride::other;
  return far && step >= 1 && step <= (map.stores ? 1 : kNear) ? step : 0;
}

/// Arranges a draft; others of the same body, which are smaller, are arranged in the same way.
class Layout {
 public:
  explicit Layout(KernelDraft& draft, std::span<KernelDraft* const> others = {}) : draft_(draft), domain_(draft.domain) {
    for (KernelDraft* other : others) others_.push_back({other, {}});
    find_maps();
  }

  /// Returns the length of a row that was cut into blocks; 0 if none was.
  int64_t run() {
    if (draft_.program.sums_in_lanes) bring_vector_behind();
    const int64_t total = cut_blocks();
    drop_ones();
    collapse();
    if (others_.empty() && can_sweep(draft_)) {
      sweep();
      return total;
    }
    repeat_short_operands();
    for (int axis = short_axis(); axis >= 0; axis = short_axis()) {
      const bool few_columns = axis == domain_.rank - 1 && has_few_columns();
      const int lanes = few_columns && !has_free_order() ? rows_for_lanes() : -1;
      leave_others_out(axis);
      unroll_axis(draft_, axis);
      for (Other& other : others_) unroll_axis(*other.draft, axis);
      find_maps();
      erase(axis);
      if (domain_.folded_axis() < 0) bring_long_axis_behind();
      if (lanes >= 0) bring_behind(lanes);
      collapse();
    }
    if (domain_.folded_axis() < 0) {
      bring_rows_together();
      walk_as_read();
    }
    choose_vector_axis();
    if (domain_.has(Role::row)) normalise_product();
    const bool has_short = has_short_rows();
    if (has_short) {
      leave_others_out(domain_.rank - 1);
      leave_out_unless([&](const KernelDraft& draft) { return lies_in_short_rows(draft, domain_.rank - 1); });
    }
    each_draft([&](KernelDraft& draft) {
      if (!has_short) return;
      draft.program.short_row = static_cast<int8_t>(domain_.extents[domain_.rank - 1]);
      merge_stores(draft);
    });
    const bool groups_rows = has_rows_for_groups();
    each_draft([&](KernelDraft& draft) {
      draft.program.groups_rows = groups_rows;
      draft.has_next_rows = domain_.folded_axis() < 0 && domain_.rank > 1 && domain_.extents[domain_.rank - 2] >= kLongEnough;
    });
    if (domain_.folded_axis() < 0 && domain_.rank > 1) find_rows_side_by_side();
    return total;
  }

  /// Those that could not be arranged like the first one.
  std::vector<KernelDraft*> left_out() const { return left_out_; }

 private:
  struct Other {
    KernelDraft* draft;
    std::vector<Affine*> maps;
  };

  /// A change of the domain and of all maps on it.
  template <class Change>
  void each(const Change& change) {
    change(domain_, maps_);
    for (Other& other : others_) change(other.draft->domain, other.maps);
  }

  template <class Visit>
  void each_draft(const Visit& visit) {
    visit(draft_);
    for (Other& other : others_) visit(*other.draft);
  }

  template <class Test>
  bool all(const Test& test) const {
    return test(domain_, maps_) &&
           std::ranges::all_of(others_, [&](const Other& other) { return test(other.draft->domain, other.maps); });
  }

  /// What the code knows the length of an axis by, it knows for all drafts.
  void leave_others_out(int axis) {
    leave_out_unless([&](const KernelDraft& draft) { return draft.domain.extents[axis] == domain_.extents[axis]; });
  }

  template <class Fits>
  void leave_out_unless(Fits fits) {
    std::erase_if(others_, [&](const Other& other) {
      if (fits(*other.draft)) return false;
      left_out_.push_back(other.draft);
      return true;
    });
  }

  bool is_batch(int axis) const { return domain_.roles[axis] == Role::batch; }

  void find_maps() {
    maps_ = maps_of(draft_);
    for (Other& other : others_) other.maps = maps_of(*other.draft);
  }

  static std::vector<Affine*> maps_of(KernelDraft& draft) {
    std::vector<Affine*> maps;
    for (AccessMap& access : draft.accesses) maps.push_back(&access.address);
    for (Affine& index : draft.indices) maps.push_back(&index);
    for (AccessMap& access : draft.accesses) {
      for (PaddedElement::Bound& bound : access.bounds) maps.push_back(&bound.index);
    }
    return maps;
  }

  /// Lanes stay on the last axis and go along the one before it.
  void sweep() {
    domain_.roles[domain_.rank - 1] = Role::vector;
    domain_.roles[domain_.rank - 2] = Role::sweep;
  }

  /// The rows of a product with one column take the place of its columns. If it has one row, the sides change places.
  void bring_vector_behind() {
    const int vector = static_cast<int>(std::ranges::find(domain_.roles, Role::vector) - domain_.roles.begin()), row = vector - 1;
    if (domain_.extents[vector] == 1) {
      std::swap(domain_.extents[row], domain_.extents[vector]);
      for (Affine* map : maps_) std::swap(map->coef[row], map->coef[vector]);
      return;
    }
    for (Instr& instr : draft_.program.body) {
      if (instr.kind == InstrKind::dot) std::swap(instr.args[0], instr.args[1]);
    }
    for (AccessMap& access : draft_.accesses) {
      if (access.dot_operand >= 0) access.dot_operand = 1 - access.dot_operand;
    }
  }

  /// An axis that is folded in blocks becomes two. All that such a kernel stores is what each block comes to.
  int64_t cut_blocks() {
    if (!domain_.has(Role::block)) return 0;
    const int axis = domain_.folded_axis();
    const int64_t total = domain_.extents[axis], size = domain_.block_size(draft_.program.blocks);
    domain_.extents[axis] = domain_.num_blocks(draft_.program.blocks);
    insert_axis(axis + 1, size, Role::reduce, domain_);
    for (Affine* map : maps_) apply(Split{axis, size}, *map);
    for (AccessMap& access : draft_.accesses) {
      if (access.stores) access.address = linear_index(domain_, axis + 1);
    }
    return total;
  }

  /// Takes away the last axis; the one before it goes on in its steps.
  void erase_behind(int axis) {
    for (Affine* map : maps_) map->coef[axis] = map->coef[axis + 1];
    erase(axis + 1);
  }

  void erase(int axis) {
    each([&](Domain& domain, const std::vector<Affine*>& maps) {
      for (int i = axis; i + 1 < domain.rank; ++i) {
        domain.extents[i] = domain.extents[i + 1];
        domain.roles[i] = domain.roles[i + 1];
      }
      domain.extents[--domain.rank] = 0;
      domain.roles[domain.rank] = Role::batch;
      for (Affine* map : maps) {
        for (int i = axis; i + 1 < kMaxDomainRank; ++i) map->coef[i] = map->coef[i + 1];
        map->coef[kMaxDomainRank - 1] = 0;
      }
    });
  }

  /// Rotates axes first .. last - 1 so that `middle` is the first.
  void rotate(int first, int middle, int last) {
    each([&](Domain& domain, const std::vector<Affine*>& maps) {
      const auto turn = [&](auto& list) { std::rotate(list.begin() + first, list.begin() + middle, list.begin() + last); };
      turn(domain.extents);
      turn(domain.roles);
      for (Affine* map : maps) turn(map->coef);
    });
  }

  /// The axis that is better written out in the body than walked, so that lanes lie along the one beside it; -1 if there
  /// is none. What is folded in blocks or comes from blocks is not.
  int short_axis() const {
    if (domain_.has(Role::row)) return -1;
    const int last = domain_.rank - 1, folded = domain_.folded_axis();
    const auto fits = [&](int axis, int64_t most, int lanes_axis) {
      const int64_t n = domain_.extents[axis];
      return n >= 1 && n <= most && domain_.extents[lanes_axis] >= kLongEnough &&
             unrolled_work(draft_, axis) <= cost::kMostUnrolled;
    };
    const bool whole_rows = folded >= 0 && domain_.roles[folded] == Role::reduce && !domain_.has(Role::block);
    const int beside = folded == last ? longest_before(last) : last;
    const int64_t most_folded = has_short_rows() ? kShortAxis : kMostShortRow;
    if (whole_rows && beside >= 0 && fits(folded, most_folded, beside)) return folded;
    if (whole_rows && has_few_columns()) {
      const int lanes = has_free_order() ? folded : rows_for_lanes();
      if (lanes >= 0 && fits(last, kShortAxis, lanes)) return last;
    }
    if (folded < 0) {
      for (int axis = 0; axis < last; ++axis) {
        if (is_batch(axis) && interleaves(axis) && fits(axis, kShortAxis, last)) return axis;
      }
    }
    const bool two_batch_axes = last > 0 && is_batch(last) && is_batch(last - 1);
    const int64_t most = folded < 0 && is_cheap() ? kLongEnough - 1 : kShortAxis;
    return two_batch_axes && fits(last, most, last - 1) ? last : -1;
  }

  /// True if few columns lie beside the folded axis.
  bool has_few_columns() const {
    const int last = domain_.rank - 1;
    return last > 0 && domain_.roles[last - 1] == Role::reduce && is_batch(last) && domain_.extents[last] <= kShortAxis;
  }

  /// The axis before a folded one along which lanes can lie instead of along few columns: what varies along it does not vary
  /// along the folded one too, or lies near each other, or much is computed for all columns at once. -1 if there is none. Sums
  /// keep the order of a fold beside the lanes.
  int rows_for_lanes() const {
    const int folded = domain_.folded_axis(), axis = longest_before(folded);
    if (axis < 0 || !is_batch(axis)) return -1;
    const bool is_near = std::ranges::all_of(draft_.accesses, [&](const AccessMap& access) {
      const auto& coef = access.address.coef;
      return coef[folded] == 0 || coef[axis] == 0 || coef[axis] == 1;
    });
    const bool stores_elements = std::ranges::any_of(draft_.accesses, [&](const AccessMap& access) {
      return access.stores && access.address.coef[folded] != 0;
    });
    return !stores_elements && (is_near || work_without(folded + 1) >= cost::kDear) ? axis : -1;
  }

  /// What the body computes for each element that does not vary along an axis.
  int64_t work_without(int axis) const {
    std::vector<bool> varies;
    int64_t work = 0;
    for (const Instr& instr : draft_.program.body) {
      bool own = std::ranges::any_of(instr.args, [&](int32_t arg) { return varies[arg]; });
      if (instr.kind == InstrKind::load) own = own || draft_.accesses[instr.slot].address.coef[axis] != 0;
      if (instr.kind == InstrKind::index) own = draft_.indices[instr.slot].coef[axis] != 0;
      if (instr.kind == InstrKind::compute && !own && !instr.per_row) work += cost_of(instr);
      varies.push_back(own);
    }
    return work;
  }

  /// True if the rows can be short ones of a kernel: their elements lie beside each other, and values per row do.
  bool has_short_rows() const {
    const int last = domain_.rank - 1;
    const bool few = last > 0 && domain_.roles[last] == Role::reduce && domain_.extents[last] >= 2 &&
                     domain_.extents[last] <= kMostShortRow;
    if (!few || !is_batch(last - 1) || domain_.extents[last - 1] < kLongEnough || !draft_.indices.empty()) return false;
    return lies_in_short_rows(draft_, last);
  }

  /// True if the elements of rows lie beside each other, and values per row do.
  static bool lies_in_short_rows(const KernelDraft& draft, int last) {
    return std::ranges::all_of(draft.accesses, [&](const AccessMap& access) {
      const int64_t step = access.address.coef[last], next = access.address.coef[last - 1];
      return step == 1 || (step == 0 && (next == 1 || (next == 0 && !access.stores)));
    });
  }

  /// True if elements wait for a reduction of their row, and rows are so short that those of others can run meanwhile.
  bool has_rows_for_groups() const {
    const int last = domain_.rank - 1;
    const bool has_rows = last > 0 && domain_.roles[last] == Role::reduce && !domain_.has(Role::row);
    if (!has_rows || domain_.has(Role::block)) return false;
    const int64_t most = std::min<int64_t>(kMostGroupedRow, draft_.program.blocks.row);
    if (domain_.extents[last] > most || draft_.program.short_row > 0) return false;
    return std::any_of(draft_.program.body.begin(), draft_.program.body.end(), [](const Instr& instr) {
      return instr.stage > 0 && !instr.per_row && instr.kind != InstrKind::param;
    });
  }

  /// Stores that go to the same elements get one access, so that the code sees which values are only kept for a stage.
  static void merge_stores(KernelDraft& draft) {
    const std::vector<AccessMap> all = std::move(draft.accesses);
    draft.accesses.clear();
    std::vector<int16_t> slots;
    for (const AccessMap& access : all) {
      const auto same = std::find_if(draft.accesses.begin(), draft.accesses.end(), [&](const AccessMap& known) {
        return known.stores && access.stores && known.storage == access.storage && known.address == access.address;
      });
      slots.push_back(static_cast<int16_t>(same - draft.accesses.begin()));
      if (same == draft.accesses.end()) draft.accesses.push_back(access);
    }
    for (Instr& instr : draft.program.body) {
      const bool touches = instr.kind == InstrKind::load || instr.kind == InstrKind::store;
      if (touches) instr.slot = slots[instr.slot];
    }
  }

  /// True if the indices of an axis name elements between those of neighbouring lanes: with all of them written out these are
  /// read, or written, as whole vectors.
  bool interleaves(int axis) const {
    const int last = domain_.rank - 1;
    return std::any_of(draft_.accesses.begin(), draft_.accesses.end(), [&](const AccessMap& access) {
      const bool small = small_step(stride_class(access.address.coef[last])) == domain_.extents[axis];
      return small && access.address.coef[axis] == 1;
    });
  }

  /// True if no op of the body is long to compile many times.
  bool is_cheap() const {
    return std::none_of(draft_.program.body.begin(), draft_.program.body.end(),
                        [](const Instr& instr) { return cost_of(instr) >= cost::kDear; });
  }

  /// True if the reductions give the same bits in any order, so that lanes may lie along the folded axis or beside it.
  bool has_free_order() const {
    return std::none_of(draft_.program.body.begin(), draft_.program.body.end(), [](const Instr& instr) {
      const bool adds_up = instr.reduce == ReduceKind::sum || instr.reduce == ReduceKind::prod;
      return instr.kind == InstrKind::reduce && adds_up && is_floating(instr.dtype);
    });
  }

  /// The longest of the axes before this one; -1 if there is none.
  int longest_before(int axis) const {
    if (axis <= 0) return -1;
    const auto longest = std::max_element(domain_.extents.begin(), domain_.extents.begin() + axis);
    return static_cast<int>(longest - domain_.extents.begin());
  }

  /// Where the last axis of a loop is too short for vectors, the longest one takes its place: its elements have no order.
  void bring_long_axis_behind() {
    const int last = domain_.rank - 1;
    if (last < 1 || domain_.extents[last] >= kLongEnough) return;
    bring_behind(longest_before(last));
  }

  /// Makes an axis the last one.
  void bring_behind(int axis) { rotate(axis, axis + 1, domain_.rank); }

  /// Where lanes are far apart, the row in which their next elements lie nearest comes before them.
  void bring_rows_together() {
    const int last = domain_.rank - 1;
    int from = -1;
    int64_t nearest = 0;
    for (int axis = last - 1; axis >= 0; --axis) {
      if (domain_.extents[axis] < kLongEnough) continue;
      for (const AccessMap& access : draft_.accesses) {
        const int64_t step = next_row(access, last, axis);
        if (step == 0 || (from >= 0 && step >= nearest)) continue;
        from = axis;
        nearest = step;
      }
    }
    if (from >= 0) rotate(from, from + 1, last);
  }

  /// Where all rows are dense and what is read lies in one other order than what is written, the rows are walked in that
  /// order: the processor fetches ahead what is read in order, and need not wait for what is written. Not where rows that
  /// are written share lines of memory: these would be fetched twice.
  void walk_as_read() {
    const int last = domain_.rank - 1;
    if (last < 2 || domain_.extents[last] < kLongEnough) return;
    std::vector<int> axes(last);
    std::iota(axes.begin(), axes.end(), 0);
    const std::vector<int> as_written = axes;
    std::vector<int> as_read;
    for (const AccessMap& access : draft_.accesses) {
      const auto& coef = access.address.coef;
      const bool dense = coef[last] == 1 && !access.indexed;
      if (coef[last] != 0 && !dense) return;
      if (access.stores && domain_.extents[last] * size_of(access.dtype) % kLineBytes != 0) return;
      const bool whole = dense && std::all_of(coef.begin(), coef.begin() + last, [](int64_t c) { return c > 0; });
      if (access.stores || !whole) continue;
      std::vector<int> order = axes;
      std::ranges::stable_sort(order, std::greater{}, [&](int axis) { return coef[axis]; });
      if (!as_read.empty() && order != as_read) return;
      int64_t inside = domain_.extents[last];  // elements of a row, then up to the next index of each axis
      for (size_t i = order.size(); i-- > 0; inside = coef[order[i]] * domain_.extents[order[i]]) {
        if (coef[order[i]] < inside) return;  // windows, which read again
      }
      as_read = order;
    }
    if (as_read.empty() || as_read == as_written || domain_.extents[as_read.back()] < kLongEnough) return;
    const auto sort = [&](auto& list) {
      const auto old = list;
      for (int i = 0; i < last; ++i) list[i] = old[as_read[i]];
    };
    each([&](Domain& domain, const std::vector<Affine*>& maps) {
      sort(domain.extents);
      for (Affine* map : maps) sort(map->coef);
    });
  }

  void drop_ones() {
    for (int axis = domain_.rank - 1; axis >= 0; --axis) {
      const auto is_one = [&](const Domain& domain, const auto&) { return domain.extents[axis] == 1; };
      if (is_batch(axis) && all(is_one)) erase(axis);
    }
  }

  bool walked_as_one(int axis) const {
    return all([&](const Domain& domain, const std::vector<Affine*>& maps) {
      return std::ranges::all_of(maps, [&](const Affine* map) {
        return map->coef[axis] == map->coef[axis + 1] * domain.extents[axis + 1];
      });
    });
  }

  /// Batch axes join. The rows of a product take them in where its second operand does not depend on them, and join, as its
  /// folded axes do.
  void collapse() {
    const bool is_product = domain_.has(Role::row);
    for (int axis = domain_.rank - 2; axis >= 0; --axis) {
      const Role role = domain_.roles[axis], behind = domain_.roles[axis + 1];
      const bool becomes_rows = behind == Role::row && (role == Role::batch || role == Role::row);
      const bool are_steps = is_product && domain_.is_folded(axis) && domain_.is_folded(axis + 1);
      const bool takes = (is_batch(axis) && is_batch(axis + 1)) || becomes_rows || are_steps;
      if (!takes || !walked_as_one(axis)) continue;
      each([&](Domain& domain, const auto&) { domain.extents[axis + 1] *= domain.extents[axis]; });
      erase(axis);
    }
  }

  /// Where some operands have an element for each index of a short last axis and are the same everywhere else, the axis
  /// joins the one before it, and those operands repeat along it.
  void repeat_short_operands() {
    const int last = domain_.rank - 1, before = last - 1;
    const int64_t period = last < 1 ? 0 : domain_.extents[last];
    if (!others_.empty() || period < 2 || period > kLongestPeriod || !is_batch(last) || !is_batch(before) || domain_.has(Role::row)) return;
    const int64_t rows = rows_to_repeat(period, domain_.extents[before]);
    if (rows == 0 || domain_.size() < kManyTimes * rows * period || domain_.size() > kMostElements) return;
    const auto joins = [&](const Affine& map) { return map.coef[before] == map.coef[last] * period; };
    bool any = false;
    for (const AccessMap& access : draft_.accesses) {
      if (joins(access.address)) continue;
      if (!repeats(access)) return;
      any = true;
    }
    if (!any || !std::ranges::all_of(draft_.indices, joins)) return;

    for (AccessMap& access : draft_.accesses) {
      if (!joins(access.address)) access.period = period;
    }
    apply(Split{before, rows}, domain_);
    for (Affine* map : maps_) apply(Split{before, rows}, *map);
    domain_.extents[before + 1] *= period;
    erase_behind(before + 1);
    for (AccessMap& access : draft_.accesses) {
      if (access.period > 0) access.address.coef[before + 1] = 1;
    }
    drop_ones();
    collapse();
  }

  /// True if a load depends on the last axis only, and reads one element after the other along it.
  bool repeats(const AccessMap& access) const {
    const auto& coef = access.address.coef;
    const int last = domain_.rank - 1;
    return !access.stores && !access.indexed && coef[last] == 1 && std::all_of(coef.begin(), coef.begin() + last, [](int64_t c) { return c == 0; });
  }

  /// How many of `rows` rows of a period each join: as many as divide them and are not too long together; 0 if those are
  /// too few for whole vectors.
  static int64_t rows_to_repeat(int64_t period, int64_t rows) {
    for (int64_t some = std::min(rows, kMostRepeated / period); some * period >= kShortestRepeated; --some) {
      if (rows % some == 0) return some;
    }
    return 0;
  }

  void add_vector_axis() {
    each_draft([](KernelDraft& draft) {
      insert_axis(draft.domain.rank, 1, Role::vector, draft.domain);
      for (AccessMap& access : draft.accesses) access.address.coef[draft.domain.rank - 1] = 1;
    });
  }

  /// The lanes lie along the last axis; other axes behind the folded one go before it. Along the folded axis itself they
  /// lie only if no axis is behind it, and no blocks' results are taken as one block.
  void choose_vector_axis() {
    if (domain_.has(Role::vector)) return;
    const int last = domain_.rank - 1;
    if (domain_.rank == 0 || domain_.roles[last] == Role::results) return add_vector_axis();
    if (!is_batch(last)) bring_dense_axis_behind();
    if (!is_batch(last)) return;
    each([&](Domain& domain, const auto&) { domain.roles[last] = Role::vector; });
    while (domain_.folded_axis() >= 0 && is_batch(domain_.rank - 2)) bring_before_folded(domain_.rank - 2);
  }

  /// Where lanes along the folded axis would be far apart, and nowhere are along another one, they lie along that.
  void bring_dense_axis_behind() {
    const int last = domain_.rank - 1;
    if (domain_.roles[last] != Role::reduce || domain_.has(Role::block) || !has_free_order()) return;
    const auto goes_far = [&](int axis) {
      return std::any_of(draft_.accesses.begin(), draft_.accesses.end(), [&](const AccessMap& access) {
        return stride_class(access.address.coef[axis]) == Stride::other;
      });
    };
    if (!goes_far(last)) return;
    for (int axis = last - 1; axis >= 0; --axis) {
      if (!is_batch(axis) || domain_.extents[axis] < kLongEnough || goes_far(axis)) continue;
      return bring_behind(axis);
    }
  }

  void bring_before_folded(int from) {
    int to = 0;
    while (is_batch(to)) ++to;
    rotate(to, from, from + 1);
  }

  /// A product of one row, one column or one term looks like any other.
  void normalise_product() {
    const int matrix = draft_.program.sums_in_lanes ? 0 : 1;  // the operand that varies along the lanes
    const int k = domain_.folded_axis();
    const int n = static_cast<int>(std::ranges::find(domain_.roles, Role::vector) - domain_.roles.begin());
    for (AccessMap& access : draft_.accesses) {
      std::array<int64_t, kMaxDomainRank>& coef = access.address.coef;
      bool varies = std::any_of(coef.begin(), coef.end(), [](int64_t c) { return c != 0; });
      bool along_n = access.dot_operand == matrix || access.stores || (access.dot_operand < 0 && varies);
      // A single column of a matrix and a vector is one of many that lie behind each other.
      const bool far = draft_.program.sums_in_lanes && access.dot_operand == matrix;
      if (domain_.extents[n] == 1 && along_n) coef[n] = far ? kLongEnough : 1;
      if (domain_.extents[k] == 1 && access.dot_operand == 1 - matrix) coef[k] = 1;
    }
  }

  /// Marks loads that walk several rows of one buffer side by side.
  void find_rows_side_by_side() {
    constexpr size_t kFewestRows = 3;
    std::vector<AccessMap>& maps = draft_.accesses;
    const auto is_row = [&](const AccessMap& map) {
      return map.address.coef[domain_.rank - 1] == 1 && map.period == 0 && !map.stores && !map.indexed && !map.ahead;
    };
    for (size_t first = 0; first + kFewestRows <= maps.size(); ++first) {
      if (!is_row(maps[first])) continue;
      std::vector<size_t> rows;
      for (size_t a = first; a < maps.size(); ++a) {
        const bool same = maps[a].storage == maps[first].storage && maps[a].address.coef == maps[first].address.coef;
        if (same && is_row(maps[a])) rows.push_back(a);
      }
      if (rows.size() < kFewestRows) continue;
      for (const size_t a : rows) {
        each_draft([&](KernelDraft& draft) {
          if (a < draft.accesses.size()) draft.accesses[a].ahead = true;
        });
      }
    }
  }

  KernelDraft& draft_;
  Domain& domain_;
  std::vector<Affine*> maps_;
  std::vector<Other> others_;
  std::vector<KernelDraft*> left_out_;
};

// Loads of a group lie so close to each other, and so far from the first at the most.
constexpr int64_t kMaxGap = 4;
constexpr int64_t kMaxSpan = 32;

/// Finds accesses whose elements lie beside each other: where the stride is small, all that lie between those of a lane and
/// of the next one. Of others, stores fill all that is between the first and the last.
void find_groups(const std::vector<AccessMap>& maps, bool is_loop, std::vector<Access>& accesses) {
  std::vector<size_t> by_offset(maps.size());
  std::iota(by_offset.begin(), by_offset.end(), 0);
  std::stable_sort(by_offset.begin(), by_offset.end(),
                   [&](size_t a, size_t b) { return maps[a].address.offset < maps[b].address.offset; });
  for (size_t first : by_offset) {
    const int step = small_step(accesses[first].stride);
    const bool stores = maps[first].stores, far = is_loop && accesses[first].stride == Stride::other;
    if (accesses[first].group >= 0 || !(far || step > 0) || maps[first].indexed) continue;
    std::map<int64_t, size_t> members;  // by element
    for (size_t a = 0; a < maps.size(); ++a) {
      const int64_t element = maps[a].address.offset - maps[first].address.offset;
      const bool fits = !maps[a].indexed && maps[a].stores == stores && maps[a].storage == maps[first].storage && element >= 0 &&
                        element < (far ? kMaxSpan : step) && maps[a].address.coef == maps[first].address.coef;
      if (fits && accesses[a].group < 0) members.emplace(element, a);  // another stage may have taken the element
    }
    int64_t end = 1;
    for (const auto& [element, a] : members) {
      if (element - end >= (stores ? 1 : kMaxGap)) break;
      end = element + 1;
    }
    if (end == 1 || (!far && end < step)) continue;
    for (const auto& [element, a] : members) {
      if (element >= end) break;
      accesses[a].group = static_cast<int16_t>(first);
      accesses[a].element = static_cast<int8_t>(element);
    }
  }
}

/// Which instructions give each lane a value of its own.
std::vector<bool> vary_along_lanes(const KernelDraft& draft) {
  const KernelProgram& program = draft.program;
  const int lanes = program.lanes_axis();
  std::vector<bool> varies;
  for (const Instr& instr : program.body) {
    bool own = std::any_of(instr.args.begin(), instr.args.end(), [&](int32_t arg) { return varies[arg]; });
    if (instr.kind == InstrKind::load) own = own || draft.accesses[instr.slot].address.coef[lanes] != 0;
    if (instr.kind == InstrKind::index) own = draft.indices[instr.slot].coef[lanes] != 0;
    if (instr.kind == InstrKind::reduce) own = lanes != program.folded_axis();
    varies.push_back(own || instr.kind == InstrKind::dot);
  }
  return varies;
}

/// Says of the loads at indices whether lanes share their index.
void mark_indexed(const KernelDraft& draft, std::vector<Access>& accesses) {
  if (draft.checks.empty()) return;
  const std::vector<bool> varies = vary_along_lanes(draft);
  for (const Instr& instr : draft.program.body) {
    if (instr.kind != InstrKind::load || instr.args.empty()) continue;
    accesses[instr.slot].indexed = varies[instr.args[0]] ? Indexed::lanes : Indexed::shared;
  }
}

/// Says of the loads that ops of a product's operands read how they lie along its steps.
void mark_steps(const KernelDraft& draft, std::vector<Access>& accesses) {
  if (!draft.program.has(Role::row)) return;
  for (const Instr& instr : draft.program.body) {
    if (instr.kind == InstrKind::dot) continue;
    for (const int32_t arg : instr.args) {
      const Instr& load = draft.program.body[arg];
      if (load.kind != InstrKind::load || draft.accesses[load.slot].dot_operand < 0) continue;
      accesses[load.slot].steps = stride_class(draft.accesses[load.slot].address.coef[draft.domain.rank - 1], true);
    }
  }
}

void fill_axes(KernelDraft& draft) {
  const Domain& domain = draft.domain;
  draft.program.axes.assign(domain.roles.begin(), domain.roles.begin() + domain.rank);
}

/// True if two drafts may have one code.
bool are_alike(const KernelDraft& a, const KernelDraft& b) {
  const auto same_kind = [](const AccessMap& x, const AccessMap& y) {
    return x.dtype == y.dtype && x.stores == y.stores && x.dot_operand == y.dot_operand && x.indexed == y.indexed;
  };
  return a.program.body == b.program.body && a.indices.size() == b.indices.size() && a.params.size() == b.params.size() &&
         a.domain.rank == b.domain.rank && a.domain.roles == b.domain.roles && std::ranges::equal(a.accesses, b.accesses, same_kind);
}

/// Along an axis of one index strides mean nothing: there they are those of a draft that has several.
void agree_on_strides(std::span<KernelDraft* const> drafts) {
  for (int axis = 0; axis < drafts[0]->domain.rank; ++axis) {
    const auto several = std::ranges::find_if(drafts, [&](const KernelDraft* draft) { return draft->domain.extents[axis] > 1; });
    if (several == drafts.end()) continue;
    for (KernelDraft* draft : drafts) {
      if (draft->domain.extents[axis] > 1) continue;
      for (size_t a = 0; a < draft->accesses.size(); ++a) {
        draft->accesses[a].address.coef[axis] = (*several)->accesses[a].address.coef[axis];
      }
      for (size_t i = 0; i < draft->indices.size(); ++i) draft->indices[i].coef[axis] = (*several)->indices[i].coef[axis];
    }
  }
}

}  // namespace

int64_t arrange(KernelDraft& draft) {
  const int64_t total = Layout(draft).run();
  fill_axes(draft);
  return total;
}

void arrange_alike(std::span<KernelDraft* const> drafts) {
  std::vector<KernelDraft*> open(drafts.begin(), drafts.end());
  while (!open.empty()) {
    KernelDraft& first = *open.front();
    const auto others = std::stable_partition(open.begin(), open.end(), [&](const KernelDraft* draft) { return are_alike(first, *draft); });
    const std::vector<KernelDraft*> alike(open.begin(), others);
    open.erase(open.begin(), others);
    agree_on_strides(alike);
    Layout layout(first, std::span(alike).subspan(1));
    layout.run();
    const std::vector<KernelDraft*> left_out = layout.left_out();
    for (KernelDraft* draft : alike) {
      if (std::ranges::find(left_out, draft) == left_out.end()) fill_axes(*draft);
    }
    open.insert(open.begin(), left_out.begin(), left_out.end());
  }
}

ScheduledKernel write_out(KernelDraft draft, int64_t total) {
  const Domain& domain = draft.domain;
  const int rank = domain.rank;
  KernelProgram& program = draft.program;
  program.num_params = static_cast<int16_t>(draft.params.size());
  program.num_checks = static_cast<int16_t>(draft.checks.size());

  ScheduledKernel kernel;
  std::vector<int64_t>& sizes = kernel.sizes;
  sizes.assign(domain.extents.begin(), domain.extents.begin() + rank);
  const int64_t columns = program.has_tiles() ? columns_of_task(domain, program) : 0;
  if (program.has(Role::block)) sizes.push_back(total);
  if (program.has_tiles()) sizes.push_back(columns);
  const auto append = [&](const Affine& map) {
    sizes.push_back(map.offset);
    sizes.insert(sizes.end(), map.coef.begin(), map.coef.begin() + rank);
  };
  const bool is_loop = domain.folded_axis() < 0 && !program.sweeps();
  for (const AccessMap& access : draft.accesses) {
    const auto& coef = access.address.coef;
    bool varies = std::any_of(coef.begin(), coef.begin() + rank, [](int64_t c) { return c != 0; });
    const Stride stride = stride_class(coef[program.lanes_axis()], program.has(Role::row));
    const bool uniform = !varies && access.dot_operand < 0 && !access.indexed && access.bounds.empty();
    program.accesses.push_back({access.dtype, stride, uniform, access.period > 0});
    program.accesses.back().ahead = access.ahead;
    kernel.buffers.push_back(access.storage);
    append(access.address);
    if (access.period > 0) sizes[sizes.size() - rank + program.lanes_axis()] = access.period;
  }
  mark_steps(draft, program.accesses);
  if (program.sweeps()) {
    mark_swept(draft, program.accesses);
  } else {
    find_groups(draft.accesses, is_loop, program.accesses);
  }
  for (size_t a = 0; draft.has_next_rows && a < draft.accesses.size(); ++a) {
    Access& access = program.accesses[a];
    if (access.group < 0) access.next_row = static_cast<int8_t>(next_row(draft.accesses[a], rank - 1, rank - 2));
  }
  for (size_t a = 0; program.short_row > 0 && a < draft.accesses.size(); ++a) {
    const auto& coef = draft.accesses[a].address.coef;
    if (coef[rank - 1] == 0 && coef[rank - 2] == 1) program.accesses[a].next_row = 1;
  }
  for (const Affine& index : draft.indices) {
    program.indices.push_back(stride_class(index.coef[program.lanes_axis()], true));
    append(index);
  }
  for (uint64_t bits : draft.params) sizes.push_back(static_cast<int64_t>(bits));
  for (const IndexedAxis& axis : draft.checks) sizes.insert(sizes.end(), {axis.extent, axis.step});
  append_ranges(draft, sizes);
  sizes.push_back(0);
  mark_indexed(draft, program.accesses);
  measure(domain, program, columns, kernel);
  kernel.program = std::move(program);
  return kernel;
}

}  // namespace etch::schedule
