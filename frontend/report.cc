// What a concrete function tells about itself: its stages, the report of explain() and the dump.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/kernel_costs.h"
#include "compiler/passes/describe.h"
#include "compiler/passes/run_passes.h"
#include "etch/function.h"
#include "frontend/backward_report.h"
#include "frontend/flags.h"
#include "frontend/concrete.h"
#include "frontend/confirmation.h"

namespace etch::detail {
namespace {

struct PassResult {
  std::string name;
  Graph graph;
};

/// The graphs after the passes that changed something. The passes are pure and cheap beside the memory that all graphs of
/// all functions would take, so they run again; nothing is scheduled or compiled.
std::vector<PassResult> changing_passes(const Concrete& concrete) {
  std::vector<PassResult> results;
  (void)run_passes(concrete.trace.graph, pass_options(concrete.options), [&](std::string_view name, const Graph& graph) {
    results.push_back({std::string(name), graph});
  });
  return results;
}

std::string kernel_texts(const Concrete& concrete, CodeStage stage) {
  std::string text;
  const CodegenOptions options = concrete.options.codegen();
  const Compiled& compiled = concrete.compiled;
  for_each_kernel(compiled.schedule, compiled.graph, [&](const Schedule&, const Graph&, const ScheduledKernel& kernel) {
    if (kernel.call) {
      text += cat("// ", kernel.name, " has no code of its own: it calls a library function\n");
      return;
    }
    absl::StatusOr<std::string> code = print_code(kernel.program, options, stage, kernel.name);
    text += code.ok() ? *code : cat("// ", kernel.name, ": ", std::string(code.status().message()), "\n");
    if (!text.empty() && text.back() != '\n') text += '\n';
  });
  return text;
}

std::string kept_text(const Concrete& concrete) {
  const std::string text = backward_text(concrete);
  return text.empty() ? "nothing: no gradient was asked for\n" : text;
}

std::string buffers_text(const Concrete& concrete) {
  const Schedule& schedule = concrete.compiled.schedule;
  std::string text;
  for (size_t i = 0; i < schedule.buffers.size(); ++i) {
    const ScheduledBuffer& buffer = schedule.buffers[i];
    text += cat("b", i, " ");
    switch (buffer.kind) {
      case ScheduledBuffer::Kind::input: text += cat("input ", buffer.index); break;
      case ScheduledBuffer::Kind::output: text += cat("output ", buffer.index); break;
      case ScheduledBuffer::Kind::stripe: text += cat("rows of stripes ", buffer.index, " at ", buffer.offset); break;
      case ScheduledBuffer::Kind::temporary: text += cat("temporary at ", buffer.offset); break;
    }
    text += cat(", ", buffer.bytes, " bytes, %", buffer.value.id, "\n");
  }
  return text + cat("scratch memory: ", schedule.arena_bytes, " bytes\n");
}

std::string milliseconds(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f ms", value);
  return text;
}

std::string times_text(const Concrete& concrete) {
  const Compiled& compiled = concrete.compiled;
  const CompileCounts& counts = compiled.counts;
  std::string text = cat("trace    ", milliseconds(concrete.trace_ms), "\npasses   ", milliseconds(compiled.pass_milliseconds),
             "\nschedule ", milliseconds(compiled.schedule_milliseconds), "\ncode     ",
             milliseconds(counts.milliseconds), ", ", counts.kernels_compiled, " kernels compiled, ",
             counts.kernels_reused, " reused\n");
  if (counts.emitted.empty()) return text;
  return text + cat("  LLVM   ", milliseconds(counts.llvm_milliseconds), ", ", counts.emitted_text(), "\n  link   ",
                    milliseconds(counts.link_milliseconds), "\n");
}

/// What the machine reaches, and per kernel its time on inputs of zeros and which share of that it is.
std::string cost_text(const Concrete& concrete) {
  constexpr int kRuns = 5;
  const Compiled& compiled = concrete.compiled;
  std::vector<Buffer> memory;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (Value input : concrete.trace.graph.inputs()) {
    int64_t bytes = concrete.trace.graph.type(input).bytes();
    memory.push_back(Buffer::allocate(bytes));
    std::memset(memory.back().data(), 0, bytes);
    inputs.push_back(memory.back().data());
  }
  for (const Output& output : compiled.executable->outputs) {
    memory.push_back(Buffer::allocate(output.bytes));
    outputs.push_back(memory.back().data());
  }
  const RunOptions run = run_options(concrete.threads);
  const std::vector<double> times = compiled.executable->profile(inputs.data(), outputs.data(), run, kRuns);
  const MachinePeaks peaks = machine_peaks(run.threads);
  return peaks_text(peaks, run.threads) + kernel_costs(compiled.schedule, compiled.graph, times, peaks);
}

/// cost_text, or why there is none: a report is no reason to fail.
std::string measured_cost(const Concrete& concrete) {
  try {
    return cost_text(concrete);
  } catch (const std::exception& error) {
    return cat("not measured: ", error.what(), "\n");
  }
}

/// Where the new value of a variable goes.
std::string assignment_text(const Concrete& concrete, const UsedVariable& use) {
  const Sharing& sharing = concrete.trace.sharing[use.output];
  switch (sharing.with) {
    case Sharing::With::argument:
    case Sharing::With::capture:
    case Sharing::With::variable: return "it takes over the tensor that it is given";
    case Sharing::With::result: {
      const auto owner = static_cast<size_t>(sharing.index);
      return owner < concrete.num_results() ? cat("one tensor with result[", owner, "]") : "one tensor with another variable";
    }
    case Sharing::With::nothing: break;
  }
  if (use.in_place) return "in place";
  const Executable& executable = *concrete.compiled.executable;
  const Output& output = executable.outputs[use.output];
  if (output.same_as != Output::SameAs::nothing) return "in a second buffer: it is a copy of another value";
  if (executable.can_fail_after_writing(use.output)) return "in a second buffer: a step after it can fail";
  if (use.input >= 0 && output.overwrites != use.input) {
    return "in a second buffer: its old value is read after the new one is begun";
  }
  return "in a second buffer: its value is computed for a second result, too";
}

/// `variable w f32[3] is read and assigned, in place`.
std::string use_text(const Concrete& concrete, const UsedVariable& use) {
  const std::string what = description(*use.cell);
  if (!use.is_assigned()) return cat(what, " is read");
  return cat(what, use.input >= 0 ? " is read and assigned, " : " is assigned, ", assignment_text(concrete, use));
}

/// What the inputs of the traced graph are called.
std::vector<std::string> input_names(const Concrete& concrete) {
  const TraceResult& trace = concrete.trace;
  std::vector<std::string> names;
  for (const ArgReader::Leaf& leaf : concrete.leaves) {
    if (leaf.is_tensor) names.push_back(leaf.path);
  }
  names.resize(trace.graph.inputs().size());
  for (size_t i = 0; i < trace.captures.size(); ++i) names[trace.captures[i].input()] = cat("capture[", i, "]");
  for (const UsedVariable& use : trace.variables) {
    if (use.input >= 0) names[use.input] = use.cell->name();
  }
  return names;
}

/// One line for each op with regions: where it was written, what it carries and what it does not change, by the names of the
/// inputs from which that comes.
void add_regions(const Graph& graph, const std::vector<std::string>& inputs, const std::string& space, std::string& text) {
  const auto name_of = [&](Value value) {
    const auto input = std::ranges::find(graph.inputs(), value);
    return input == graph.inputs().end() ? std::string() : inputs[input - graph.inputs().begin()];
  };
  for (const Node& node : graph.nodes()) {
    const std::vector<NamedRegion> regions = regions_of(node.op);
    if (regions.empty()) continue;
    const auto leading = static_cast<size_t>(num_leading(node.op));
    const auto operands = [&](size_t begin, size_t end) {
      std::string list;
      for (size_t i = begin; i < end; ++i) {
        const std::string name = name_of(node.operands[i]);
        list += cat(list.empty() ? "" : ", ", name, name.empty() ? "" : " ", to_string(graph.type(node.operands[i])));
      }
      return list.empty() ? "nothing" : list;
    };
    const std::string place =
        node.origin.file < 0 ? "" : cat(" at ", graph.name_of(node.origin.file), ":", node.origin.line);
    text += cat(space, name(node.op), place, ": from ", operands(0, leading), "; unchanged: ",
                operands(leading, node.operands.size()), "\n");
    const std::vector<Channel> channels = channels_of(node.op, static_cast<int>(node.operands.size()));
    for (size_t r = 0; r < regions.size(); ++r) {
      const Graph& inner = regions[r].region.graph();
      std::vector<std::string> names(inner.inputs().size());
      for (const Channel& channel : channels) {
        for (const Port& port : channel.inputs) {
          const bool is_named = port.region == static_cast<int>(r) && channel.operand >= 0;
          if (is_named) names[port.index] = name_of(node.operands[channel.operand]);
        }
      }
      add_regions(inner, names, space + "  ", text);
    }
  }
}

std::string signature_stage(const Concrete& concrete) {
  std::string text = cat("function ", concrete.function, "\n");
  for (const ArgReader::Leaf& leaf : concrete.leaves) text += cat("  ", leaf.path, " ", leaf.text, "\n");
  for (size_t i = 0; i < concrete.trace.captures.size(); ++i) {
    text += cat("  capture[", i, "] ", to_string(concrete.trace.captures[i]->type()), "\n");
  }
  for (const UsedVariable& use : concrete.trace.variables) text += cat("  ", use_text(concrete, use), "\n");
  for (size_t i = 0; i < concrete.num_results(); ++i) {
    text += cat("  result[", i, "] ", to_string(concrete.output_types[i]), "\n");
  }
  return text + cat("traced because ", concrete.reason, "\n");
}

/// How the control flow of the callable became known.
std::string capture_text(const Concrete& concrete) {
  const CaptureReport* const report = concrete.trace.capture.get();
  if (report == nullptr) return "the callable tests no tensor: it ran once\n";
  std::string text = cat("the callable ran ", report->runs, " times, ", report->checks, " of them to confirm, with ", report->ops,
                         " ops, in ", milliseconds(report->milliseconds), "\n", report->states, " states; ");
  if (report->is_proved) {
    text += cat("proved: all ", report->paths, " paths were run\n");
  } else if (report->turns > 0) {
    const int64_t turns = concrete.trace.confirmation->turns();
    const bool trusts = turns == TurnGuard::kNoLimit;
    text += cat("confirmed: loops were run up to ", trusts ? report->turns : turns, " turns, and ",
                trusts ? "are trusted beyond" : "are run further where a call wants more", "\n");
  } else {
    text += "confirmed: every use of every value was reached on several paths\n";
  }
  if (const int64_t audits = concrete.trace.confirmation->audits(); audits > 0) {
    text += cat(audits, audits == 1 ? " call was" : " calls were", " compared with a plain run of the callable\n");
  }
  if (report->remembers) text += "each condition is asked once: some paths that no data takes end in an exception\n";
  add_regions(concrete.trace.graph, input_names(concrete), "", text);
  return text;
}

/// The stages in order, with what prints each; those of the passes come from `passes`.
struct Stage {
  std::string_view name;
  std::string (*text)(const Concrete&);
};
constexpr Stage kBeforePasses[] = {
    {"signature", signature_stage},
    {"trace", [](const Concrete& c) { return print(c.trace.graph); }},
};
constexpr Stage kAfterPasses[] = {
    {"graph", [](const Concrete& c) { return print(c.compiled.graph); }},
    {"schedule", [](const Concrete& c) { return to_string(c.compiled.schedule, c.compiled.graph); }},
    {"kept", kept_text},
    {"buffers", buffers_text},
    {"steps", [](const Concrete& c) { return to_string(*c.compiled.executable); }},
    {"loops", [](const Concrete& c) { return kernel_texts(c, CodeStage::loops); }},
    {"llvm", [](const Concrete& c) { return kernel_texts(c, CodeStage::llvm); }},
    {"optimized_llvm", [](const Concrete& c) { return kernel_texts(c, CodeStage::optimized_llvm); }},
    {"assembly", [](const Concrete& c) { return kernel_texts(c, CodeStage::assembly); }},
    {"times", times_text},
    {"cost", cost_text},
};

std::string indented(const std::string& text) {
  std::string result;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    result += "  " + text.substr(begin, end - begin) + "\n";
    begin = end + 1;
  }
  return result;
}

std::string section(std::string_view title, const std::string& text) { return cat(title, "\n", indented(text), "\n"); }

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw Error(cat("cannot write the dump ", path.string()));
}

