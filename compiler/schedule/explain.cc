// Names of kernels, and why their nodes stand together.
#include "compiler/schedule/explain.h"

#include <algorithm>
#include <cctype>

#include "compiler/ir/cat.h"
#include "compiler/schedule/native_region.h"

namespace etch::schedule {
namespace {

std::string_view word(const Node& node) {
  return place(node.op) == Place::reduction ? name(reduction_of(node.op).kind) : name(node.op);
}

/// The composite op that all nodes were written in, if they were.
std::string_view common_scope(const Graph& graph, const std::vector<Value>& values) {
  std::string_view common;
  for (Value value : values) {
    std::string_view scope = graph.name_of(graph.node(value).origin.scope);
    if (size_t slash = scope.rfind('/'); slash != std::string_view::npos) scope.remove_prefix(slash + 1);
    if (scope.empty() || (!common.empty() && scope != common)) return {};
    common = scope;
  }
  return common;
}

std::string count(size_t n, std::string_view noun) { return cat(n, " ", noun, n == 1 ? "" : "s"); }

/// `a`, `a and b`, `a, b and c`.
std::string list(const std::vector<std::string_view>& words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " and " : ", ";
    text += words[i];
  }
  return text;
}

/// What a kernel computes, sorted out.
struct Contents {
  std::vector<Value> reductions;
  size_t elementwise = 0;
  size_t indexed = 0;
  Value product;
  int64_t kept_bytes = 0;  // of values that are not stored
  size_t kept = 0;
};

Contents contents_of(const Graph& graph, const ScheduledKernel& kernel, const Cluster& cluster) {
  Contents contents;
  for (Value value : kernel.values) {
    const Node& node = graph.node(value);
    const Place kind = place(node.op);
    if (kind == Place::reduction) contents.reductions.push_back(value);
    if (kind == Place::product) contents.product = value;
    contents.elementwise += kind == Place::elementwise;
    contents.indexed += kind == Place::indexed;
    bool computed = kind == Place::elementwise || kind == Place::indexed || kind == Place::reduction ||
                    kind == Place::product;
    bool stored = std::any_of(cluster.roots.begin(), cluster.roots.end(), [&](const Root& root) {
      return root.storage == value.id || root.value == value;
    });
    if (!computed || stored) continue;
    ++contents.kept;
    contents.kept_bytes += graph.type(value).bytes();
  }
  return contents;
}

std::string kept_text(const Contents& contents) {
  if (contents.kept == 0) return {};
  return cat(": ", count(contents.kept, "intermediate"), " (", contents.kept_bytes, " B) ",
             contents.kept == 1 ? "stays" : "stay", " out of memory");
}

/// Results written into the parts of a concat or pad.
std::string part_text(const Graph& graph, const Cluster& cluster) {
  for (const Root& root : cluster.roots) {
    if (root.storage >= graph.num_values()) continue;
    const Op op = graph.node(Value{root.storage}).op;
    if (place(op) == Place::boxes) return cat(", straight into its part of ", name(op));
  }
  return {};
}

std::string reduction_reason(const Graph& graph, const ScheduledKernel& kernel, const Contents& contents) {
  std::vector<std::string_view> words;
  for (Value value : contents.reductions) {
    std::string_view kind = word(graph.node(value));
    if (std::find(words.begin(), words.end(), kind) == words.end()) words.push_back(kind);
  }
  if (contents.reductions.empty()) return "copies";
  const Node& first = graph.node(contents.reductions[0]);
  std::string text = list(words);
  if (words.size() == 1 && contents.reductions.size() > 1) text = cat(contents.reductions.size(), " times ", text);
  text += cat(" along axis ", reduction_of(first.op).axes[0], " of ",
                         to_string(graph.type(first.operands[0])));
  if (kernel.program.has(Role::block)) return text + " in blocks, so that several threads share what few results come from";
  if (kernel.program.has(Role::results)) return text + ": the results of the blocks, in order";
  if (contents.reductions.size() > 1) text += ", each row while it is in the cache";
  if (contents.elementwise > 0) text += cat(", with ", count(contents.elementwise, "elementwise op"));
  return text;
}

std::string flow_reason(const Graph& graph, const ScheduledKernel& kernel, const Partition& partition) {
  const Node& node = graph.node(kernel.values[0]);
  const std::string_view why_not = partition.natives != nullptr ? partition.natives->why_not(node) : std::string_view();
  std::string text = "regions, each with kernels of its own, on operands and results in memory";
  if (!why_not.empty()) text += cat("; not one kernel, for ", why_not);
  return text;
}

std::string blocks_reason(const KernelProgram& program) {
  size_t loops = 0, branches = 0;
  for (const Instr& instr : program.body) {
    loops += instr.kind == InstrKind::loop;
    branches += instr.kind == InstrKind::branch;
  }
  if (loops + branches == 0) return "rows, each by itself, in lanes";
  std::string text = loops > 0 ? count(loops, "loop") : "";
  if (branches > 0) text += cat(loops > 0 ? " and " : "", branches, branches == 1 ? " branch" : " branches");
  if (program.kind() == KernelKind::scalar) return text + " on small values, which stay in registers";
  return text + " for each element by itself, in lanes that are on or off";
}

}  // namespace

