// Graphs that are run on eager tensors: the derivatives that tapes ask for.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "compiler/ir/graph.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {

/// The outputs of a graph on tensors of its inputs' types. It is compiled once, fused, and kept as eager ops are.
/// `what` names it in errors.
std::vector<Tensor> run_graph(const Graph& graph, std::span<const Tensor* const> inputs, std::string_view what,
                              Location where);

/// How often a graph was not found compiled.
int64_t graph_cache_misses();

}  // namespace etch::detail
