// Loops whose lanes go along the axis before theirs: which ones do, and what their code knows about accesses.
#include "compiler/schedule/swept_axis.h"

#include <algorithm>
#include <utility>

#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

// A swept axis has so many elements at least, and so many loads stay the same along it, unless there are borders; no more loads
// move, for rows are read across their memory then.
constexpr int64_t kLongEnough = 8;
constexpr ptrdiff_t kManyLoads = 4;

/// The indices along an axis that stay within the bounds of an access.
std::pair<int64_t, int64_t> range_within(const AccessMap& access, int axis, int64_t extent) {
  std::pair<int64_t, int64_t> range{0, extent};
  for (const auto& [index, bound] : access.bounds) {
    if (ascending_axis(index) != axis) continue;
    range.first = std::max(range.first, ceil_div(-index.offset, index.coef[axis]));
    range.second = std::min(range.second, ceil_div(bound - index.offset, index.coef[axis]));
  }
  return range;
}

}  // namespace

bool can_sweep(const KernelDraft& draft) {
  const Domain& domain = draft.domain;
  const int lanes = domain.rank - 1;
  if (std::ranges::any_of(draft.accesses, [](const AccessMap& access) { return access.fill >= 0; })) return true;
  const bool is_loop = lanes > 0 && domain.folded_axis() < 0 && !domain.has(Role::row) && draft.checks.empty();
  if (!is_loop || domain.extents[lanes] < kSweptLanes || domain.extents[lanes - 1] < kLongEnough) return false;
  const bool are_dense = std::ranges::all_of(draft.accesses, [&](const AccessMap& access) {
    return access.address.coef[lanes] == 0 || access.address.coef[lanes] == 1;
  });
  const auto stay = std::ranges::count_if(draft.accesses, [&](const AccessMap& access) {
    return access.address.coef[lanes] == 1 && access.address.coef[lanes - 1] == 0;
  });
  const auto move = std::ranges::count_if(draft.accesses, [&](const AccessMap& access) {
    return !access.stores && access.address.coef[lanes - 1] != 0;
  });
  return are_dense && stay >= kManyLoads && stay >= move;
}

void mark_swept(const KernelDraft& draft, std::vector<Access>& accesses) {
  const std::vector<AccessMap>& maps = draft.accesses;
  const int swept = draft.domain.rank - 2;
  for (size_t a = 0; a < maps.size(); ++a) {
    const AccessMap& map = maps[a];
    accesses[a].still = map.address.coef[swept] == 0 && map.bounds.empty();
    accesses[a].fill = static_cast<int16_t>(map.fill);
    const auto end = maps.begin() + static_cast<int64_t>(a);
    const auto like = std::find_if(maps.begin(), end, [&](const AccessMap& other) {
      return other.storage == map.storage && other.dtype == map.dtype && other.address.coef == map.address.coef;
    });
    if (like != end) accesses[a].like = static_cast<int16_t>(like - maps.begin());
  }
}

void append_ranges(const KernelDraft& draft, std::vector<int64_t>& sizes) {
  for (const AccessMap& access : draft.accesses) {
    for (int axis = 0; access.fill >= 0 && axis < draft.domain.rank - 1; ++axis) {
      const auto [first, end] = range_within(access, axis, draft.domain.extents[axis]);
      sizes.insert(sizes.end(), {first, end});
    }
  }
}

}  // namespace etch::schedule
