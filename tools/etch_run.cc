// etch-run: runs a graph given as text, on random or .npy inputs, in every way there is.
#include <chrono>
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "compiler/ir/text.h"
#include "compiler/kernel_costs.h"
#include "etch/error.h"
#include "etch/npy.h"
#include "etch/tensor.h"
#include "runtime/parallel.h"
#include "tools/harness.h"
#include "tools/options.h"

namespace etch {
namespace {

constexpr char kHelp[] = R"(usage: etch-run [OPTION]... FILE
Runs the graph in FILE ('-' for standard input) and prints its outputs.
  --inputs=A.npy,B.npy  the inputs, in order; without it they are random
  --special             random inputs hold NaNs, infinities, zeros of both signs and limits
  --seed=N              of the random inputs (1)
  --save=PREFIX         write output I to PREFIX_I.npy instead of printing it
  --interpret           evaluate with the interpreter instead of compiled code
  --unfused             every op a kernel of its own
  --fast-math           let LLVM reassociate and contract
  --target=NAME         the processor that code is made for: host, sse4, avx2 or avx512
  --threads=N           how many threads may run it (those of the machine)
  --compare             run fused, unfused and on 1 thread, and the interpreter; exit 1 if the compiled ones differ
  --time[=N]            the median of N runs (100) fused and unfused, and the compile time
  --emit=WHAT           print instead of running: graph, schedule, loops, llvm, optimized-llvm or asm
)";

struct Options {
  std::string file;
  std::vector<std::string> inputs;
  Draw draw = Draw::plain;
  uint64_t seed = 1;
  std::string save;
  bool interpret = false;
  bool compare = false;
  int time_runs = 0;
  int threads = default_threads();
  std::string emit;
  CompileOptions compile;
};

Options parse_options(int argc, char** argv) {
  Options options;
  for (const Argument& argument : arguments(argc, argv)) {
    if (argument.name.empty()) {
      if (!options.file.empty()) throw BadInput("one graph at a time: " + options.file + " and " + argument.value);
      options.file = argument.value;
    } else if (argument.is("help")) {
      show_help(kHelp);
    } else if (argument.is("special")) {
      options.draw = Draw::special;
    } else if (argument.is("interpret")) {
      options.interpret = true;
    } else if (argument.is("unfused")) {
      options.compile.fuse = false;
    } else if (argument.is("fast-math")) {
      options.compile.fast_math = true;
    } else if (argument.is("compare")) {
      options.compare = true;
    } else if (argument.name == "time") {
      options.time_runs = argument.has_value ? static_cast<int>(argument.number(1)) : 100;
    } else if (argument.takes("inputs")) {
      options.inputs = absl::StrSplit(argument.value, ',');
    } else if (argument.takes("target")) {
      options.compile.target = target_of(argument.value);
    } else if (argument.takes("seed")) {
      options.seed = static_cast<uint64_t>(argument.number(0));
    } else if (argument.takes("threads")) {
      options.threads = static_cast<int>(argument.number(1));
    } else if (argument.takes("save")) {
      options.save = argument.value;
    } else if (argument.takes("emit")) {
      options.emit = argument.value;
    } else {
      argument.fail_unknown("etch-run");
    }
  }
  if (options.file.empty()) throw BadInput("no graph given; see etch-run --help");
  return options;
}

template <class T>
T value_or_throw(absl::StatusOr<T> value) {
  if (!value.ok()) throw BadInput(std::string(value.status().message()));
  return *std::move(value);
}

Graph read_graph(const std::string& file) {
  std::ifstream stream(file);
  if (file != "-" && !stream) throw BadInput(file + ": " + std::strerror(errno));
  std::istream& in = file == "-" ? std::cin : stream;
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad() || stream.bad()) throw BadInput(file + ": cannot be read");
  absl::StatusOr<Graph> graph = parse(text);
  if (!graph.ok()) throw BadInput(file + ":" + std::string(graph.status().message()));
  return *std::move(graph);
}

std::vector<Literal> make_inputs(const Graph& graph, const Options& options) {
  std::mt19937_64 random(options.seed);
  if (options.inputs.empty()) return random_inputs(graph, options.draw, random);
  if (options.inputs.size() != graph.inputs().size()) {
    throw BadInput("the graph has " + std::to_string(graph.inputs().size()) + " inputs, --inputs names " +
                   std::to_string(options.inputs.size()));
  }
  std::vector<Literal> inputs;
  for (size_t i = 0; i < options.inputs.size(); ++i) {
    inputs.push_back(to_literal(load_npy(options.inputs[i])));
    const Type& wanted = graph.type(graph.inputs()[i]);
    if (inputs.back().type == wanted) continue;
    throw BadInput(options.inputs[i] + " holds " + to_string(inputs.back().type) + ", input " + std::to_string(i) +
                   " of the graph is " + to_string(wanted));
  }
  return inputs;
}