/// A name without what folders may not have.
std::string file_name(std::string name) {
  for (char& c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    if (!letter && !digit && c != '.' && c != '-') c = '_';
  }
  return name;
}

}  // namespace

std::vector<std::string> stages_of(const Concrete& concrete) {
  std::vector<std::string> names;
  for (const Stage& stage : kBeforePasses) names.emplace_back(stage.name);
  for (std::string_view pass : concrete.compiled.changing_passes) names.emplace_back(pass);
  for (const Stage& stage : kAfterPasses) names.emplace_back(stage.name);
  return names;
}

std::string text_of(const Concrete& concrete, std::string_view name) {
  for (const Stage& stage : kBeforePasses) {
    if (stage.name == name) return stage.text(concrete);
  }
  for (const Stage& stage : kAfterPasses) {
    if (stage.name == name) return stage.text(concrete);
  }
  if (std::ranges::count(concrete.compiled.changing_passes, name) > 0) {
    for (const PassResult& pass : changing_passes(concrete)) {
      if (pass.name == name) return print(pass.graph);
    }
  }
  std::string known;
  for (const std::string& stage : stages_of(concrete)) known += cat(known.empty() ? "" : ", ", stage);
  throw Error(cat("concrete function ", concrete.folder, " has no stage '", name, "'; it has ", known));
}

