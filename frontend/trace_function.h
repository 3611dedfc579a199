// One run of a function's callable that records a graph, and the comparison of two such runs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compiler/ir/events.h"
#include "compiler/ir/gradient.h"
#include "etch/function.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {

using Leaves = std::vector<ArgReader::Leaf>;

/// What a function wraps, with its type erased.
struct Callable {
  FunctionType type;
  void* self = nullptr;
  ObjectReader object;
  std::string name;  // of the function
};

/// Whose memory a result takes. The trace decides it, never a rule that finds values equal: a result that the callable
/// returned as it got it, or under another shape, is that tensor; every other result is a tensor of its own.
struct Sharing {
  enum class With : uint8_t { nothing, input, result };
  With with = With::nothing;
  int32_t index = 0;  // of the input; of the earlier result
};

/// Whose memory each of these results of events takes.
std::vector<Sharing> sharing_of(const Events& events, std::span<const Value> results);

/// What one trace of a callable gave.
struct TraceResult {
  Events events;                  // what was recorded, op by op: derivatives are taken of this
  std::vector<NodeRange> groups;  // of events that count as one op
  std::vector<Value> results;     // of `events`, in order
  Graph graph;                    // the same with equal ops merged; inputs: the tensors of the call, then the captures
  std::vector<Capture> captures;
  std::vector<Sharing> sharing;           // per result
  std::string result_key;                 // structure, types and values of the result
  std::shared_ptr<const void> structure;  // the result with its tensors taken out
};

/// Runs the callable and records what it does. Error if it changes what was read of its object; tensors that it assigned
/// there are put back, also when it throws. Exceptions of the callable pass.
TraceResult trace_callable(const Callable& callable, const Call& call);

/// Error if two traces of one signature differ.
void check_repeatable(const Callable& callable, const TraceResult& first, const TraceResult& second, Location where);

/// Error if a trace of now uses other captured tensors or values than the one that was compiled; names their places.
void check_captures(const Callable& callable, const TraceResult& compiled, const TraceResult& now, Location where);

}  // namespace etch::detail
