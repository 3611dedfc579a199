// Pieces: a loop that reads a concat or pad is cut where the parts of it meet, so that each piece reads one part only.
#include "compiler/schedule/pieces.h"

#include <algorithm>
#include <utility>

#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

/// Where along an axis of the domain, or that it is everywhere or nowhere, an index lies in a range.
struct Along {
  int axis = -1;
  int64_t begin = 0, end = 0;
  bool is_nowhere = false;
};

/// Where `index` is at least `first` and below `last`; nothing if several axes decide that.
std::optional<Along> where_within(const Affine& index, const Domain& domain, int64_t first, int64_t last) {
  int64_t least = index.offset, most = index.offset;
  int varies = -1, count = 0;
  for (int axis = 0; axis < domain.rank; ++axis) {
    const int64_t reach = index.coef[axis] * (domain.extents[axis] - 1);
    (reach < 0 ? least : most) += reach;
    if (reach == 0) continue;
    varies = axis;
    ++count;
  }
  if (most < first || least >= last) return Along{.is_nowhere = true};
  if (least >= first && most < last) return Along{};
  if (count > 1) return std::nullopt;
  // A falling index is a rising one of the opposite sign.
  int64_t step = index.coef[varies], from = first - index.offset, to = last - index.offset;
  if (step < 0) {
    step = -step;
    from = std::exchange(to, 1 - from);
    from = 1 - from;
  }
  const int64_t begin = std::max<int64_t>(0, ceil_div(from, step));
  const int64_t end = std::min(domain.extents[varies], ceil_div(to, step));
  return Along{varies, begin, end, begin >= end};
}

Section whole(const Domain& domain) {
  Section section;
  for (int axis = 0; axis < domain.rank; ++axis) section.end[axis] = domain.extents[axis];
  return section;
}

/// The section in which indices lie in a part; nothing if it is none. `is_nowhere` if it is empty.
std::optional<Section> section_of(const Part& part, const std::array<Affine, kMaxRank>& axes, const Domain& domain, bool& is_nowhere) {
  Section section = whole(domain);
  is_nowhere = part.shape.product() == 0;
  for (int i = 0; i < part.shape.rank() && !is_nowhere; ++i) {
    const std::optional<Along> along = where_within(axes[i], domain, part.start[i], part.start[i] + part.shape[i]);
    if (!along) return std::nullopt;
    is_nowhere = along->is_nowhere;
    if (is_nowhere || along->axis < 0) continue;
    section.begin[along->axis] = std::max(section.begin[along->axis], along->begin);
    section.end[along->axis] = std::min(section.end[along->axis], along->end);
    is_nowhere = section.begin[along->axis] >= section.end[along->axis];
  }
  return section;
}

/// The map to a part's own elements.
Affine map_to(const Part& part, const std::array<Affine, kMaxRank>& axes) {
  Affine map;
  if (part.splat) return map;
  const Dims strides = row_major_strides(part.shape);
  for (int i = 0; i < part.shape.rank(); ++i) {
    if (part.shape[i] == 1) continue;
    map.add(axes[i], strides[i]);
    map.offset -= part.start[i] * strides[i];
  }
  return map;
}

}  // namespace

std::optional<std::vector<PartUse>> parts_read(const Graph& graph, Cluster& cluster, Value target, int map) {
  const Shape& shape = graph.type(target).shape;
  std::optional<std::array<Affine, kMaxRank>> axes;
  Followed at;
  while (!axes) {
    at = followed(cluster, map);
    const ContinuedAxes next = axis_maps(shape, at.map, at.domain);
    axes = next.axes;
    if (axes) break;
    if (!next.split || !can_refine(cluster, *next.split)) return std::nullopt;
    refine(cluster, *next.split);
  }
  std::vector<PartUse> uses;
  for (const Part& part : parts_of(graph, target)) {
    bool is_nowhere = false;
    std::optional<Section> section = section_of(part, *axes, at.domain, is_nowhere);
    if (!section) return std::nullopt;
    if (is_nowhere) continue;
    Affine found = from_section(cluster, map, map_to(part, *axes));
    for (int axis = 0; cluster.sections[map] && axis < cluster.domain.rank; ++axis) {
      section->begin[axis] += cluster.sections[map]->begin[axis];
      section->end[axis] += cluster.sections[map]->begin[axis];
    }
    uses.push_back({part.value, found, *section});
  }
  return uses;
}

std::optional<PartUse> part_read(const Graph& graph, Value target, const Affine& map, const Domain& domain) {
  const ContinuedAxes next = axis_maps(graph.type(target).shape, map, domain);
  if (!next.axes) return std::nullopt;
  for (const Part& part : parts_of(graph, target)) {
    bool is_nowhere = false;
    const std::optional<Section> section = section_of(part, *next.axes, domain, is_nowhere);
    if (!section || is_nowhere) continue;
    if (*section == whole(domain)) return PartUse{part.value, map_to(part, *next.axes), *section};
  }
  return std::nullopt;
}

void add_seams(const Domain& domain, const Section& section, std::vector<Seam>& seams) {
  const auto add = [&](int axis, int64_t at) {
    const Seam seam{axis, at};
    const auto place = std::ranges::lower_bound(seams, seam);
    if (at > 0 && at < domain.extents[axis] && (place == seams.end() || *place != seam)) seams.insert(place, seam);
  };
  for (int axis = 0; axis < domain.rank; ++axis) {
    add(axis, section.begin[axis]);
    add(axis, section.end[axis]);
  }
}

