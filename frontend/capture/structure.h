// From blocks to nested regions.
#pragma once

#include <memory>
#include <vector>

#include "frontend/capture/blocks.h"

namespace etch::capture {

struct RegionNode;

/// Ops in a row. They may use what is defined around them.
struct OpenRegion {
  std::vector<Id> parameters;
  std::vector<RegionNode> nodes;
  std::vector<Id> outputs;
};

/// An op, or one of two regions, or a loop.
///
/// A choice: the predicate is its operand; regions: then, otherwise; results are the outputs of the one that runs.
/// A loop: the operands are what it carries at first; regions: test, whose parameters are what is carried and whose outputs
/// are whether to go on and what is handed on, and body, from what is handed on to what is carried. Results are what was
/// handed on last.
struct RegionNode {
  enum class What : uint8_t { op, choice, loop };
  What what = What::op;
  BlockOp op;                      // of the others: operands and results alone
  Kind place = -1;                 // what made the condition
  std::vector<OpenRegion> regions;
};

struct Structured {
  OpenRegion program;
  std::vector<TypeId> types;   // by value
  std::vector<Ref> given;      // the first values
  RuleCounts rules;            // of structuring
};

/// The program as regions. The blocks are simplified and their jumps only pass values.
Structured structure(Blocks blocks);

/// All steps from an automaton to regions.
Structured structure(const Automaton& automaton, const TypeTable& types);

}  // namespace etch::capture
