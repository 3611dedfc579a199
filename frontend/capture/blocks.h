// A captured program as blocks with parameters.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "frontend/capture/automaton.h"
#include "frontend/capture/rules.h"

namespace etch::capture {

/// A value of blocks: each is defined once, by a parameter, an op or from before the run.
using Id = int32_t;

/// A type, as whoever captures numbers them; those here are of what control flow itself adds.
using TypeId = int32_t;
inline constexpr TypeId kBool = -1;
inline constexpr TypeId kCode = -2;

struct BlockOp {
  enum class What : uint8_t {
    step,     // an event
    code,     // an i32 constant, `number`
    dummy,    // some value of a type that nobody reads
    is_code,  // operand == number
    negate,   // logical not
    both,     // logical and, at the place `kind`
    either,   // logical or, likewise
  };
  What what = What::step;
  Kind kind = 0;
  int32_t number = 0;
  std::vector<Id> operands;
  std::vector<Id> results;
};

struct Jump {
  int32_t target = 0;
  std::vector<BlockOp> ops;
  std::vector<Id> arguments;
};

struct Block {
  std::vector<Id> parameters;
  std::vector<BlockOp> ops;
  Id condition = -1;          // with two jumps: the second is taken where it holds
  Kind place = -1;            // of the condition
  std::vector<Jump> jumps;    // none at the end of the program
};

/// Types of what a program computes.
struct TypeTable {
  std::function<TypeId(Kind kind, int result)> of_result;
  std::function<TypeId(Ref given)> of_given;
  /// What an event costs, in additions, where it is computed in any case; nothing if it must not be.
  std::function<std::optional<int>(Kind kind)> cost_in_any_case;
  /// Whether a type is one truth value.
  std::function<bool(TypeId type)> is_truth;
};

struct Blocks {
  std::vector<Block> blocks;   // the first one has no parameters; it jumps to the rest
  int32_t end = 0;             // the block whose parameters, or what became of them, are the results
  std::vector<Id> results;     // of the end
  std::vector<TypeId> types;   // by value
  std::vector<Ref> given;      // of values that were there before the run; the first values are these
  RuleCounts rules;

  Id add(TypeId type) {
    types.push_back(type);
    return static_cast<Id>(types.size()) - 1;
  }
  bool is_given(Id id) const { return id < static_cast<Id>(given.size()); }
};

/// The blocks of an automaton: each uses its parameters only. Cycles have one entry.
Blocks make_blocks(const Automaton& automaton, const TypeTable& types);

/// Replaces parameters that always stand for one value, and takes away what nobody reads.
void simplify(Blocks& blocks);

/// Moves ops with which all ways into a block end, or several of them, behind the place where those ways meet.
void sink(Blocks& blocks);

/// Joins questions of which one is asked behind one answer of another, where the other answers lead to the same and what is between
/// is cheap: `a && b`, `a || b`.
void join_questions(Blocks& blocks, const TypeTable& types);

/// Gives ops on jumps blocks of their own, so that jumps only pass values.
void split_jumps(Blocks& blocks);

}  // namespace etch::capture