void emit_code(const Graph& graph, const Options& options) {
  const std::pair<std::string_view, CodeStage> stages[] = {{"loops", CodeStage::loops},
                                                           {"llvm", CodeStage::llvm},
                                                           {"optimized-llvm", CodeStage::optimized_llvm},
                                                           {"asm", CodeStage::assembly}};
  Compiled compiled = value_or_throw(compile(graph, options.compile));
  if (options.emit == "graph") {
    std::cout << print(compiled.graph);
    return;
  }
  if (options.emit == "schedule") {
    std::cout << to_string(compiled.schedule, compiled.graph);
    return;
  }
  for (auto [name, stage] : stages) {
    if (options.emit != name) continue;
    for_each_kernel(compiled.schedule, compiled.graph, [&](const Schedule&, const Graph&, const ScheduledKernel& kernel) {
      if (kernel.call) return;
      std::cout << value_or_throw(print_code(kernel.program, options.compile.codegen(), stage, kernel.name)) << "\n";
    });
    return;
  }
  throw BadInput("--emit=" + options.emit + ": it may be graph, schedule, loops, llvm, optimized-llvm or asm");
}

int compare(const Graph& graph, const Options& options, const std::vector<Literal>& inputs) {
  CompileOptions unfused = options.compile, fused = options.compile;
  unfused.fuse = false;
  fused.fuse = true;
  std::vector<Literal> base = value_or_throw(run_compiled(graph, unfused, inputs, {.threads = 1}));
  int failures = 0;
  auto report = [&](const char* what, const CompileOptions& compile, int threads) {
    std::vector<Literal> outputs = value_or_throw(run_compiled(graph, compile, inputs, {.threads = threads}));
    std::string difference = bit_difference(base, outputs);
    std::cout << what << ": " << (difference.empty() ? "equal bits" : difference) << "\n";
    failures += !difference.empty();
  };
  report("unfused, all threads", unfused, options.threads);
  report("fused, 1 thread", fused, 1);
  report("fused, all threads", fused, options.threads);
  std::vector<Literal> oracle = value_or_throw(interpret(graph, inputs));
  for (size_t i = 0; i < oracle.size(); ++i) {
    std::cout << "interpreter, output " << i << ": at most " << max_ulp(oracle[i], base[i], 0) << " ULP away\n";
  }
  return failures == 0 ? 0 : 1;
}

void time_runs(const Graph& graph, const Options& options, const std::vector<Literal>& inputs) {
  using Clock = std::chrono::steady_clock;
  struct Way {
    const char* name;
    bool fuse;
    Compiled compiled;
    std::vector<double> microseconds;
  };
  Way ways[] = {{"fused", true, {}, {}}, {"unfused", false, {}, {}}};
  for (Way& way : ways) {
    CompileOptions compile_options = options.compile;
    compile_options.fuse = way.fuse;
    way.compiled = value_or_throw(compile(graph, compile_options));
  }
  std::vector<std::vector<std::byte>> storage;
  std::vector<const void*> in;
  std::vector<void*> out;
  for (const Literal& input : inputs) in.push_back(input.bytes.data());
  for (Value output : graph.outputs()) out.push_back(storage.emplace_back(graph.type(output).bytes() + 1).data());
  for (int run = 0; run < options.time_runs; ++run) {
    for (Way& way : ways) {  // in turn, so that a busy moment of the machine meets both
      Clock::time_point start = Clock::now();
      way.compiled.executable->run(in.data(), out.data(), {.threads = options.threads});
      way.microseconds.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    }
  }
  for (Way& way : ways) {
    std::nth_element(way.microseconds.begin(), way.microseconds.begin() + way.microseconds.size() / 2,
                     way.microseconds.end());
    std::printf("%-8s %10.2f us   (%zu kernels; passes %.2f ms, schedule %.2f ms, code %.2f ms)\n", way.name,
                way.microseconds[way.microseconds.size() / 2], way.compiled.executable->launches.size(),
                way.compiled.pass_milliseconds, way.compiled.schedule_milliseconds, way.compiled.counts.milliseconds);
  }
  const MachinePeaks peaks = machine_peaks(options.threads);
  std::printf("%s", peaks_text(peaks, options.threads).c_str());
  for (Way& way : ways) {
    const std::vector<double> kernels = way.compiled.executable->profile(in.data(), out.data(), {.threads = options.threads},
                                                                         std::min(options.time_runs, 20));
    std::printf("%s:\n%s", way.name, kernel_costs(way.compiled.schedule, way.compiled.graph, kernels, peaks).c_str());
  }
}

int run(const Options& options) {
  Graph graph = read_graph(options.file);
  if (!options.emit.empty()) {
    emit_code(graph, options);
    return 0;
  }
  std::vector<Literal> inputs = make_inputs(graph, options);
  if (options.compare) return compare(graph, options, inputs);
  if (options.time_runs > 0) {
    time_runs(graph, options, inputs);
    return 0;
  }
  std::vector<Literal> outputs = value_or_throw(
      options.interpret ? interpret(graph, inputs)
                        : run_compiled(graph, options.compile, inputs, {.threads = options.threads}));
  for (size_t i = 0; i < outputs.size(); ++i) {
    Tensor tensor = to_tensor(outputs[i]);
    if (!options.save.empty()) {
      save_npy(options.save + "_" + std::to_string(i) + ".npy", tensor);
      continue;
    }
    std::cout << "output " << i << " : " << to_string(outputs[i].type) << "\n" << to_string(tensor) << "\n";
  }
  return 0;
}

}  // namespace
}  // namespace etch

int main(int argc, char** argv) {
  return etch::run_tool("etch-run", [&] { return etch::run(etch::parse_options(argc, argv)); });
}
