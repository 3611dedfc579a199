// etch-run: runs a graph given as text, on random or .npy inputs, in every way there is.
#include <chrono>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "compiler/ir/text.h"
#include "etch/error.h"
#include "etch/npy.h"
#include "etch/tensor.h"
#include "runtime/parallel.h"
#include "tools/harness.h"

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

/// A wrong command line, file or graph: one line, exit code 2.
struct BadInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};

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

template <class T>
T number(std::string_view flag, std::string_view text, T least) {
  T value;
  if (!absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &value) || value < least) {
    throw BadInput("--" + std::string(flag) + " takes a number from " + std::to_string(least) + " on, not '" +
                   std::string(text) + "'");
  }
  return value;
}

Target target_of(const std::string& name) {
  if (const Target* target = find_target(name)) return *target;
  std::string known;
  for (const std::string& one : target_names()) known += (known.empty() ? "" : ", ") + one;
  throw BadInput("--target=" + name + ": it may be " + known);
}

Options parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (!argument.starts_with("--")) {
      if (!options.file.empty()) throw BadInput("one graph at a time: " + options.file + " and " + argv[i]);
      options.file = argument;
      continue;
    }
    argument.remove_prefix(2);
    size_t equals = argument.find('=');
    std::string_view flag = argument.substr(0, equals);
    bool has_value = equals != argument.npos;
    std::string value(has_value ? argument.substr(equals + 1) : "");
    auto plain = [&](std::string_view name) {
      if (flag == name && has_value) throw BadInput("--" + std::string(flag) + " takes no value");
      return flag == name;
    };
    auto valued = [&](std::string_view name) {
      if (flag == name && value.empty()) throw BadInput("--" + std::string(flag) + " needs a value: --" + std::string(flag) + "=...");
      return flag == name;
    };
    if (plain("help")) {
      std::cout << kHelp;
      std::exit(0);
    } else if (plain("special")) {
      options.draw = Draw::special;
    } else if (plain("interpret")) {
      options.interpret = true;
    } else if (plain("unfused")) {
      options.compile.fuse = false;
    } else if (plain("fast-math")) {
      options.compile.fast_math = true;
    } else if (plain("compare")) {
      options.compare = true;
    } else if (flag == "time") {
      options.time_runs = has_value ? number<int>(flag, value, 1) : 100;
    } else if (valued("inputs")) {
      options.inputs = absl::StrSplit(value, ',');
    } else if (valued("target")) {
      options.compile.target = target_of(value);
    } else if (valued("seed")) {
      options.seed = number<uint64_t>(flag, value, 0);
    } else if (valued("threads")) {
      options.threads = number<int>(flag, value, 1);
    } else if (valued("save")) {
      options.save = value;
    } else if (valued("emit")) {
      options.emit = value;
    } else {
      throw BadInput("unknown option --" + std::string(flag) + "; see etch-run --help");
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
    const Type& wanted = graph[graph.inputs()[i]].type;
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
    for (const ScheduledKernel& kernel : compiled.schedule.kernels) {
      std::cout << value_or_throw(print_code(kernel.program, options.compile.codegen(), stage, kernel.name)) << "\n";
    }
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
  for (Value output : graph.outputs()) out.push_back(storage.emplace_back(graph[output].type.bytes() + 1).data());
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
                way.microseconds[way.microseconds.size() / 2], way.compiled.schedule.kernels.size(),
                way.compiled.pass_milliseconds, way.compiled.schedule_milliseconds, way.compiled.counts.milliseconds);
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
  try {
    return etch::run(etch::parse_options(argc, argv));
  } catch (const std::exception& error) {
    std::string line = error.what();
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::fprintf(stderr, "etch-run: %s\n", line.c_str());
    return 2;
  }
}
