// What the backward pass of a function reads of its forward pass: kept in memory, or computed again.
#include "compiler/schedule/explain_kept.h"

#include <algorithm>
#include <map>
#include <set>

#include "compiler/ir/cat.h"
#include "compiler/schedule/costs.h"
#include "compiler/schedule/lower_kernel.h"
#include "compiler/schedule/partition.h"

namespace etch {
namespace {

/// What a value costs to compute from its operands: additions an element.
int64_t cost_again(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  switch (place(node.op)) {
    case Place::reduction: {
      const Type& from = graph.type(node.operands[0]);
      return from.size() / std::max<int64_t>(graph.type(value).size(), 1);
    }
    case Place::product: return graph.type(node.operands[0]).shape.back();
    case Place::elementwise: return cost_of(node.op);
    default: return 1;
  }
}

std::string counted(int64_t n, std::string_view noun) { return cat(n, " ", noun, n == 1 ? "" : "s"); }

class Explanation {
 public:
  Explanation(const Schedule& schedule, const Graph& graph, const PassesOfGradient& passes)
      : schedule_(schedule), graph_(graph), passes_(passes) {
    for (size_t k = 0; k < schedule.kernels.size(); ++k) {
      const ScheduledKernel& kernel = schedule.kernels[k];
      const auto is_backward = [&](Value value) { return passes.backward[value.id]; };
      if (std::ranges::any_of(kernel.values, is_backward)) backward_.insert(k);
      for (const Value value : kernel.values) computed_in_[value.id].insert(k);
    }
    for (const size_t k : backward_) note_reads(k);
  }

  std::string text() const {
    int64_t bytes = 0;
    std::string lines;
    for (const auto& [buffer, readers] : readers_) {
      bytes += schedule_.buffers[buffer].bytes;
      lines += cat("  ", kept_line(schedule_.buffers[buffer].value, readers), "\n");
    }
    std::string text = cat("keeps ", counted(static_cast<int64_t>(readers_.size()), "value"), ", ", bytes, " bytes\n", lines);
    std::string again;
    for (const auto& [id, kernels] : computed_in_) again += again_line(Value{id}, kernels);
    return again.empty() ? text : cat(text, "computes again, rather than keep it\n", again);
  }

 private:
  /// Forward values that a backward kernel reads, and did not compute itself.
  void note_reads(size_t k) {
    const ScheduledKernel& kernel = schedule_.kernels[k];
    const std::vector<bool> stored = schedule::stored_accesses(kernel);
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      const ScheduledBuffer& buffer = schedule_.buffers[kernel.buffers[a]];
      const bool is_computed = buffer.kind != ScheduledBuffer::Kind::input && passes_.forward[buffer.value.id];
      const std::vector<Value>& own = kernel.values;
      if (stored[a] || !is_computed || std::ranges::find(own, buffer.value) != own.end()) continue;
      readers_[kernel.buffers[a]].insert(k);
    }
  }

  /// Why fusion did not compute a value in one of these kernels.
  std::string reason(Value value, const std::set<size_t>& kernels) const {
    for (const UnfusedEdge& edge : schedule_.unfused) {
      if (schedule::storage_of(graph_, edge.producer) != value && edge.producer != value) continue;
      const auto found = computed_in_.find(edge.consumer.id);
      if (found == computed_in_.end()) continue;
      const bool is_reader = std::ranges::any_of(found->second, [&](size_t k) { return kernels.contains(k); });
      if (is_reader) return edge.why;
    }
    const bool is_output = std::ranges::any_of(graph_.outputs(), [&](Value output) {
      return schedule::storage_of(graph_, output) == value;
    });
    return is_output ? "it is an output in any case" : "its kernel stores it for another one";
  }

  std::string kept_line(Value value, const std::set<size_t>& kernels) const {
    std::string readers;
    for (const size_t k : kernels) readers += cat(readers.empty() ? "" : ", ", schedule_.kernels[k].name);
    return cat(describe_kept(graph_, value), ", read by ", readers, ": ", reason(value, kernels), cost_of_keeping(graph_, value));
  }

  /// A forward value that a backward kernel computes, though another kernel does, too.
  std::string again_line(Value value, const std::set<size_t>& kernels) const {
    const auto is_backward = [&](size_t k) { return backward_.contains(k); };
    if (!passes_.forward[value.id] || kernels.size() < 2 || std::ranges::none_of(kernels, is_backward)) return {};
    const bool is_read = std::ranges::any_of(readers_, [&](const auto& entry) {
      return schedule_.buffers[entry.first].value == value;
    });
    if (is_read) return {};
    std::string in;
    for (const size_t k : kernels) {
      if (is_backward(k)) in += cat(in.empty() ? "" : ", ", schedule_.kernels[k].name);
    }
    return cat("  ", describe_kept(graph_, value), " in ", in, cost_of_keeping(graph_, value), "\n");
  }

  const Schedule& schedule_;
  const Graph& graph_;
  const PassesOfGradient& passes_;
  std::set<size_t> backward_;                          // kernels
  std::map<int32_t, std::set<size_t>> computed_in_;    // per value: kernels
  std::map<int, std::set<size_t>> readers_;            // per buffer that is kept: backward kernels
};

}  // namespace

std::string place_text(const Nodes& nodes, const Origin& origin) {
  std::string text;
  if (const std::string_view file = nodes.name_of(origin.file); !file.empty()) {
    text += cat(" ", file.substr(file.rfind('/') + 1), ":", origin.line);
  }
  if (const std::string_view scope = nodes.name_of(origin.scope); !scope.empty()) text += cat(" in ", scope);
  return text;
}

std::string describe_kept(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  return cat("%", value.id, " ", name(node.op), " ", to_string(graph.type(value)), place_text(graph, node.origin), ", ",
             graph.type(value).bytes(), " bytes");
}

std::string cost_of_keeping(const Graph& graph, Value value) {
  return cat(" (", counted(cost_again(graph, value), "addition"), " an element from its operands, ", cost::kRepeated,
             " to store and load it)");
}

std::string explain_kept(const Schedule& schedule, const Graph& graph, const PassesOfGradient& passes) {
  return Explanation(schedule, graph, passes).text();
}

}  // namespace etch