std::string explain(const Concrete& concrete) {
  std::string text = section("Signature", signature_stage(concrete));
  if (concrete.trace.capture) text += section("Control flow", capture_text(concrete));
  text += section("Trace", print(concrete.trace.graph));
  const Graph* before = &concrete.trace.graph;
  const std::vector<PassResult> passes = changing_passes(concrete);
  for (const PassResult& pass : passes) {
    text += section(cat("Pass ", pass.name), describe_change(*before, pass.graph));
    before = &pass.graph;
  }
  text += section("Graph after the passes", print(concrete.compiled.graph));
  text += section("Schedule", to_string(concrete.compiled.schedule, concrete.compiled.graph));
  if (const std::string kept = backward_text(concrete); !kept.empty()) text += section("Kept for the backward pass", kept);
  text += section("Kernels", kernel_texts(concrete, CodeStage::loops));
  text += section("Times", times_text(concrete));
  text += section("Cost on inputs of zeros", measured_cost(concrete));
  text.pop_back();
  return text;
}

void dump(const Concrete& concrete, const std::string& folder) {
  const std::filesystem::path path = std::filesystem::path(folder) / file_name(concrete.folder);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) throw Error(cat("cannot make the dump folder ", path.string(), ": ", error.message()));
  int number = 0;
  const auto write = [&](std::string_view name, const std::string& text) {
    char digits[8];
    std::snprintf(digits, sizeof digits, "%02d_", number++);
    write_file(path / cat(digits, file_name(std::string(name)), ".txt"), text);
  };
  for (const Stage& stage : kBeforePasses) write(stage.name, stage.text(concrete));
  for (const PassResult& pass : changing_passes(concrete)) write(cat("pass_", pass.name), print(pass.graph));
  for (const Stage& stage : kAfterPasses) write(stage.name, stage.text(concrete));
}

}  // namespace etch::detail
