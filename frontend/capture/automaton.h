// A captured program: its states, what they hold, and what happens between them.
#pragma once

#include <optional>
#include <vector>

#include "frontend/capture/learn.h"

namespace etch::capture {

/// Where a value comes from, seen from an edge.
struct Source {
  enum class From : uint8_t { local, held, given };
  From from = From::local;
  int32_t index = 0;  // of the value among those of the edge; of the register of its state; the Ref before the run

  bool operator==(const Source&) const = default;
};

/// The events between two questions, or before the first one.
struct Edge {
  struct Step {
    Kind kind = 0;
    int32_t first_operand = 0;
    int32_t num_operands = 0;
    int32_t first_value = 0;  // of those of the edge
    int32_t num_values = 0;
  };
  int32_t target = kEnd;
  std::vector<Step> steps;
  std::vector<Source> operands;
  std::vector<Source> arguments;  // of the registers of the target; at the end: results, then what stands in the slots
  int32_t num_values = 0;
  bool is_merged = false;         // it does not lead to the node that stands for the target

  std::span<const Source> operands_of(const Step& step) const {
    return std::span(operands).subspan(step.first_operand, step.num_operands);
  }
};

struct AutomatonState {
  int32_t num_registers = 0;
  int32_t condition = 0;  // the register that is asked
  Kind place = 0;
  Edge edges[2];
  Decisions path;                  // to what stands for it
  std::vector<Decisions> uses;     // ways from here to the uses of what it holds
};

struct Automaton {
  Edge entry;
  std::vector<AutomatonState> states;
  Kind end = 0;                    // what all runs return
  int32_t num_results = 0;
  std::vector<int32_t> slots;      // what is assigned on any path
};

}  // namespace etch::capture
