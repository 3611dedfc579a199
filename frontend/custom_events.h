// Derivatives among the events of a trace or of tapes: what stands behind custom_gradient, and which values are gradients.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compiler/ir/events.h"
#include "compiler/ir/gradient.h"
#include "etch/custom_gradient.h"
#include "runtime/flat_map.h"

namespace etch::detail {

/// What a backward function does with cotangents, as events.
struct RecordedBackward {
  int begin = 0, end = 0;         // the events
  std::vector<Value> cotangents;  // leaves among them, one for each result
  std::vector<Value> gradients;   // one for each operand, or none
  std::vector<NodeRange> groups;  // of the events

  struct Again {
    Events::Repeated events;
    std::vector<Value> gradients;
  };
  /// Records the same with other cotangents.
  Again repeat(Events& events, std::span<const Value> cotangents) const;
};

/// The derivative that a user gave for a stand-in.
struct CustomEvent {
  RunBackward run;                           // nothing once the trace has ended in which it was given
  std::optional<RecordedBackward> recorded;  // what it does, once that is so
  std::string failure;                       // or why it is not recorded
  Location where;                            // of the call
};

/// A question for gradients in a trace: values among its events.
struct AskedGradients {
  std::vector<Value> targets, gradients;
};

/// What is known of events beside their ops: derivatives that users gave, by the stand-in's number among the events, and which
/// values are gradients of which.
struct CustomEvents : FlatMap<int, CustomEvent> {
  std::vector<AskedGradients> asked;
};

/// Error unless what the backward function does is recorded.
void check_recorded(const CustomEvent& custom);

/// The cotangents of a stand-in's results, zeros for those that are none.
std::vector<Value> with_zeros(ExMaker& maker, int node, std::span<const Ex> cotangents);

}  // namespace etch::detail
