// The text form of schedules.
#include <algorithm>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/schedule.h"

namespace etch {
namespace {

std::string buffer_text(const Schedule& schedule, int index, const Graph& graph) {
  const ScheduledBuffer& buffer = schedule.buffers[index];
  std::string type = cat(" %", buffer.value.id, ": ", to_string(graph.type(buffer.value)));
  switch (buffer.kind) {
    case ScheduledBuffer::Kind::input: return cat("input ", buffer.index, type);
    case ScheduledBuffer::Kind::output: return cat("output ", buffer.index, type);
    case ScheduledBuffer::Kind::temporary: break;
  }
  return cat("arena +", buffer.offset, " ", buffer.bytes, " B", type);
}

std::string indent(const std::string& text) {
  std::string result;
  for (size_t from = 0; from < text.size();) {
    size_t end = text.find('\n', from);
    if (end == std::string::npos) end = text.size();
    result += cat("    ", std::string_view(text).substr(from, end - from), "\n");
    from = end + 1;
  }
  return result;
}

std::string numbers(const int64_t* from, int64_t count) {
  std::string text = "[";
  for (int64_t i = 0; i < count; ++i) text += cat(i ? "," : "", from[i]);
  return text + "]";
}

std::string checks_text(const ScheduledKernel& kernel) {
  std::string text;
  for (const ScheduledCheck& check : kernel.checks) {
    text += cat("  checks that indices are below ", check.extent, ": ", check.text, "\n");
  }
  return text;
}

std::string call_text(const Schedule& schedule, const ScheduledKernel& kernel, const Graph& graph) {
  std::string text = cat(kernel.name, " of ", name(kernel.call->dtype), ", sizes ",
                         numbers(kernel.sizes.data(), static_cast<int64_t>(kernel.sizes.size())), ", ",
                         kernel.iterations, kernel.iterations == 1 ? " iteration" : " iterations",
                         "\n  why=", kernel.why, "\n");
  for (int i = 0; i < static_cast<int>(kernel.buffers.size()); ++i) {
    text += cat(i < kernel.call->num_operands ? "  reads b" : "  writes b", kernel.buffers[i], " = ",
                buffer_text(schedule, kernel.buffers[i], graph), "\n");
  }
  return text + checks_text(kernel);
}

std::string kernel_text(const Schedule& schedule, const ScheduledKernel& kernel, const Graph& graph) {
  if (kernel.call) return call_text(schedule, kernel, graph);
  SizesLayout layout(kernel.program);
  const int64_t* sizes = kernel.sizes.data();
  std::string text = cat(kernel.name, " over ", numbers(sizes, layout.rank), "\n  why=", kernel.why, "\n");
  for (size_t a = 0; a < kernel.buffers.size(); ++a) {
    const int64_t* address = sizes + layout.access(static_cast<int>(a));
    text += cat("  #", a, " b", kernel.buffers[a], " +", address[0], " strides ", numbers(address + 1, layout.rank),
                kernel.program.accesses[a].repeats ? " (the last one a period)" : "", " = ",
                buffer_text(schedule, kernel.buffers[a], graph), "\n");
  }
  return text + checks_text(kernel) + indent(to_string(kernel.program));
}

/// One line for all consumers of a producer that have the same reason.
std::string unfused_text(const Schedule& schedule, const Graph& graph) {
  std::string text;
  for (size_t i = 0; i < schedule.unfused.size();) {
    const UnfusedEdge& first = schedule.unfused[i];
    text += cat("unfused %", first.producer.id, " ", name(graph.node(first.producer).op), " ->");
    for (; i < schedule.unfused.size(); ++i) {
      const UnfusedEdge& edge = schedule.unfused[i];
      if (edge.producer != first.producer || edge.why != first.why) break;
      text += cat(" %", edge.consumer.id, " ", name(graph.node(edge.consumer).op));
    }
    text += cat(": ", first.why, "\n");
  }
  return text;
}

}  // namespace

std::string to_string(const Schedule& schedule, const Graph& graph) {
  const auto calls = std::count_if(schedule.kernels.begin(), schedule.kernels.end(),
                                   [](const ScheduledKernel& kernel) { return kernel.call.has_value(); });
  const auto kernels = static_cast<int64_t>(schedule.kernels.size()) - calls;
  std::string text = cat("schedule: ", kernels, kernels == 1 ? " kernel, " : " kernels, ");
  if (calls > 0) text += cat(calls, calls == 1 ? " library call, " : " library calls, ");
  text += cat(schedule.arena_bytes, " B arena\n");
  if (schedule.arena_bound >= 0) {
    text += cat("arena bound: ", schedule.arena_bound, " B, ");
    text += schedule.gave_up ? cat("nothing is fused: undoing ", schedule.undone, " fused kernels did not keep it\n")
                             : cat(schedule.undone, schedule.undone == 1 ? " fused kernel" : " fused kernels",
                                   " undone to keep it\n");
  }
  for (const ScheduledKernel& kernel : schedule.kernels) text += kernel_text(schedule, kernel, graph);
  for (size_t i = 0; i < schedule.outputs.size(); ++i) {
    text += cat("output ", i, " = b", schedule.outputs[i]);
    if (schedule.overwrites[i] >= 0) text += cat(", may overwrite input ", schedule.overwrites[i]);
    text += "\n";
  }
  return text + unfused_text(schedule, graph);
}

}  // namespace etch
