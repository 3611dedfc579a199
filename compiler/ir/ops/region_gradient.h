// What the gradients of ops with regions share.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "compiler/ir/gradient.h"
#include "compiler/ir/graph.h"

namespace etch::op {

using Values = std::vector<Value>;

inline int size(std::span<const Value> values) { return static_cast<int>(values.size()); }

Values joined(std::initializer_list<std::span<const Value>> lists);

/// Those of the values that are of floats.
Values floats_of(const Graph& graph, std::span<const Value> values);

/// The nodes of a graph made again on these inputs: what its outputs are.
Values inlined(ExMaker& maker, const Graph& graph, std::span<const Value> inputs);

/// Per input, whether these values of the graph are made of it.
std::vector<bool> inputs_read(const Graph& graph, std::span<const Value> values);

/// What a region gives for what it takes, which is told apart as the op does.
using RegionWriter = absl::FunctionRef<Values(ExMaker& maker, std::span<const Value> own, std::span<const Value> fixed)>;

/// The results of a while_loop that carries values, in which others are fixed. `test` gives first whether to go on.
Values make_loop(ExMaker& maker, const Values& carried, const Values& fixed, RegionWriter test, RegionWriter body);

/// The results of a cond whose arms take the fixed values, and none of their own.
Values make_cond(ExMaker& maker, Value predicate, const Values& fixed, RegionWriter then, RegionWriter otherwise);

}  // namespace etch::op
