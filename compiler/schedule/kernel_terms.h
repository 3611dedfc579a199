// What a kernel computes, and in which of its stages: the plan from which lower_kernel writes its program.
#pragma once

#include <vector>

#include "compiler/schedule/partition.h"

namespace etch::schedule {

/// A value of the kernel at one map, and what computes it.
struct Term {
  InstrKind kind = InstrKind::load;
  Value value;
  Op op = Op::add;
  ReduceKind reduce = ReduceKind::sum;
  DType dtype = DType::f32;
  Affine map;              // the element of the value; load: of its memory
  // index: the index along an axis. load with an argument: the element of its memory at index 0; with bounds: its element.
  Affine along;
  std::vector<int> args;   // terms
  int storage = -1;        // load: the memory, see Partition
  int dot_operand = -1;
  // load: where its element lies beyond the bounds it is `fill`.
  absl::InlinedVector<PaddedElement::Bound, 2> bounds;
  uint64_t fill = 0;
  int stage = 0;           // the first in which it is available; a reduce runs in the one before
  bool per_row = false;
  int64_t cost = 0;        // of computing it again in a later stage
  // Where the stages use it.
  int first_stage = -1;
  int last_stage = -1;
  int kept_in = -1;        // root whose memory keeps it for later stages
};

/// A root of the cluster.
struct RootTerm {
  int term = 0;
  int stage = 0;
  bool per_row = false;
  int64_t cost = 0;    // of keeping a value in its memory, beyond that of dense memory
  bool keeps = false;  // its memory keeps some other value until it is written
};

struct KernelTerms {
  std::vector<Term> terms;      // operands first
  std::vector<int> reduces;     // terms, in the order of their first use
  std::vector<RootTerm> roots;  // as the cluster's
  int last_stage = 0;

  /// True if a stage finds the term, which memory keeps, where it was stored.
  bool is_kept(int term, int stage) const;
};

/// The terms that the roots of a cluster need, each with its stages. Values that later stages would compute again at a high
/// cost become roots.
/// @param cluster that of this number, or a piece of it.
KernelTerms plan_terms(const Graph& graph, Partition& partition, int number, Cluster& cluster);

}  // namespace etch::schedule
