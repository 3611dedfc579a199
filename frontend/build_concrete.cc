// The making of concrete functions: trace, compile, report.
#include <cstdio>
#include <exception>
#include <new>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "frontend/concrete.h"
#include "frontend/flags.h"
#include "frontend/trace.h"
#include "runtime/clock.h"
#include "runtime/memory.h"

namespace etch::detail {
namespace {

/// The options that decide the code: those of the function, and the flags where they are stricter.
CompileOptions compile_options(const FunctionOptions& options, const Flags& flags) {
  CompileOptions result;
  result.fuse = options.fuse && flags.fuse;
  result.native_regions = flags.native_regions;
  result.masked_regions = flags.masked_regions;
  result.group = flags.group;
  result.stripes.make = flags.stripes;
  result.prune_and_simplify = options.simplify && flags.simplify;
  result.fast_math = options.fast_math || flags.fast_math;
  result.verify = flags.verify;
  result.target = *flags.target;
  result.threads = run_options(flags, options.threads).threads;
  return result;
}

/// Per output: its memory is that of another output too.
std::vector<bool> shared_outputs(const std::vector<Sharing>& sharing) {
  std::vector<bool> shared(sharing.size());
  for (size_t i = 0; i < sharing.size(); ++i) {
    if (sharing[i].with == Sharing::With::result) shared[i] = shared[sharing[i].index] = true;
  }
  return shared;
}

/// Per output: the input whose new value it is, or -1. The value of a variable that is a result as well is a tensor for both.
std::vector<int> overwrites(const TraceResult& trace) {
  std::vector<int> overwrites(trace.sharing.size(), -1);
  for (const UsedVariable& use : trace.variables) {
    const bool is_own = use.is_assigned() && trace.sharing[use.output].with == Sharing::With::nothing;
    if (is_own) overwrites[use.output] = use.input;
  }
  return overwrites;
}

/// Finds the variables whose new values may be written over the old ones: nothing reads those any more, and no step can
/// fail after that. An output that shares the new value must not be computed a second time.
void find_in_place(const Executable& executable, TraceResult& trace) {
  std::vector<bool> computed_again(trace.sharing.size());
  for (size_t i = 0; i < trace.sharing.size(); ++i) {
    if (trace.sharing[i].with != Sharing::With::result) continue;
    const Output& output = executable.outputs[i];
    const bool is_same = output.same_as == Output::SameAs::output && output.index == trace.sharing[i].index;
    if (!is_same) computed_again[trace.sharing[i].index] = true;
  }
  for (UsedVariable& use : trace.variables) {
    if (!use.is_assigned() || trace.sharing[use.output].with != Sharing::With::nothing) continue;
    const bool is_read_after = use.input >= 0 && executable.outputs[use.output].overwrites != use.input;
    use.in_place = !is_read_after && !computed_again[use.output] && !executable.can_fail_after_writing(use.output);
  }
}

Compiled compile_trace(const Concrete& concrete, const Flags& flags, Location where) {
  const auto print_pass = [&](std::string_view pass, const Graph& changed) {
    if (flags.print_after != "all" && flags.print_after != pass) return;
    std::fprintf(stderr, "// %s after pass %s\n%s", concrete.function.c_str(), std::string(pass).c_str(),
                 print(changed).c_str());
  };
  try {
    absl::StatusOr<Compiled> compiled = compile(concrete.trace.graph, concrete.options, print_pass);
    if (compiled.ok()) return *std::move(compiled);
    throw Error(cat(at(where), "function ", concrete.function, ": ", std::string(compiled.status().message())));
  } catch (const std::bad_array_new_length&) {
    throw;  // no lack of memory: somebody asks for an impossible size
  } catch (const std::bad_alloc&) {
    throw Error(cat(at(where), "function ", concrete.function, ": out of memory while compiling"));
  }
}

/// Kernels never write to an input: a result that shares one takes memory of its own if the code computes it nevertheless.
void protect_inputs(const Executable& executable, std::vector<Sharing>& sharing) {
  for (size_t i = 0; i < sharing.size(); ++i) {
    const bool is_written = executable.outputs[i].same_as != Output::SameAs::input;
    if (sharing[i].is_with_input() && is_written) sharing[i] = {};
  }
}

/// Roughly what a concrete function keeps in memory beside its machine code and captures.
int64_t bytes_of(const Concrete& concrete) {
  constexpr int64_t kPerNode = sizeof(Node) + 16;
  constexpr int64_t kPerKernel = 2048;
  int64_t bytes = 2048 + static_cast<int64_t>(concrete.key.size());
  const auto add_nodes = [&](const Nodes& of) { bytes += kPerNode * static_cast<int64_t>(of.nodes().size()); };
  add_nodes(concrete.trace.events);
  add_nodes(concrete.trace.graph);
  add_nodes(concrete.compiled.graph);
  bytes += kPerKernel * static_cast<int64_t>(concrete.compiled.executable->launches.size());
  for (const ArgReader::Leaf& leaf : concrete.leaves) {
    bytes += static_cast<int64_t>(sizeof leaf + leaf.path.size() + leaf.text.size());
  }
  return bytes;
}

/// Compiles what was traced.
void finish(Concrete& concrete, const Flags& flags, Location where) {
  concrete.options.shared_outputs = shared_outputs(concrete.trace.sharing);
  concrete.options.overwrites = overwrites(concrete.trace);
  const Graph& graph = concrete.trace.graph;
  for (Value output : graph.outputs()) concrete.output_types.push_back(graph.type(output));
  const bool has_large = std::ranges::any_of(concrete.output_types, [](const Type& type) { return type.bytes() >= memory::kLargeBytes; });
  for (int32_t i = 0; has_large && i < std::ssize(graph.inputs()); ++i) {
    if (graph.type(graph.inputs()[i]).bytes() >= kLongOperand) concrete.inputs_beside.push_back(i);
  }
  const Clock::time_point start = Clock::now();
  concrete.compiled = compile_trace(concrete, flags, where);
  protect_inputs(*concrete.compiled.executable, concrete.trace.sharing);
  find_in_place(*concrete.compiled.executable, concrete.trace);
  concrete.compile_ms = milliseconds_since(start);
  concrete.bytes = bytes_of(concrete);
}

}  // namespace

TraceResult trace_alone(const Callable& callable, const Call& call) {
  std::unique_lock<TraceMutex> lock(callable.life->one_run, std::defer_lock);
  if (trace_nesting() == 0) lock.lock();  // inside of a trace another function's lock may be held
  return trace_callable(callable, call);
}

Ref<Concrete> build_concrete(const Callable& callable, const FunctionOptions& options, const Call& call) {
  const Flags& flags = current_flags();
  Ref<Concrete> concrete(new Concrete);
  concrete->function = callable.name;
  concrete->threads = options.threads;
  concrete->options = compile_options(options, flags);

  const Clock::time_point trace_start = Clock::now();
  concrete->trace = trace_alone(callable, call);
  if (options.trace_twice || flags.trace_twice) {
    check_repeatable(callable, concrete->trace, trace_alone(callable, call), call.where);
  }
  concrete->key.assign(reinterpret_cast<const char*>(call.reader.key().data()), call.reader.key().size());
  concrete->trace_ms = milliseconds_since(trace_start);
  finish(*concrete, flags, call.where);
  return concrete;
}

Ref<const Concrete> build_with_more(const Concrete& concrete, std::span<const Value> more, Location where) {
  Ref<Concrete> result(new Concrete);
  result->function = concrete.function;
  result->folder = concrete.folder + "_recorded";
  result->key = concrete.key;
  result->leaves = concrete.leaves;
  result->reason = "a tape records it";
  result->threads = concrete.threads;
  result->options = concrete.options;
  result->trace = with_more_results(concrete.trace, more);
  finish(*result, current_flags(), where);
  return result;
}

void report_build(const Concrete& concrete) {
  const Flags& flags = current_flags();
  if (flags.time) {
    std::fprintf(stderr,
                 "etch: %s: trace %.3f ms, passes %.3f ms, schedule %.3f ms, code %.3f ms (LLVM %.3f ms, link %.3f ms); "
                 "%lld kernels compiled, %lld reused%s%s\n",
                 concrete.folder.c_str(), concrete.trace_ms, concrete.compiled.pass_milliseconds,
                 concrete.compiled.schedule_milliseconds, concrete.compiled.counts.milliseconds,
                 concrete.compiled.counts.llvm_milliseconds, concrete.compiled.counts.link_milliseconds,
                 static_cast<long long>(concrete.compiled.counts.kernels_compiled),
                 static_cast<long long>(concrete.compiled.counts.kernels_reused),
                 concrete.compiled.counts.emitted.empty() ? "" : ": ", concrete.compiled.counts.emitted_text().c_str());
  }
  if (flags.dump.empty()) return;
  try {
    dump(concrete, flags.dump);
  } catch (const std::exception& error) {
    warn(cat("the dump of ", concrete.folder, " is not complete: ", error.what()));
  }
}

}  // namespace etch::detail
