// Writes operands that are read many times with lanes far apart beside each other once.
#include "compiler/schedule/pack_operands.h"

#include <algorithm>
#include <set>

#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

// An operand is read so many times at least: packing it costs about two readings lane by lane, and a launch.
constexpr int64_t kManyTimes = 16;

class Packing {
 public:
  Packing(KernelDraft& draft, Partition& partition)
      : draft_(draft), partition_(partition), domain_(draft.domain), lanes_(draft.program.lanes_axis()) {}

  std::vector<ScheduledKernel> run() {
    for (size_t a = 0; a < draft_.accesses.size(); ++a) {
      if (pays(draft_.accesses[a])) pack(draft_.accesses[a]);
    }
    return std::move(kernels_);
  }

 private:
  bool pays(const AccessMap& access) const {
    if (access.stores || access.indexed || access.period > 0 || access.dot_operand >= 0 || access.fill >= 0) return false;
    const int64_t step = access.address.coef[lanes_];
    if (step >= -1 && step <= 1) return false;
    return times_read(access) >= kManyTimes;
  }

  /// A column kernel finds what does not vary along the folded axis at hand.
  int64_t times_read(const AccessMap& access) const {
    const int at_hand = lanes_ == domain_.folded_axis() ? -1 : domain_.folded_axis();
    int64_t times = 1;
    for (int axis = 0; axis < domain_.rank; ++axis) {
      if (access.address.coef[axis] == 0 && axis != at_hand) times *= domain_.extents[axis];
    }
    return times;
  }

  /// Packs the operand of this access, together with those that walk the same memory in the same way from elsewhere on.
  void pack(const AccessMap& like) {
    const int storage = like.storage;
    const Affine address = like.address;
    const DType dtype = like.dtype;
    const auto walks_along = [&](const AccessMap& access) {
      return access.storage == storage && access.address.coef == address.coef && pays(access);
    };
    std::set<int64_t> offsets;
    for (const AccessMap& access : draft_.accesses) {
      if (walks_along(access)) offsets.insert(access.address.offset);
    }
    const std::vector<int64_t> starts(offsets.begin(), offsets.end());

    Domain domain;
    Affine from, packed;  // in the domain of the kernel that packs; what the other one reads then
    for (int axis = 0; axis < domain_.rank; ++axis) {
      if (address.coef[axis] == 0) continue;
      domain.extents[domain.rank] = domain_.extents[axis];
      from.coef[domain.rank++] = address.coef[axis];
    }
    const int64_t size = round_up(domain.size(), kAligned);
    const Affine to = linear_index(domain);
    for (int axis = 0, packing = 0; axis < domain_.rank; ++axis) {
      if (address.coef[axis] != 0) packed.coef[axis] = to.coef[packing++];
    }
    const int target = partition_.num_storages();
    const auto count = static_cast<int64_t>(starts.size());
    partition_.partials.push_back({partition_.value_of(storage), count * size * size_of(dtype)});
    fill({storage, dtype, from}, {target, dtype, to, true}, domain, starts, size);
    for (AccessMap& access : draft_.accesses) {
      if (!walks_along(access)) continue;
      const auto place = std::ranges::lower_bound(starts, access.address.offset) - starts.begin();
      access.address = packed;
      access.address.offset = place * size;
      access.storage = target;
    }
  }

  /// One kernel where the starts follow each other in equal steps, which are an axis then; else one for each.
  void fill(AccessMap from, AccessMap to, const Domain& domain, const std::vector<int64_t>& starts, int64_t size) {
    const auto count = static_cast<int64_t>(starts.size());
    const int64_t step = count > 1 ? starts[1] - starts[0] : 0;
    bool even = count > 1;
    for (int64_t i = 0; i < count; ++i) even = even && starts[i] == starts[0] + i * step;
    if (even) {
      Domain with_starts = domain;
      from.address.offset = starts[0];
      insert_axis(0, count, Role::batch, with_starts);
      insert_axis(0, from.address);
      insert_axis(0, to.address);
      from.address.coef[0] = step;
      to.address.coef[0] = size;
      return copy(from, to, with_starts);
    }
    for (int64_t i = 0; i < count; ++i) {
      from.address.offset = starts[i];
      to.address.offset = i * size;
      copy(from, to, domain);
    }
  }

  void copy(const AccessMap& from, const AccessMap& to, const Domain& domain) {
    KernelDraft draft;
    draft.program.blocks = draft_.program.blocks;
    draft.domain = domain;
    draft.accesses = {from, to};
    Instr load, store;
    load.kind = InstrKind::load;
    store.kind = InstrKind::store;
    load.dtype = store.dtype = from.dtype;
    load.slot = 0;
    store.slot = 1;
    store.args.push_back(0);
    draft.program.body = {load, store};
    const int64_t total = arrange(draft);
    ScheduledKernel kernel = write_out(std::move(draft), total);
    kernel.values.push_back(partition_.value_of(from.storage));
    kernel.why = "another kernel reads this many times, and wants lanes to lie beside each other";
    kernels_.push_back(std::move(kernel));
  }

  static constexpr int64_t kAligned = 16;  // elements

  KernelDraft& draft_;
  Partition& partition_;
  const Domain& domain_;
  const int lanes_;
  std::vector<ScheduledKernel> kernels_;
};

}  // namespace

std::vector<ScheduledKernel> pack_operands(KernelDraft& draft, Partition& partition) {
  const Domain& domain = draft.domain;
  if (domain.has(Role::row) || domain.has(Role::block) || domain.size() < kManyElements) return {};
  return Packing(draft, partition).run();
}

}  // namespace etch::schedule
