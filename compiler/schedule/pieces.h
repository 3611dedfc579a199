// Pieces: a loop that reads a concat or pad is cut where the parts of it meet, so that each piece reads one part only.
//
// Fusion passes a use of the concat on to its parts, each in the section of the kernel's domain that reads it. The edges of
// these sections are the seams of the cluster. In the end the cluster becomes a kernel for each piece between them; all write
// the same memory. No element asks which part it comes from.
#pragma once

#include <vector>

#include "compiler/schedule/kernel_terms.h"
#include "compiler/schedule/partition.h"

namespace etch::schedule {

/// The most pieces of a loop: three along each of three axes.
inline constexpr int64_t kMostPieces = 27;

/// A part that a kernel reads.
struct PartUse {
  Value value;
  Affine map;
  Section section;  // of the domain
};

/// The parts of a concat or pad that a cluster reads at a map; refines the domain if that helps. Nothing if they cannot be
/// told from each other along single axes.
std::optional<std::vector<PartUse>> parts_read(const Graph& graph, Cluster& cluster, Value target, int map);

/// The one part that is read at a map on all of a domain; else nothing.
std::optional<PartUse> part_read(const Graph& graph, Value target, const Affine& map, const Domain& domain);

/// The seams that the edges of sections add.
void add_seams(const Domain& domain, const Section& section, std::vector<Seam>& seams);

/// How many pieces seams make.
int64_t num_pieces(const std::vector<Seam>& seams);

/// True if a domain may have seams along an axis: those of loops, and of rows that are folded, which stay whole and behind
/// each other.
bool can_have_seams(const Domain& domain, int axis);
bool can_have_seams(const Domain& domain, const std::vector<Seam>& seams);

/// A piece of a cluster: a cluster that is as large as the piece; what it computes; and where it begins.
struct Piece {
  Cluster cluster;
  KernelTerms terms;
  Section section;
};

/// The pieces of a cluster, the largest one first. Neighbours that compute the same from the same are one.
std::vector<Piece> pieces_of(const Graph& graph, Partition& partition, int cluster);

}  // namespace etch::schedule