int64_t num_pieces(const std::vector<Seam>& seams) {
  int64_t pieces = 1, along = 1;
  for (size_t i = 0; i < seams.size(); ++i) {
    along = i > 0 && seams[i].axis == seams[i - 1].axis ? along + 1 : 2;
    if (i + 1 == seams.size() || seams[i + 1].axis != seams[i].axis) pieces *= along;
    if (pieces > kMostPieces) return pieces;
  }
  return pieces;
}

bool can_have_seams(const Domain& domain, int axis) {
  const int folded = domain.folded_axis();
  if (folded < 0) return true;
  return domain.roles[folded] == Role::reduce && !domain.has(Role::row) && !domain.has(Role::block) && axis < folded;
}

bool can_have_seams(const Domain& domain, const std::vector<Seam>& seams) {
  return std::ranges::all_of(seams, [&](const Seam& seam) { return can_have_seams(domain, seam.axis); });
}

// ---- The pieces

namespace {

/// The cluster on one section.
Cluster at_section(const Cluster& cluster, const Section& section) {
  Cluster piece = cluster;
  piece.seams.clear();
  piece.in_whole = linear_index(cluster.domain);
  for (int axis = 0; axis < cluster.domain.rank; ++axis) piece.in_whole->offset += piece.in_whole->coef[axis] * section.begin[axis];
  for (int axis = 0; axis < cluster.domain.rank; ++axis) piece.domain.extents[axis] = section.end[axis] - section.begin[axis];
  for (Affine& map : piece.maps) {
    for (int axis = 0; axis < cluster.domain.rank; ++axis) map.offset += map.coef[axis] * section.begin[axis];
  }
  // A map that leads elsewhere in its section is not followed here.
  std::ranges::fill(piece.sections, std::nullopt);
  return piece;
}

/// All sections between the seams, the last axis fastest.
std::vector<Section> sections_between(const Domain& domain, const std::vector<Seam>& seams) {
  std::vector<Section> sections{whole(domain)};
  for (int axis = 0; axis < domain.rank; ++axis) {
    std::vector<Section> cut;
    for (Section section : sections) {
      for (const Seam& seam : seams) {
        if (seam.axis != axis) continue;
        section.end[axis] = seam.at;
        cut.push_back(section);
        section.begin[axis] = seam.at;
      }
      section.end[axis] = domain.extents[axis];
      cut.push_back(section);
    }
    sections = std::move(cut);
  }
  return sections;
}

/// True if `next` is the same map on the piece that begins so many indices further along an axis.
bool goes_on(const Affine& map, const Affine& next, int axis, int64_t indices) {
  return map.coef == next.coef && next.offset == map.offset + map.coef[axis] * indices;
}

bool goes_on(const Term& a, const Term& b, int axis, int64_t indices) {
  return a.kind == b.kind && a.value == b.value && a.op == b.op && a.reduce == b.reduce && a.dtype == b.dtype && a.args == b.args &&
         a.storage == b.storage && a.stage == b.stage && a.per_row == b.per_row && a.kept_in == b.kept_in &&
         a.dot_operand == b.dot_operand && goes_on(a.map, b.map, axis, indices) && goes_on(a.along, b.along, axis, indices);
}

/// True if a piece is the continuation of another one along an axis, and computes the same.
bool goes_on(const Piece& a, const Piece& b, int axis) {
  if (a.section.end[axis] != b.section.begin[axis] || a.terms.terms.size() != b.terms.terms.size()) return false;
  for (int other = 0; other < a.cluster.domain.rank; ++other) {
    const bool same = a.section.begin[other] == b.section.begin[other] && a.section.end[other] == b.section.end[other];
    if (other != axis && !same) return false;
  }
  const auto same_root = [](const RootTerm& x, const RootTerm& y) { return x.term == y.term && x.stage == y.stage && x.per_row == y.per_row; };
  if (!std::ranges::equal(a.terms.roots, b.terms.roots, same_root) || a.terms.reduces != b.terms.reduces) return false;
  const int64_t indices = b.section.begin[axis] - a.section.begin[axis];
  return std::ranges::equal(a.terms.terms, b.terms.terms, [&](const Term& x, const Term& y) { return goes_on(x, y, axis, indices); });
}

/// Joins neighbours along an axis.
void join_pieces(int axis, std::vector<Piece>& pieces) {
  std::ranges::stable_sort(pieces, {}, [&](const Piece& piece) { return piece.section.begin[axis]; });
  std::vector<Piece> joined;
  for (Piece& piece : pieces) {
    const auto before = std::ranges::find_if(joined, [&](const Piece& other) { return goes_on(other, piece, axis); });
    if (before == joined.end()) {
      joined.push_back(std::move(piece));
      continue;
    }
    before->section.end[axis] = piece.section.end[axis];
    before->cluster.domain.extents[axis] += piece.cluster.domain.extents[axis];
  }
  pieces = std::move(joined);
}

}  // namespace

std::vector<Piece> pieces_of(const Graph& graph, Partition& partition, int cluster) {
  const Cluster whole_cluster = partition.clusters[cluster];
  std::vector<Piece> pieces;
  for (const Section& section : sections_between(whole_cluster.domain, whole_cluster.seams)) {
    Piece piece{at_section(whole_cluster, section), {}, section};
    piece.terms = plan_terms(graph, partition, cluster, piece.cluster);
    pieces.push_back(std::move(piece));
  }
  for (int axis = whole_cluster.domain.rank - 1; axis >= 0; --axis) join_pieces(axis, pieces);
  std::ranges::stable_sort(pieces, std::ranges::greater{}, [](const Piece& piece) { return piece.cluster.domain.size(); });
  return pieces;
}

}  // namespace etch::schedule