std::string kernel_name(const Graph& graph, const ScheduledKernel& kernel, size_t index) {
  constexpr size_t kWords = 3;
  if (kernel.call) return cat("call_", index, "_", name(kernel.call->function));
  if (kernel.host) return cat("host_", index, "_", kernel.host->function->name());
  if (kernel.flow) return cat(name(graph.node(kernel.values[0]).op), "_", index);
  std::string text = cat(name(kernel.program.kind()), "_", index);
  if (kernel.program.has(Role::block)) text = cat("blocks_", index);
  if (kernel.program.has(Role::results)) text = cat("combine_", index);
  if (std::string_view scope = common_scope(graph, kernel.values); !scope.empty() && kernel.values.size() > 1) {
    text += '_';
    for (char c : scope) text += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return text;
  }
  size_t words = 0;
  std::string_view last;
  for (size_t i = 0; i < kernel.values.size(); ++i) {
    std::string_view next = word(graph.node(kernel.values[i]));
    if (next == last) continue;
    if (words++ == kWords) return cat(text, "_and_", kernel.values.size() - i, "_more");
    text += cat("_", next);
    last = next;
  }
  return text;
}

namespace {

std::string reason_of(const Graph& graph, const ScheduledKernel& kernel, const Partition& partition, int number) {
  if (!kernel.why.empty()) return kernel.why;
  if (kernel.call) return "a library function, on operands and results in memory";
  if (kernel.host) return "a function of the host, in its turn";
  if (kernel.flow) return flow_reason(graph, kernel, partition);
  const Cluster& cluster = partition.clusters[number];
  if (cluster.calls) return blocks_reason(kernel.program);  // of regions
  Contents contents = contents_of(graph, kernel, cluster);
  std::string end = kept_text(contents) + part_text(graph, cluster);
  const Value root = cluster.roots[0].value;
  if (kernel.program.has_rows()) return reduction_reason(graph, kernel, contents) + end;
  if (contents.product.id >= 0) {
    const Node& product = graph.node(contents.product);
    std::string text = cat("product of ", to_string(graph.type(product.operands[0])), " and ",
                           to_string(graph.type(product.operands[1])));
    const auto on_operands = static_cast<size_t>(std::ranges::count_if(kernel.program.body, [](const Instr& instr) {
      return instr.kind == InstrKind::compute && instr.stage == 0;
    }));
    const size_t on_results = contents.elementwise - std::min(on_operands, contents.elementwise);
    if (on_operands > 0) text += cat(", with ", count(on_operands, "elementwise op"), " on its operands");
    if (on_results > 0) text += cat(on_operands > 0 ? " and " : ", with ", count(on_results, "elementwise op"), " on its results");
    return text + end;
  }
  if (!contents.reductions.empty()) {
    return cat(reduction_reason(graph, kernel, contents), ", rows side by side in the lanes", end);
  }
  if (contents.elementwise == 0) {
    const Place kind = place(graph.node(root).op);
    bool fills = kind == Place::splat || kind == Place::index;
    return cat(fills ? "fills " : contents.indexed > 0 ? "takes elements at indices into " : "copies ", to_string(graph.type(Value{cluster.roots[0].storage})), end);
  }
  return cat(count(contents.elementwise, "elementwise op"), contents.indexed > 0 ? " and elements at indices" : "", " on ",
             to_string(graph.type(root)), end);
}

/// Which piece of a loop the kernel is, and what the loop reads that is cut.
std::string piece_text(const Graph& graph, const ScheduledKernel& kernel, const Cluster& cluster) {
  if (kernel.piece_of < 0) return {};
  std::vector<std::string_view> words;
  for (Value value : cluster.cut_by) {
    const std::string_view next = name(graph.node(value).op);
    if (std::ranges::find(words, next) == words.end()) words.push_back(next);
  }
  return cat("; piece ", kernel.piece, " of a loop that is cut where the parts of ", list(words), " meet");
}

}  // namespace

std::string kernel_reason(const Graph& graph, const ScheduledKernel& kernel, const Partition& partition, int number) {
  return reason_of(graph, kernel, partition, number) + piece_text(graph, kernel, partition.clusters[number]);
}

std::string stripes_reason(const Schedule& schedule, const ScheduledStripes& stripes) {
  const int number = static_cast<int>(&stripes - schedule.stripes.data());
  size_t kept = 0;
  int64_t bytes = 0;
  for (const ScheduledBuffer& buffer : schedule.buffers) {
    if (buffer.kind != ScheduledBuffer::Kind::stripe || buffer.index != number) continue;
    ++kept;
    bytes += buffer.bytes;
  }
  std::string text = "each reads of what the others write only the rows that it works on";
  if (kept == 0) return text + ", so that it finds them in the cache";
  return cat(text, ": of ", count(kept, "intermediate"), " (", bytes, " B) one block at a time lies in memory");
}

}  // namespace etch::schedule
