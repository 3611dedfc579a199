// The text form of schedules.
#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/schedule.h"
#include "runtime/check.h"

namespace etch {
namespace {

std::string buffer_text(const Schedule& schedule, int index, const Graph& graph) {
  const ScheduledBuffer& buffer = schedule.buffers[index];
  std::string type = cat(" %", buffer.value.id, ": ", to_string(graph.type(buffer.value)));
  switch (buffer.kind) {
    case ScheduledBuffer::Kind::input: return cat("input ", buffer.index, type);
    case ScheduledBuffer::Kind::output: return cat("output ", buffer.index, type);
    case ScheduledBuffer::Kind::stripe: return cat("stripes ", buffer.index, " +", buffer.offset, " ", buffer.row_bytes, " B a row", type);
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

/// What a function reads and writes, `count` buffers.
std::string buffers_text(const Schedule& schedule, const ScheduledKernel& kernel, const Graph& graph, size_t count) {
  std::string text;
  for (int i = 0; i < static_cast<int>(count); ++i) {
    text += cat(i < kernel.num_operands ? "  reads b" : "  writes b", kernel.buffers[i], " = ",
                buffer_text(schedule, kernel.buffers[i], graph), "\n");
  }
  return text;
}

std::string host_text(const Schedule& schedule, const ScheduledKernel& kernel, const Graph& graph) {
  return cat(kernel.name, "\n  why=", kernel.why, "\n", buffers_text(schedule, kernel, graph, kernel.buffers.size()));
}

std::string call_text(const Schedule& schedule, const ScheduledKernel& kernel, const Graph& graph) {
  const std::string text = cat(kernel.name, " of ", name(kernel.call->dtype), ", sizes ",
                         numbers(kernel.sizes.data(), static_cast<int64_t>(kernel.sizes.size())), ", ",
                         kernel.iterations, kernel.iterations == 1 ? " iteration" : " iterations",
                         "\n  why=", kernel.why, "\n");
  return text + buffers_text(schedule, kernel, graph, kernel.buffers.size()) + checks_text(kernel);
}

std::string place_text(const ScheduledFlow& flow, const ScheduledKernel& kernel, int place) {
  switch (flow.places[place].kind) {
    case FlowPlace::Kind::buffer: return cat("b", kernel.buffers[flow.places[place].index]);
    case FlowPlace::Kind::frame: return cat("own +", flow.places[place].index);
    case FlowPlace::Kind::moving: break;
  }
  return cat("p", place);
}

std::string places_text(const ScheduledFlow& flow, const ScheduledKernel& kernel, const std::vector<int>& places) {
  std::string text;
  for (int place : places) text += cat(text.empty() ? "" : ", ", place_text(flow, kernel, place));
  return text;
}

std::string step_text(const ScheduledFlow& flow, const ScheduledKernel& kernel, const FlowStep& step) {
  const auto at = [&](int place) { return place_text(flow, kernel, place); };
  switch (step.kind) {
    case FlowStep::Kind::run: return cat("run ", flow.regions[step.a].name);
    case FlowStep::Kind::unless: return cat("unless ", at(step.a), " go to ", step.to);
    case FlowStep::Kind::jump: return cat("go to ", step.to);
    case FlowStep::Kind::copy: return cat("copy ", step.bytes, " B to ", at(step.a), " from ", at(step.b));
    case FlowStep::Kind::point: return cat(at(step.a), " is ", at(step.b));
    case FlowStep::Kind::rotate: return cat(at(step.a), " is ", at(step.b), ", which takes turns with ", at(step.c));
    case FlowStep::Kind::begin: return cat("no turn yet in ", at(step.a));
    case FlowStep::Kind::turn: return cat("a turn more in ", at(step.a));
  }
  ETCH_UNREACHABLE("a step is of some kind");
}

/// Operands and results, the steps, then each region: `test(b0, p5) -> own +0, b0`, indented with its own schedule.
std::string flow_text(const Schedule& schedule, const ScheduledKernel& kernel, const Graph& graph) {
  const ScheduledFlow& flow = *kernel.flow;
  std::string text = cat(kernel.name, ", ", flow.bytes, " B of its own\n  why=", kernel.why, "\n");
  text += buffers_text(schedule, kernel, graph, kernel.buffers.size() - 1);
  for (size_t i = 0; i < flow.steps.size(); ++i) text += cat("  ", i, ": ", step_text(flow, kernel, flow.steps[i]), "\n");
  for (const ScheduledRegion& region : flow.regions) {
    text += cat("  ", region.name, "(", places_text(flow, kernel, region.inputs), ") -> ",
                places_text(flow, kernel, region.outputs), ", arena at own +", region.offset, "\n",
                indent(to_string(region.schedule, region.region.graph())));
  }
  return text;
}

std::string kernel_text(const Schedule& schedule, const ScheduledKernel& kernel, const Graph& graph) {
  if (kernel.call) return call_text(schedule, kernel, graph);
  if (kernel.host) return host_text(schedule, kernel, graph);
  if (kernel.flow) return flow_text(schedule, kernel, graph);
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

/// Stands before the kernels that run so.
std::string stripes_text(const Schedule& schedule, int number) {
  const ScheduledStripes& stripes = schedule.stripes[number];
  return cat("stripes ", number, ": the next ", stripes.count, " kernels run block by block, ", stripes.rows, " rows in blocks of ",
             stripes.block, stripes.segment < stripes.rows ? cat(" within ", stripes.segment) : "", ", ", stripes.bytes,
             " B for each thread\n  why=", stripes.why, "\n");
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
  int64_t kernels = 0, calls = 0;
  for_each_kernel(schedule, graph, [&](const Schedule&, const Graph&, const ScheduledKernel& kernel) {
    kernel.call ? ++calls : ++kernels;
  });
  std::string text = cat("schedule: ", kernels, kernels == 1 ? " kernel, " : " kernels, ");
  if (calls > 0) text += cat(calls, calls == 1 ? " library call, " : " library calls, ");
  text += cat(schedule.arena_bytes, " B arena\n");
  if (schedule.arena_bound >= 0) {
    text += cat("arena bound: ", schedule.arena_bound, " B, ");
    text += schedule.gave_up ? cat("nothing is fused: undoing ", schedule.undone, " fused kernels did not keep it\n")
                             : cat(schedule.undone, schedule.undone == 1 ? " fused kernel" : " fused kernels",
                                   " undone to keep it\n");
  }
  auto stripes = schedule.stripes.begin();
  for (int k = 0; k < static_cast<int>(schedule.kernels.size()); ++k) {
    if (stripes != schedule.stripes.end() && k == stripes->first) {
      text += stripes_text(schedule, static_cast<int>(stripes - schedule.stripes.begin()));
      ++stripes;
    }
    text += kernel_text(schedule, schedule.kernels[k], graph);
  }
  for (size_t i = 0; i < schedule.outputs.size(); ++i) {
    text += cat("output ", i, " = b", schedule.outputs[i]);
    if (schedule.overwrites[i] >= 0) text += cat(", may overwrite input ", schedule.overwrites[i]);
    text += "\n";
  }
  return text + unfused_text(schedule, graph);
}

}  // namespace etch
